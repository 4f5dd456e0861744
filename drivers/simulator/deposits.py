"""Layers that grow on the sample: ice from the residual gas, platinum from the gas line, metal from the coater."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.faces import grow_on_faces
from drivers.simulator.process_settings import SECONDS_PER_HOUR, ProcessSettings
from drivers.simulator.process_state import Layer, ProcessState
from drivers.simulator.sample import Sample
from fibsem_runtime.core.units import NM

ICE_STEP_M: Final = 5 * NM
"""Ice grows in steps of this thickness (numerical): 6 min at 50 nm/h."""


@dataclass(slots=True, kw_only=True)
class Deposits:
    """Keep the surfaces of a sample as they were built and lay on them what the state says."""

    sample: Sample
    settings: ProcessSettings
    bare_top_m: NDArray[np.float32]
    bare_coating_m: NDArray[np.float32]

    @classmethod
    def on(cls, sample: Sample, settings: ProcessSettings) -> Deposits:
        """Take the sample as it stands for the bare one."""
        return cls(sample=sample, settings=settings, bare_top_m=sample.top_m, bare_coating_m=sample.coating_m)

    def lay(self, state: ProcessState) -> None:
        """Rebuild the upper surface; the same state gives the same bytes, however it came about.

        A coating lies on top of ice, whatever came first (a simplification). A hole in the film stays open.
        """
        if not state.layers and not state.ice_count:
            return
        coating_m = self.bare_coating_m + sum(self._thickness_m(layer) for layer in state.layers)
        risen_m = coating_m - self.bare_coating_m + state.ice_count * ICE_STEP_M
        there = self.bare_top_m > self.sample.bottom_m
        self.sample.coating_m = _read_only(np.where(there, coating_m, self.bare_coating_m))
        self.sample.top_m = _read_only(np.where(there, self.bare_top_m + risen_m, self.bare_top_m))

    def grow_ice(self, state: ProcessState, now_s: float) -> bool:
        """Let ice grow as thick as it is ``now_s`` after the start; return whether it has grown."""
        growth = self.settings.ice_growth
        if not growth.enabled:
            return False
        count = int(growth.rate_nm_per_h * NM * now_s / SECONDS_PER_HOUR / ICE_STEP_M)
        added_m = (count - state.ice_count) * ICE_STEP_M
        if added_m <= 0:
            return False
        state.ice_count = count
        self.lay(state)
        self._cover_faces([added_m * growth.face_fraction] * len(self.sample.cuts))
        return True

    def add(self, state: ProcessState, layer: Layer) -> None:
        """Deposit a layer on everything that is there, less on the faces of trenches."""
        state.layers.append(layer)
        self.lay(state)
        fraction = self.settings.deposition.face_fraction
        self._cover_faces(
            [fraction * self._at(layer, float(c.origin[0]), float(c.origin[1])) for c in self.sample.cuts]
        )

    def _cover_faces(self, thickness_m: Sequence[float]) -> None:
        if self.sample.cuts:
            grow_on_faces(self.sample, thickness_m)

    def _thickness_m(self, layer: Layer) -> NDArray[np.float64] | float:
        """Return the layer's thickness on the whole map."""
        if layer.sigma_m is None:
            return layer.thickness_m
        rows, columns = self.bare_top_m.shape
        x_m = self.sample.x0_m + self.sample.pitch_m * np.arange(columns) - layer.x_m
        y_m = self.sample.y0_m + self.sample.pitch_m * np.arange(rows) - layer.y_m
        along_x, along_y = (np.exp(-0.5 * (at_m / layer.sigma_m) ** 2) for at_m in (x_m, y_m))
        return np.asarray(layer.thickness_m * np.outer(along_y, along_x))

    def _at(self, layer: Layer, x_m: float, y_m: float) -> float:
        if layer.sigma_m is None:
            return layer.thickness_m
        away = ((x_m - layer.x_m) ** 2 + (y_m - layer.y_m) ** 2) / layer.sigma_m**2
        return float(layer.thickness_m * np.exp(-0.5 * away))


def _read_only(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return a map that the sample may keep: who changes the surface assigns a new one."""
    array = values.astype(np.float32)
    array.setflags(write=False)
    return array
