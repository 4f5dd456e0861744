"""The stage behind its guards."""

from __future__ import annotations

from dataclasses import dataclass

from fibsem_runtime.core import CancelToken, StagePosition
from fibsem_runtime.hal.devices import Stage, StageLimits
from fibsem_runtime.hal.guards.interlocks import Interlocks
from fibsem_runtime.hal.guards.limits import check_arrival, check_length, check_limits, check_rotation
from fibsem_runtime.hal.guards.settings import GuardSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedStage:
    """Refuse moves that leave the limits, meet something or start while milling; notice those that do not arrive."""

    stage: Stage
    interlocks: Interlocks
    settings: GuardSettings

    @property
    def limits(self) -> StageLimits:
        """Return the axis limits, those that are enforced here."""
        return self.stage.limits

    def position(self) -> StagePosition:
        """Read the encoders."""
        return self.stage.position()

    def move_to(self, target: StagePosition, *, cancel: CancelToken) -> StagePosition:
        """Move when nothing forbids it and return the position read back.

        Raises `StageLimitError` or `InterlockError` before anything has moved, `MotionError` when the stage is not
        where it was sent.
        """
        check_limits(self.limits, target)
        self.interlocks.refuse_unless_idle("move the stage")
        self.interlocks.refuse_with_needles("move the stage")
        here = self.stage.position()
        check_length(here, target, self.settings)
        check_rotation(here, target)
        cancel.raise_if_cancelled()
        self.stage.move_to(target, cancel=cancel)
        reached = self.stage.position()
        check_arrival(target, reached, self.settings)
        return reached
