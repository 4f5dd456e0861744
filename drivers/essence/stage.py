"""The stage: absolute moves whose end is believed only when it is read back."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Final

from drivers.essence.ports import AxisTargets, StagePort
from fibsem_runtime.core import CancelToken, Clock, StagePosition
from fibsem_runtime.core.errors import MotionError, StageLimitError
from fibsem_runtime.core.units import format_angle, format_quantity
from fibsem_runtime.hal.devices import StageLimits

NULL_MOVE_M: Final = 10e-9
NULL_TURN_RAD: Final = math.radians(0.05)
"""Changes below which an axis is left alone, because the anti-backlash of a null move jitters (vendor-tescan.md B6)."""

ARRIVAL_M: Final = 1e-6
ARRIVAL_FRACTION: Final = 0.01
ARRIVAL_RAD: Final = math.radians(0.25)
"""How near a move must end: the larger of 1 µm and 1 % of the way, and 0.25° (vendor-tescan.md B6)."""

SETTLED_M: Final = ARRIVAL_M
SETTLED_RAD: Final = math.radians(0.1)
"""How near is waited for while there is time: the guards allow 2 µm and 0.1°, whatever the way (assumed)."""

ARRIVAL_TIMEOUT_S: Final = 5.0
ARRIVAL_POLL_S: Final = 0.5
"""How long an axis may take to settle (B6), and how often the position is refreshed (B4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EssenceStage:
    """Five axes in the raw frame of the vendor (x, y inverted, z downwards)."""

    port: StagePort
    clock: Clock
    limits: StageLimits

    def position(self) -> StagePosition:
        """Read the encoders."""
        return self.port.position()

    def move_to(self, target: StagePosition, *, cancel: CancelToken) -> StagePosition:
        """Move the axes that differ and return the position read back.

        Raises `StageLimitError` before anything moved, `MotionError` for a stage that is not calibrated (it would
        ignore the move) or that stops short without saying so (vendor-fakes.md section 6).
        """
        cancel.raise_if_cancelled()
        refuse_beyond_limits(target, self.limits)
        if not self.port.is_calibrated():
            raise MotionError(
                "the stage is not calibrated and would ignore a move; it has not moved, calibrate it at the instrument"
            )
        start = self.position()
        targets = changed_axes(start, target)
        if targets == AxisTargets():
            return start
        self.port.move(targets, cancel=cancel)
        return self._wait_for_arrival(start, target)

    def _wait_for_arrival(self, start: StagePosition, target: StagePosition) -> StagePosition:
        deadline_s = self.clock.monotonic_s() + ARRIVAL_TIMEOUT_S
        allowed_m = max(ARRIVAL_M, ARRIVAL_FRACTION * distance_m(start, target))
        while True:
            here = self.position()
            missed_m, missed_rad = distance_m(here, target), turn_rad(here, target)
            if missed_m <= SETTLED_M and missed_rad <= SETTLED_RAD:
                return here
            if self.clock.monotonic_s() >= deadline_s:
                if missed_m <= allowed_m and missed_rad <= ARRIVAL_RAD:
                    return here
                raise MotionError(
                    f"the stage stopped {format_quantity(missed_m, 'm')} and {format_angle(missed_rad)} short of its "
                    f"target without an error, allowed are {format_quantity(allowed_m, 'm')} and "
                    f"{format_angle(ARRIVAL_RAD)}; look into the chamber before moving on"
                )
            self.clock.sleep(ARRIVAL_POLL_S)


def changed_axes(start: StagePosition, target: StagePosition) -> AxisTargets:
    """Return the axes of ``target`` that differ from ``start`` by more than a null move."""
    changes: dict[str, float] = {}
    for axis, wanted in asdict(target).items():
        null = NULL_TURN_RAD if axis.endswith("_rad") else NULL_MOVE_M
        if abs(wanted - getattr(start, axis)) >= null:
            changes[axis] = wanted
    return AxisTargets(**changes)


def distance_m(here: StagePosition, there: StagePosition) -> float:
    """Return the distance of two positions in x, y and z."""
    return math.dist((here.x_m, here.y_m, here.z_m), (there.x_m, there.y_m, there.z_m))


def turn_rad(here: StagePosition, there: StagePosition) -> float:
    """Return the larger difference of rotation (whole turns do not count) and tilt."""
    return max(abs(math.remainder(here.r_rad - there.r_rad, math.tau)), abs(here.t_rad - there.t_rad))


def refuse_beyond_limits(target: StagePosition, limits: StageLimits) -> None:
    """Raise `StageLimitError` naming the first axis whose target is not within its limits."""
    for axis, value in asdict(target).items():
        allowed = getattr(limits, axis)
        if not allowed.contains(value):
            asked, low, high = (_format_axis(axis, number) for number in (value, allowed.low, allowed.high))
            raise StageLimitError(
                f"asked for stage {axis.split('_')[0]} = {asked}, allowed are {low} to {high}; the stage has not "
                "moved, choose a target inside the limits"
            )


def _format_axis(axis: str, value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    return format_angle(value) if axis.endswith("_rad") else f"{value * 1e3:.3f} mm"
