"""The needle behind its guards."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import InterlockError, MotionError
from fibsem_runtime.core.units import format_angle, format_quantity
from fibsem_runtime.hal.guards.interlocks import Interlocks
from fibsem_runtime.hal.guards.settings import GuardSettings
from fibsem_runtime.hal.manipulator import (
    Manipulator,
    ManipulatorChain,
    ManipulatorLimits,
    ManipulatorPose,
    ManipulatorPosition,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedManipulator:
    """Refuse moves of the needle that leave its ranges, are longer than a step needs or happen while milling."""

    manipulator: Manipulator
    interlocks: Interlocks
    settings: GuardSettings

    @property
    def chain(self) -> ManipulatorChain | None:
        """Return the directions of the axes."""
        return self.manipulator.chain

    @property
    def limits(self) -> ManipulatorLimits:
        """Return the ranges, those that are enforced here."""
        return self.manipulator.limits

    @property
    def is_held(self) -> bool:
        """Return whether it touches or holds the sample."""
        return self.manipulator.is_held

    def hold(self, *, held: bool) -> None:
        """Say that it touches or holds the sample, or no longer does; never refused."""
        self.manipulator.hold(held=held)

    def is_inserted(self) -> bool:
        """Read whether it is in the chamber's working space."""
        return self.manipulator.is_inserted()

    def position(self) -> ManipulatorPosition:
        """Read where it is."""
        return self.manipulator.position()

    def saved_position(self, pose: ManipulatorPose) -> ManipulatorPosition:
        """Read a position that the instrument keeps."""
        return self.manipulator.saved_position(pose)

    def insert(self, pose: ManipulatorPose, *, cancel: CancelToken) -> ManipulatorPosition:
        """Bring the retracted needle to a saved position; raise `InterlockError` when something forbids it."""
        self.interlocks.refuse_unless_idle("insert the manipulator")
        self.interlocks.refuse_with_gas_needle("insert the manipulator")
        if self.manipulator.is_inserted():
            raise InterlockError("asked to insert the manipulator, it is inserted already; move it instead")
        cancel.raise_if_cancelled()
        self.manipulator.insert(pose, cancel=cancel)
        if not self.manipulator.is_inserted():
            raise MotionError("the manipulator was inserted, the instrument says that it is not; look at it")
        return self.manipulator.position()

    def move_to(self, target: ManipulatorPosition, *, cancel: CancelToken) -> ManipulatorPosition:
        """Move the inserted needle and return the position read back.

        Raises `InterlockError` before anything has moved when it is retracted, while milling, beside a gas needle,
        beyond its ranges, for a rotation of a needle that has none, or farther than ``guards.max_manipulator_move_um``;
        `MotionError` when it does not arrive.
        """
        self.interlocks.refuse_unless_idle("move the manipulator")
        self.interlocks.refuse_with_gas_needle("move the manipulator")
        if not self.manipulator.is_inserted():
            raise InterlockError("asked to move the manipulator while it is retracted; insert it first")
        here = self.manipulator.position()
        self._check_target(here, target)
        cancel.raise_if_cancelled()
        self.manipulator.move_to(target, cancel=cancel)
        reached = self.manipulator.position()
        self._check_turn(target, reached)
        missed_m = _distance_m(target, reached)
        if not missed_m <= self.settings.manipulator_tolerance_m:
            raise MotionError(
                f"the manipulator stopped {format_quantity(missed_m, 'm')} from where it was sent, allowed are "
                f"{format_quantity(self.settings.manipulator_tolerance_m, 'm')}; look at it before anything moves"
            )
        return reached

    def retract(self, *, cancel: CancelToken) -> None:
        """Park it and confirm that it is retracted; safe to call twice.

        Raises `InterlockError` while milling and while it touches or holds the sample (safety.md section 2, step 5).
        """
        if self.manipulator.is_held:
            raise InterlockError(
                "asked to retract the manipulator while it touches or holds the sample; it stays where it is, part "
                "them and say so first"
            )
        self.interlocks.refuse_while_milling("retract the manipulator")
        self.manipulator.retract(cancel=cancel)
        if self.manipulator.is_inserted():
            raise MotionError("the manipulator was retracted, the instrument says that it is not; look at it")

    def _check_target(self, here: ManipulatorPosition, target: ManipulatorPosition) -> None:
        for axis, value_m, limits in (
            ("x", target.x_m, self.limits.x_m),
            ("y", target.y_m, self.limits.y_m),
            ("z", target.z_m, self.limits.z_m),
        ):
            if not limits.contains(value_m):
                raise InterlockError(
                    f"asked to move the manipulator to {axis} = {format_quantity(value_m, 'm')}, allowed are "
                    f"{format_quantity(limits.low, 'm')} to {format_quantity(limits.high, 'm')}; it has not moved"
                )
        _check_rotation(here, target)
        length_m = _distance_m(here, target)
        if length_m > self.settings.max_manipulator_move_m:
            raise InterlockError(
                f"asked to move the manipulator by {format_quantity(length_m, 'm')} at once, allowed are "
                f"{format_quantity(self.settings.max_manipulator_move_m, 'm')} (guards.max_manipulator_move_um); "
                "it has not moved"
            )

    def _check_turn(self, target: ManipulatorPosition, reached: ManipulatorPosition) -> None:
        """Raise `MotionError` when a rotation that was asked for did not arrive; whole turns do not count."""
        if target.r_rad is None:
            return
        missed_rad = math.nan if reached.r_rad is None else abs(math.remainder(reached.r_rad - target.r_rad, math.tau))
        if not missed_rad <= self.settings.angle_tolerance_rad:
            raise MotionError(
                f"the manipulator stopped {format_angle(missed_rad)} from where it was to turn, allowed are "
                f"{format_angle(self.settings.angle_tolerance_rad)}; look at it before anything moves"
            )


def _check_rotation(here: ManipulatorPosition, target: ManipulatorPosition) -> None:
    if target.r_rad is None:
        return
    if here.r_rad is None:
        raise InterlockError(
            f"asked to turn the manipulator to {format_angle(target.r_rad)}, it has no rotation; it has not moved"
        )
    if not abs(target.r_rad) <= math.tau:
        raise InterlockError(
            f"asked to turn the manipulator to {format_angle(target.r_rad)}, allowed are "
            f"{format_angle(-math.tau)} to {format_angle(math.tau)}; it has not moved"
        )


def _distance_m(a: ManipulatorPosition, b: ManipulatorPosition) -> float:
    return math.dist((a.x_m, a.y_m, a.z_m), (b.x_m, b.y_m, b.z_m))
