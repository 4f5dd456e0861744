"""The stage."""

from __future__ import annotations

from dataclasses import dataclass

from acme_fibsem.convert import to_axes, to_position, vendor_errors
from acme_fibsem.memory import MemoryInstrument
from fibsem_runtime.core import CancelToken, StagePosition
from fibsem_runtime.core.errors import MotionError
from fibsem_runtime.hal import StageLimits, check_limits

POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmeStage:
    """Implement `fibsem_runtime.hal.Stage`."""

    instrument: MemoryInstrument
    limits: StageLimits
    move_timeout_s: float

    def position(self) -> StagePosition:
        """Read the encoders; never a cached value."""
        with vendor_errors("read the stage position", MotionError):
            return to_position(self.instrument.stage_position())

    def move_to(self, target: StagePosition, *, cancel: CancelToken) -> StagePosition:
        """Move, wait until the stage stands still, return the position read back; a cancelled move is stopped."""
        check_limits(self.limits, target)
        cancel.raise_if_cancelled()
        clock = self.instrument.clock
        deadline_s = clock.monotonic_s() + self.move_timeout_s
        with vendor_errors("move the stage", MotionError):
            self.instrument.stage_move(**to_axes(target))
            while self.instrument.stage_is_moving():
                if cancel.is_cancelled or clock.monotonic_s() > deadline_s:
                    self.instrument.stage_stop()
                    cancel.raise_if_cancelled()
                    raise MotionError(
                        f"the stage still moved after {self.move_timeout_s:g} s and was stopped; look into the chamber"
                    )
                clock.sleep(POLL_S)
        return self.position()
