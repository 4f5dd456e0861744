"""The stage through the SDK: absolute, blocking, no limits query (vendor-tescan.md A4)."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.essence.ports import AxisTargets
from drivers.essence.values import to_position
from drivers.tescan.convert import from_targets, to_flag
from drivers.tescan.link import Link
from fibsem_runtime.core import CancelToken, StagePosition
from fibsem_runtime.core.errors import MotionError


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkStage:
    """Implement `drivers.essence.ports.StagePort`; a move that has begun cannot be interrupted."""

    link: Link
    move_timeout_s: float

    def position(self) -> StagePosition:
        """Read the encoders."""
        return self.link.read("Stage.GetPosition", to_position, family=MotionError)

    def is_calibrated(self) -> bool:
        """Read whether the stage obeys."""
        return self.link.read("Stage.IsCalibrated", to_flag, family=MotionError)

    def move(self, targets: AxisTargets, *, cancel: CancelToken) -> None:
        """Move and block until the SDK returns."""
        cancel.raise_if_cancelled()
        self.link.call("Stage.MoveTo", *from_targets(targets), family=MotionError, timeout_s=self.move_timeout_s)
