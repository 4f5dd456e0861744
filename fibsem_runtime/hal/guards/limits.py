"""Where the stage may go, checked before it is told to."""

from __future__ import annotations

import math
from collections.abc import Callable

from fibsem_runtime.core import StagePosition
from fibsem_runtime.core.errors import InterlockError, MotionError, StageLimitError
from fibsem_runtime.core.units import format_angle, format_quantity
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.devices import StageLimits
from fibsem_runtime.hal.guards.settings import GuardSettings
from fibsem_runtime.hal.route import is_flat, is_large_rotation


def check_limits(limits: StageLimits, target: StagePosition) -> None:
    """Raise `StageLimitError` when an axis of ``target`` is outside its limits or no number (safety.md I4)."""
    axes: tuple[tuple[str, float, AxisLimits, Callable[[float], str]], ...] = (
        ("x", target.x_m, limits.x_m, _metres),
        ("y", target.y_m, limits.y_m, _metres),
        ("z", target.z_m, limits.z_m, _metres),
        ("rotation", target.r_rad, limits.r_rad, format_angle),
        ("tilt", target.t_rad, limits.t_rad, format_angle),
    )
    for name, asked, allowed, write in axes:
        if not allowed.contains(asked):
            raise StageLimitError(
                f"asked for stage {name} {write(asked)}, allowed are {write(allowed.low)} to {write(allowed.high)}; "
                "the stage has not moved, choose a position inside"
            )


def check_length(here: StagePosition, target: StagePosition, settings: GuardSettings) -> None:
    """Raise `StageLimitError` when a move is longer than the cap."""
    length_m = distance_m(here, target)
    if not length_m <= settings.max_move_m:
        raise StageLimitError(
            f"asked for a stage move of {_metres(length_m)}, allowed are {_metres(settings.max_move_m)} at a time; "
            "the stage has not moved, go in shorter moves or raise guards.max_move_mm"
        )


def check_rotation(here: StagePosition, target: StagePosition) -> None:
    """Raise `InterlockError` when a large rotation would start or end tilted (safety.md I3)."""
    if is_large_rotation(here, target) and not (is_flat(here) and is_flat(target)):
        raise InterlockError(
            f"asked to rotate by {format_angle(target.r_rad - here.r_rad)} at a tilt of {format_angle(here.t_rad)} to "
            f"{format_angle(target.t_rad)}; more than 90° only from a flat tilt: tilt to 0°, rotate, then go on "
            "(safe_route does this)"
        )


def check_arrival(target: StagePosition, reached: StagePosition, settings: GuardSettings) -> None:
    """Raise `MotionError` when the position read back is not the one asked for."""
    missed_m = distance_m(reached, target)
    missed_rad = max(abs(math.remainder(reached.r_rad - target.r_rad, math.tau)), abs(reached.t_rad - target.t_rad))
    if not (missed_m <= settings.position_tolerance_m and missed_rad <= settings.angle_tolerance_rad):
        raise MotionError(
            f"the stage stands {_metres(missed_m)} and {format_angle(missed_rad)} from where it was sent, allowed are "
            f"{_metres(settings.position_tolerance_m)} and {format_angle(settings.angle_tolerance_rad)}; "
            "look into the chamber before moving on"
        )


def distance_m(here: StagePosition, there: StagePosition) -> float:
    """Return the distance between two positions in x, y and z."""
    return math.dist((here.x_m, here.y_m, here.z_m), (there.x_m, there.y_m, there.z_m))


def _metres(value_m: float) -> str:
    return format_quantity(value_m, "m")
