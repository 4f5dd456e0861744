"""Ways for the stage that no part of it can object to."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from fibsem_runtime.core import StagePosition

FLAT_TILT_RAD: Final = math.radians(1.0)
"""Tilt up to which the stage counts as flat (assumed; read-backs deviate by less than 0.1°)."""

LARGE_ROTATION_RAD: Final = math.radians(90.0)
"""Rotation beyond which the stage must be flat (safety.md I3, vendor-geometry.md section 7)."""


def is_large_rotation(here: StagePosition, target: StagePosition) -> bool:
    """Tell whether the way to ``target`` turns by more than `LARGE_ROTATION_RAD`."""
    return abs(target.r_rad - here.r_rad) > LARGE_ROTATION_RAD


def is_flat(position: StagePosition) -> bool:
    """Tell whether the stage is not tilted."""
    return abs(position.t_rad) <= FLAT_TILT_RAD


def safe_route(here: StagePosition, target: StagePosition) -> list[StagePosition]:
    """Return the waypoints to ``target``, the target last: for a large rotation tilt flat, rotate, then the rest.

    Waypoints that would not move anything are left out, except the target itself.
    """
    if not is_large_rotation(here, target):
        return [target]
    flat = here if is_flat(here) else replace(here, t_rad=0.0)
    turned = replace(flat, r_rad=target.r_rad)
    return [waypoint for waypoint in (flat, turned) if waypoint not in (here, target)] + [target]
