"""The needle of an instrument whose simulator has none: positions and times, nothing that could be touched or seen."""

from __future__ import annotations

from collections.abc import Callable

from fibsem_runtime.core import CancelToken
from fibsem_runtime.hal import ManipulatorPose, ManipulatorPosition

SAVED = {
    ManipulatorPose.PARKED: ManipulatorPosition(x_m=-1e-3, y_m=0.0, z_m=1e-3),
    ManipulatorPose.WORKING: ManipulatorPosition(x_m=-25e-6, y_m=0.0, z_m=25e-6),
}


class InvisibleNeedle:
    """Does what it is told."""

    def __init__(self, spend: Callable[[float], None]) -> None:
        self._spend = spend
        self._here = SAVED[ManipulatorPose.PARKED]
        self._is_inserted = False

    def is_inserted(self) -> bool:
        return self._is_inserted

    def position(self) -> ManipulatorPosition:
        return self._here

    def saved_position(self, pose: ManipulatorPose) -> ManipulatorPosition:
        return SAVED[pose]

    def insert(self, pose: ManipulatorPose, *, cancel: CancelToken) -> None:
        self._spend(10.0)
        self._is_inserted, self._here = True, SAVED[pose]

    def move_to(self, target: ManipulatorPosition, *, cancel: CancelToken) -> None:
        self._spend(2.0)
        self._here = target

    def retract(self, *, cancel: CancelToken) -> None:
        self._spend(10.0)
        self._is_inserted, self._here = False, SAVED[ManipulatorPose.PARKED]
