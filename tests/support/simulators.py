"""Small simulated instruments: a coarse square with one cell, and settings without disturbances."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from drivers.simulator.driver import SimulatorPlugin
from drivers.simulator.settings import SimulatorSettings
from fibsem_runtime.core import CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.hal.microscope import Microscope
from fibsem_runtime.hal.shapes import MillingSettings, RectangleShape

SEED = 11

SCENE: dict[str, Any] = {
    "map_width_um": 60,
    "pitch_um": 0.5,
    "square_um": 45,
    "cell_count": [1, 1],
    "crowded_cell_count": 0,
    "crystal_count": 0,
    "ice_film_um": 2,
    "coating_um": 0,
    "roughness_nm": 0,
}

DISTURBANCES = (
    *("drift", "stage_recall", "height", "tilt_axis"),
    *("rotation_centre", "column_offset", "current_shift", "current_focus"),
)

SMALL_FRAME = ImageSettings(width_px=48, height_px=32, hfw_m=40e-6)

ICE_DOSE = 1 / 5e-9
"""Charge per volume of ice, C/m³ (physics.md section 3)."""

PATTERN = (
    RectangleShape(centre=ImagePoint(0.0, 1.5e-6), width_m=3e-6, height_m=1e-6, depth_m=4e-6),
    RectangleShape(centre=ImagePoint(0.0, -1.5e-6), width_m=3e-6, height_m=1e-6, depth_m=4e-6),
)

CONDITIONS = MillingSettings(
    beam_current_a=0.3e-9, voltage_v=30e3, hfw_m=40e-6, application="ice", dose_c_per_m3=ICE_DOSE
)


def settings(*, only: str = "", everything: bool = False, **sections: Any) -> SimulatorSettings:
    """Return settings of a small scene, no scan rotation, with no disturbance, ``only`` one or ``everything`` on."""
    disturbances = {name: {"enabled": everything or name == only} for name in DISTURBANCES}
    for name, changes in sections.pop("disturbances", {}).items():
        disturbances[name].update(changes)
    columns = {name: {"scan_rotation_deg": 0} for name in ("electron_beam", "ion_beam")}
    return SimulatorSettings.model_validate({"scene": SCENE, "disturbances": disturbances, **columns, **sections})


def microscope(
    found: SimulatorSettings | None = None, *, seed: int = SEED, state_directory: Path | None = None
) -> Microscope:
    """Open a raw simulator, no guards around it."""
    return SimulatorPlugin().open(found or settings(), seed=seed, state_directory=state_directory)


def no_cancel() -> CancelToken:
    """Return a token that nobody cancels."""
    return CancelToken()


def ready_to_mill(instrument: Microscope) -> None:
    """Tilt to a milling angle of 15° and select the current of `CONDITIONS`."""
    position = instrument.stage.position()
    instrument.stage.move_to(replace(position, t_rad=math.radians(12)), cancel=no_cancel())
    instrument.ion_beam.set_current(CONDITIONS.beam_current_a)


class WatchingToken(CancelToken):
    """Cancel token that calls ``watch`` whenever somebody looks at it, and nobody cancels unless ``watch`` does."""

    def __init__(self, watch: Callable[[CancelToken], None]) -> None:
        """Call ``watch`` with the token itself."""
        super().__init__()
        self._watch = watch

    @property
    def is_cancelled(self) -> bool:
        """Watch, then tell."""
        self._watch(self)
        return super().is_cancelled
