"""The nanomanipulator (vendor-tescan.md A4): is it parked, and park it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from drivers.tescan.convert import from_mm
from drivers.tescan.link import Link
from drivers.tescan.settings import ManipulatorSettings
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import HardwareError
from fibsem_runtime.core.units import format_quantity

PARKED_M: Final = 50e-6
"""How near the parking position counts as parked (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkManipulator:
    """Needle that can be asked where it is and sent to its parking position."""

    link: Link
    settings: ManipulatorSettings
    move_timeout_s: float

    def is_inserted(self) -> bool:
        """Read whether it is away from its parking position."""
        return self._distance_from_parking_m() > PARKED_M

    def retract(self, *, cancel: CancelToken) -> None:
        """Park it and read back that it is parked; raise `HardwareError` when it is not calibrated or missed."""
        if not self.is_inserted():
            return
        cancel.raise_if_cancelled()
        index = self.settings.index
        if not self.link.call("Nanomanipulator.IsCalibrated", index):
            raise HardwareError("the manipulator is not calibrated and refuses to move; calibrate it at the instrument")
        parking = self.link.value("Nanomanipulator.Position.Parking")
        self.link.call("Nanomanipulator.MoveToPosition", index, parking, timeout_s=self.move_timeout_s)
        missed_m = self._distance_from_parking_m()
        if missed_m > PARKED_M:
            raise HardwareError(
                f"the manipulator stands {format_quantity(missed_m, 'm')} from its parking position after it was sent "
                "there; look into the chamber before anything moves"
            )

    def _distance_from_parking_m(self) -> float:
        here_mm = self.link.call("Nanomanipulator.GetPosition", self.settings.index)[:3]
        return from_mm(math.dist([float(value) for value in here_mm], self.settings.parking_mm))
