"""The manipulator: a needle whose encoders are obeyed to the letter and whose tip goes as far as it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from drivers.simulator.body_state import NeedleState, Triple
from drivers.simulator.disturbances import Stream, generator
from drivers.simulator.handling import Hands
from drivers.simulator.machine import Machine, as_triple
from drivers.simulator.needle import PARKED_M
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import InterlockError, MotionError
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.manipulator import (
    ManipulatorChain,
    ManipulatorLimits,
    ManipulatorPose,
    ManipulatorPosition,
)

SAVED: Final = {
    ManipulatorPose.PARKED: PARKED_M,
    ManipulatorPose.STANDBY: (-180 * UM, 0.0, 180 * UM),
    ManipulatorPose.WORKING: (-25 * UM, 0.0, 25 * UM),
}
"""Saved positions: far out along the needle, in the field of an overview, near the coincidence point (assumed)."""

RANGE_M: Final = 2000 * UM
"""Reach of every axis from the coincidence point (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedManipulator:
    """Needle without a rotation, its axes those of the chamber, its origin the coincidence point."""

    machine: Machine
    hands: Hands

    @property
    def chain(self) -> ManipulatorChain:
        """Return the directions of the axes: they do not move with the stage."""
        return ManipulatorChain()

    @property
    def limits(self) -> ManipulatorLimits:
        """Return the ranges that `move_to` enforces."""
        axis = AxisLimits(low=-RANGE_M, high=RANGE_M)
        return ManipulatorLimits(x_m=axis, y_m=axis, z_m=axis)

    @property
    def is_held(self) -> bool:
        """Return what `hold` was told last; real contact does not change it."""
        return self._needle.is_held

    def hold(self, *, held: bool) -> None:
        """Keep the word; the next client of the same state finds it."""
        self._needle.is_held = held
        self.machine.save()

    def is_inserted(self) -> bool:
        """Read whether the needle is in the working space."""
        return self._needle.is_inserted

    def position(self) -> ManipulatorPosition:
        """Read the encoders; where the tip really is they do not know."""
        return _position(self._needle.position_m)

    def saved_position(self, pose: ManipulatorPose) -> ManipulatorPosition:
        """Read a kept position; all three are kept."""
        return _position(SAVED[pose])

    def insert(self, pose: ManipulatorPose, *, cancel: CancelToken) -> ManipulatorPosition:
        """Bring the retracted needle to a saved position; raise `InterlockError` when it is in already."""
        cancel.raise_if_cancelled()
        self.machine.begin("inserting the manipulator")
        needle = self._needle
        if needle.is_inserted:
            raise InterlockError("asked to insert the manipulator, it is inserted already; move it instead")
        self.machine.spend(self.machine.settings.timing.manipulator_insert_s)
        self.machine.hang_needle()
        needle.insert_count += 1
        rng = generator(self.machine.seed, Stream.NEEDLE, needle.insert_count)
        needle.bias_m = as_triple(self.machine.settings.handling.insertion_error_um * UM * rng.normal(size=3))
        needle.position_m, needle.is_inserted = SAVED[pose], True
        self.hands.settle_in()
        self.machine.save()
        return self.position()

    def move_to(self, target: ManipulatorPosition, *, cancel: CancelToken) -> ManipulatorPosition:
        """Move in a straight line and return the encoders, which arrive even where the tip is held up.

        Raises `InterlockError` when it is retracted and `MotionError` beyond its ranges; it has not moved then.
        """
        cancel.raise_if_cancelled()
        self.machine.begin("a move of the manipulator")
        if not self._needle.is_inserted:
            raise InterlockError("asked to move the manipulator while it is retracted; insert it first")
        if target.r_rad is not None:
            raise MotionError("a rotation of the manipulator was asked for, it has none; it has not moved")
        asked: Triple = (target.x_m, target.y_m, target.z_m)
        if not np.all(np.abs(asked) <= RANGE_M):
            raise MotionError(f"asked to move the manipulator to {target}, allowed are {self.limits}; it has not moved")
        self.machine.spend(self.machine.settings.timing.manipulator_move_s)
        self.hands.move(asked)
        self.machine.save()
        return self.position()

    def retract(self, *, cancel: CancelToken) -> None:
        """Back out along the needle and park it; safe to call twice. What is welded to it and free comes along."""
        if not self._needle.is_inserted:
            return
        cancel.raise_if_cancelled()
        self.machine.begin("retracting the manipulator", while_paused=True)
        self.machine.spend(self.machine.settings.timing.manipulator_insert_s)
        self.hands.move(SAVED[ManipulatorPose.PARKED])
        self._needle.is_inserted = False
        self.machine.save()

    @property
    def _needle(self) -> NeedleState:
        return self.hands.needle


def _position(at_m: Triple) -> ManipulatorPosition:
    x_m, y_m, z_m = at_m
    return ManipulatorPosition(x_m=x_m, y_m=y_m, z_m=z_m)
