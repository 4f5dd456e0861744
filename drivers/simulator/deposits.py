"""Layers that grow on bodies: ice from the residual gas, platinum from the gas line, metal from the coater."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bodies import Body, BodyKind
from drivers.simulator.faces import grow_on_faces
from drivers.simulator.process_settings import SECONDS_PER_HOUR, ProcessSettings
from drivers.simulator.process_state import Layer, ProcessState
from drivers.simulator.sample import Cut
from fibsem_runtime.core.units import NM

ICE_STEP_M: Final = 5 * NM
"""Ice grows in steps of this thickness (numerical): 6 min at 50 nm/h."""

LEAST_LAYER_M: Final = 0.01 * NM
"""A layer that is thinner than this everywhere on a body is not laid on it (numerical): less than an atom."""


@dataclass(slots=True, kw_only=True)
class Coat:
    """Keep the surface of one body as it was built, or as it came free, and lay on it what the state says."""

    body: Body
    bare_top_m: NDArray[np.float32]
    bare_coating_m: NDArray[np.float32]
    bare_box_m: NDArray[np.float64] | None

    @classmethod
    def on(cls, body: Body) -> Coat:
        """Take the body as it stands for the bare one."""
        sample = body.sample
        return cls(body=body, bare_top_m=sample.top_m, bare_coating_m=sample.coating_m, bare_box_m=body.box_m)

    def lay(self, state: ProcessState) -> None:
        """Rebuild the upper surface; the same state gives the same bytes, however it came about.

        A coating lies on top of ice, whatever came first (a simplification). A hole in the film stays open.
        """
        layers = [layer for layer in state.layers if layer.body == self.body.number]
        ice_m = state.ice_count_on(self.body.number) * ICE_STEP_M
        if not layers and not ice_m:
            return
        sample = self.body.sample
        coating_m = self.bare_coating_m + sum(self.thickness_m(layer) for layer in layers)
        risen_m = coating_m - self.bare_coating_m + ice_m
        there = self.bare_top_m > sample.bottom_m
        sample.coating_m = _read_only(np.where(there, coating_m, self.bare_coating_m))
        sample.top_m = _read_only(np.where(there, self.bare_top_m + risen_m, self.bare_top_m))
        if self.bare_box_m is not None:
            self.body.box_m = self.bare_box_m + float(np.max(risen_m)) * np.array([[-1.0], [1.0]])

    def thickness_m(self, layer: Layer) -> NDArray[np.float64] | float:
        """Return a layer's thickness on the whole map."""
        if layer.sigma_m is None:
            return layer.thickness_m
        rows, columns = self.bare_top_m.shape
        sample = self.body.sample
        x_m = sample.x0_m + sample.pitch_m * np.arange(columns) - layer.x_m
        y_m = sample.y0_m + sample.pitch_m * np.arange(rows) - layer.y_m
        along_x, along_y = (np.exp(-0.5 * (at_m / layer.sigma_m) ** 2) for at_m in (x_m, y_m))
        return np.asarray(layer.thickness_m * np.outer(along_y, along_x))

    def cover_faces(self, thickness_m: list[NDArray[np.float64] | float]) -> list[Cut]:
        """Let a layer grow on the faces that cuts have left, one thickness a cut, and return the cuts that changed."""
        cuts = self.body.sample.cuts
        if cuts:
            grow_on_faces(self.body.sample, thickness_m)
        return [cut for cut in cuts if cut.is_milled]


class Deposits:
    """What lies on every body that gas and vapour reach; needle and adaptor stay bare."""

    def __init__(self, bodies: Iterable[Body], settings: ProcessSettings) -> None:
        """Take the bodies as they stand for the bare ones."""
        self._settings = settings
        self._coats: dict[int, Coat] = {}
        for body in bodies:
            self.adopt(body)

    def adopt(self, body: Body) -> None:
        """Take a body as it stands for the bare one."""
        if body.kind not in (BodyKind.NEEDLE, BodyKind.ADAPTOR):
            self._coats[body.number] = Coat.on(body)

    def lay(self, state: ProcessState) -> None:
        """Lay on all bodies what a saved state says."""
        for coat in self._coats.values():
            coat.lay(state)

    def grow_ice(self, state: ProcessState, now_s: float) -> list[Cut]:
        """Let ice grow as thick as it is ``now_s`` after the start and return the cuts that it has changed."""
        growth = self._settings.ice_growth
        count = int(growth.rate_nm_per_h * NM * now_s / SECONDS_PER_HOUR / ICE_STEP_M)
        added_m = (count - state.ice_count) * ICE_STEP_M
        if not growth.enabled or added_m <= 0:
            return []
        state.ice_count = count
        changed: list[Cut] = []
        for coat in self._coats.values():
            if not coat.body.is_lost:
                coat.lay(state)
                changed += coat.cover_faces([added_m * growth.face_fraction] * len(coat.body.sample.cuts))
        return changed

    def add(self, state: ProcessState, layer: Layer) -> list[Cut]:
        """Deposit a layer on its body, less on the faces of trenches, and return the cuts that it has changed."""
        coat = self._coats.get(layer.body)
        if coat is None or float(np.max(coat.thickness_m(layer))) < LEAST_LAYER_M:
            return []
        state.layers.append(layer)
        coat.lay(state)
        fraction, cuts = self._settings.deposition.face_fraction, coat.body.sample.cuts
        return coat.cover_faces([fraction * _at(layer, float(c.origin[0]), float(c.origin[1])) for c in cuts])


def _at(layer: Layer, x_m: float, y_m: float) -> float:
    if layer.sigma_m is None:
        return layer.thickness_m
    away = ((x_m - layer.x_m) ** 2 + (y_m - layer.y_m) ** 2) / layer.sigma_m**2
    return float(layer.thickness_m * np.exp(-0.5 * away))


def _read_only(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return a map that the sample may keep: who changes the surface assigns a new one."""
    array = values.astype(np.float32)
    array.setflags(write=False)
    return array
