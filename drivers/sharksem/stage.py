"""The stage through SharkSEM: moves run by themselves and are watched (vendor-tescan.md B4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from drivers.essence.ports import AxisTargets
from drivers.essence.values import to_position
from drivers.sharksem.connection import SharkConnection
from drivers.sharksem.convert import to_axes, to_limits
from fibsem_runtime.core import CancelToken, Clock, StagePosition
from fibsem_runtime.core.errors import FibsemError, MotionError
from fibsem_runtime.hal.attempts import attempt_all, raise_unrestored
from fibsem_runtime.hal.devices import StageLimits

_POLL_S: Final = 0.5
"""The position is refreshed every 500 ms (B4)."""

_IDLE_COUNT: Final = 2
"""Answers in a row that say the stage stands; the first may come before the move has begun."""

_SOFT_LIMITS: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SharkStage:
    """Implement `drivers.essence.ports.StagePort`."""

    connection: SharkConnection
    clock: Clock
    move_timeout_s: float

    def position(self) -> StagePosition:
        """Read the encoders."""
        return to_position([float(value) for value in self.connection.ask("StgGetPosition", "FFFFF")])

    def is_calibrated(self) -> bool:
        """Read whether the stage obeys."""
        return self.connection.ask_int("StgIsCalibrated") == 1

    def limits(self) -> StageLimits:
        """Read the soft limits."""
        values = self.connection.ask("StgGetLimits", "F" * 10, _SOFT_LIMITS)
        return to_limits([float(value) for value in values])

    def move(self, targets: AxisTargets, *, cancel: CancelToken) -> None:
        """Move and wait until the stage stands; one that is cancelled, too slow or lost sight of is stopped.

        Raises `MotionError` after the time limit; `HardwareError` naming both when it cannot be stopped either.
        """
        cancel.raise_if_cancelled()
        self.connection.tell("StgMoveTo", *to_axes(targets, self.position()))
        try:
            self._wait_until_idle(cancel)
        except FibsemError as error:
            # A lost connection is opened anew for this: a stage that nobody watches must not go on.
            failures = attempt_all([("stop the stage", partial(self.connection.tell, "StgStop"))])
            if failures:
                raise_unrestored("; ".join(failures), error)
            raise

    def _wait_until_idle(self, cancel: CancelToken) -> None:
        deadline_s = self.clock.monotonic_s() + self.move_timeout_s
        idle_count = 0
        while idle_count < _IDLE_COUNT:
            cancel.raise_if_cancelled()
            if self.clock.monotonic_s() >= deadline_s:
                raise MotionError(
                    f"the stage still moved after {self.move_timeout_s:g} s and was stopped; look into the chamber"
                )
            self.clock.sleep(_POLL_S)
            idle_count = 0 if self.connection.ask_int("StgIsBusy") else idle_count + 1
