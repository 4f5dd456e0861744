"""The nanomanipulator (vendor-tescan.md A4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from drivers.essence.values import from_mm, to_mm
from drivers.tescan.convert import to_flag, to_manipulator_limits, to_manipulator_position
from drivers.tescan.link import Link
from drivers.tescan.settings import ManipulatorSettings
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import HardwareError, MotionError, NotSupportedError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.hal.manipulator import (
    ManipulatorChain,
    ManipulatorLimits,
    ManipulatorPose,
    ManipulatorPosition,
)

T = TypeVar("T")

ARRIVED_M: Final = 1e-6
"""How near a move must end (assumed; the guards' default)."""

PARKED_M: Final = 50e-6
"""How near the parking position counts as parked (assumed)."""

_SOFT_LIMITS: Final = 1
"""Kind of limits asked for; the SDK's numbers are not public, assumed those of ``StgGetLimits`` (B4)."""

_POSES: Final = {ManipulatorPose.STANDBY: "Standby", ManipulatorPose.WORKING: "Working"}


@dataclass(slots=True, kw_only=True)
class SdkManipulator:
    """Needle that refuses every move until it is calibrated (fibsem#130)."""

    link: Link
    settings: ManipulatorSettings
    move_timeout_s: float
    _is_held: bool = field(default=False, init=False)

    @property
    def is_held(self) -> bool:
        """Return what `hold` was told last; the instrument does not know."""
        return self._is_held

    def hold(self, *, held: bool) -> None:
        """Keep the word until the connection is closed; a new one must be told again."""
        self._is_held = held

    @property
    def chain(self) -> ManipulatorChain | None:
        """Return None: how its axes lie to the columns is not public (vendor-geometry.md section 8)."""
        return None

    @property
    def limits(self) -> ManipulatorLimits:
        """Read the ranges of the axes."""
        return self._read("GetLimits", to_manipulator_limits, _SOFT_LIMITS)

    def is_inserted(self) -> bool:
        """Read whether it is away from its parking position."""
        return self._distance_from_parking_m() > PARKED_M

    def position(self) -> ManipulatorPosition:
        """Read where it is."""
        return self._read("GetPosition", to_manipulator_position)

    def saved_position(self, pose: ManipulatorPose) -> ManipulatorPosition:
        """Return a position that the settings know; the SDK moves to its saved positions but does not tell them."""
        known = {ManipulatorPose.STANDBY: self.settings.standby_mm, ManipulatorPose.WORKING: self.settings.working_mm}
        place_mm = known.get(pose)
        if place_mm is None:
            raise NotSupportedError(
                f"the manipulator's {pose.value} position was asked for and TESCAN does not tell it; read it at the "
                "instrument and set manipulator.standby_mm and working_mm (parked is where retracting ends)"
            )
        x_m, y_m, z_m = (from_mm(value) for value in place_mm)
        return ManipulatorPosition(x_m=x_m, y_m=y_m, z_m=z_m, r_rad=self.position().r_rad)

    def insert(self, pose: ManipulatorPose, *, cancel: CancelToken) -> ManipulatorPosition:
        """Bring it to a saved position; raise `MotionError` when it is not where the settings say."""
        wanted = self.saved_position(pose)
        cancel.raise_if_cancelled()
        self._go(_POSES[pose])
        return self._arrived(wanted)

    def move_to(self, target: ManipulatorPosition, *, cancel: CancelToken) -> ManipulatorPosition:
        """Move it and return the position read back; raise `MotionError` when it is elsewhere."""
        cancel.raise_if_cancelled()
        self._require_calibration()
        r_rad = target.r_rad if target.r_rad is not None else self.position().r_rad
        place = (to_mm(target.x_m), to_mm(target.y_m), to_mm(target.z_m), math.degrees(r_rad or 0.0))
        self._call("MoveTo", *place, timeout_s=self.move_timeout_s)
        return self._arrived(target)

    def retract(self, *, cancel: CancelToken) -> None:
        """Park it and read back that it is parked; raise `HardwareError` when it is not calibrated or missed."""
        if not self.is_inserted():
            return
        cancel.raise_if_cancelled()
        self._go("Parking")
        missed_m = self._distance_from_parking_m()
        if missed_m > PARKED_M:
            raise HardwareError(
                f"the manipulator stands {format_quantity(missed_m, 'm')} from its parking position after it was sent "
                "there; look into the chamber before anything moves"
            )

    def _go(self, saved: str) -> None:
        self._require_calibration()
        self._call(
            "MoveToPosition", self.link.value(f"Nanomanipulator.Position.{saved}"), timeout_s=self.move_timeout_s
        )

    def _require_calibration(self) -> None:
        if not self._read("IsCalibrated", to_flag):
            raise HardwareError("the manipulator is not calibrated and refuses to move; calibrate it at the instrument")

    def _arrived(self, wanted: ManipulatorPosition) -> ManipulatorPosition:
        found = self.position()
        missed_m = math.dist((found.x_m, found.y_m, found.z_m), (wanted.x_m, wanted.y_m, wanted.z_m))
        if missed_m > ARRIVED_M:
            raise MotionError(
                f"the manipulator stands {format_quantity(missed_m, 'm')} from where it was sent; look into the "
                "chamber before anything moves"
            )
        return found

    def _distance_from_parking_m(self) -> float:
        here = self.position()
        parking_m = tuple(from_mm(value) for value in self.settings.parking_mm)
        return math.dist((here.x_m, here.y_m, here.z_m), parking_m)

    def _call(self, name: str, *args: Any, timeout_s: float | None = None) -> None:
        index = self.settings.index
        self.link.call(f"Nanomanipulator.{name}", index, *args, family=MotionError, timeout_s=timeout_s)

    def _read(self, name: str, convert: Callable[[Any], T], *args: Any) -> T:
        return self.link.read(f"Nanomanipulator.{name}", convert, self.settings.index, *args, family=MotionError)
