"""One comparison, and the instruments on which comparisons are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.simulator.driver import SimulatorPlugin
from drivers.simulator.settings import SimulatorSettings
from fibsem_runtime.core import CancelToken
from fibsem_runtime.hal import Kinematics, Microscope

FLAT_ICE = {
    "map_width_um": 60,
    "pitch_um": 0.5,
    "square_um": 45,
    "cell_count": [0, 0],
    "crowded_cell_count": 0,
    "cell_radius_um": [5, 8],
    "crystal_count": 0,
    "ice_film_um": 2,
    "coating_um": 0,
    "roughness_nm": 0,
}
"""Ice of 2 um: 7.7 um along a beam at 15 degrees, so that the 10 um of the recipe cut through."""

DISTURBANCES = (
    *("drift", "stage_recall", "height", "tilt_axis"),
    *("rotation_centre", "column_offset", "current_shift", "current_focus"),
)
MILLING_ANGLE_RAD = math.radians(15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison; ``free`` names what was chosen, ``agrees`` judges the simulated value."""

    anchor: str
    published: str
    simulated: str
    free: str
    agrees: str


def settings(*, drift: Mapping[str, float] | None = None, **sections: Any) -> SimulatorSettings:
    """Return an instrument without disturbances, or with drift alone."""
    disturbances: dict[str, Any] = {name: {"enabled": False} for name in DISTURBANCES}
    if drift is not None:
        disturbances["drift"] = {"enabled": True, **drift}
    return SimulatorSettings.model_validate({"disturbances": disturbances, **sections})


def at_milling_pose(found: SimulatorSettings, seed: int) -> Microscope:
    """Open a simulator and tilt it to the milling angle."""
    instrument = SimulatorPlugin().open(found, seed=seed, state_directory=None)
    pose = Kinematics(instrument.chain).milling_pose(instrument.stage.position(), MILLING_ANGLE_RAD)
    instrument.stage.move_to(pose, cancel=CancelToken())
    return instrument
