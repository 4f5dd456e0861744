"""Chamber, nanomanipulator and gas lines of the fake, in the vendor's units: mm, degrees, Pa."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tescan.exposure import Refused
from tescan.timing import LazyClock

READY, PUMPING, VENTING, OPEN = 0, 1, 2, 4
"""States of the vacuum system (vendor-tescan.md B4)."""

PUMPING_S = VENTING_S = 180.0
"""Pumping and venting take minutes (odemis waits 300 s)."""

HEATING_S = 20.0

PARKING_MM, STANDBY_MM, WORKING_MM = (-8.918, 0.655, -4.849), (0.0, 0.0, 5.45), (0.0, 0.0, 5.85)
"""Parking of the AMBER simulator, and its standby and working z (vendor-tescan.md A4); x and y of those invented."""

LIMITS_MM = (-10.0, 10.0, -10.0, 10.0, -6.0, 8.0, -180.0, 180.0)


@dataclass
class Chamber:
    """Vacuum system and camera."""

    clock: LazyClock
    status_now: int = READY
    becomes: int = READY
    at_s: float = 0.0

    @property
    def status(self) -> int:
        """Return the state, which a started change reaches in its time."""
        if self.status_now != self.becomes and self.clock.monotonic_s() >= self.at_s:
            self.status_now = self.becomes
        return self.status_now

    @status.setter
    def status(self, value: int) -> None:
        self.status_now = self.becomes = value

    def pressure_pa(self) -> float:
        """Return what the chamber gauge reads."""
        return 1e-4 if self.status == READY else 1e5 if self.status == OPEN else 10.0

    def pump(self) -> None:
        """Begin to pump."""
        self._begin(PUMPING, READY, PUMPING_S)

    def vent(self) -> None:
        """Begin to vent."""
        self._begin(VENTING, OPEN, VENTING_S)

    def picture(self) -> NDArray[np.uint8]:
        """Return what the camera sees: a stage between two columns, as far as light and dark go."""
        rows, columns = np.mgrid[0:96, 0:128]
        bright = 40 + 100 * (rows > 60) + 80 * (np.abs(columns - 64) < 18) * (rows < 40)
        return bright.astype(np.uint8)

    def _begin(self, status: int, becomes: int, duration_s: float) -> None:
        self.status_now, self.becomes = status, becomes
        self.at_s = self.clock.monotonic_s() + duration_s


@dataclass
class Needle:
    """Nanomanipulator: refuses until it is calibrated (S13)."""

    place_mm: tuple[float, float, float] = PARKING_MM
    rotation_deg: float = 0.0
    is_calibrated: bool = True
    stops_short_mm: float = 0.0

    def position(self) -> tuple[float, float, float, float]:
        """Return x, y, z, rotation."""
        return (*self.place_mm, self.rotation_deg)

    def move(self, x: float, y: float, z: float, rotation: float) -> None:
        """Move inside the limits."""
        if not self.is_calibrated:
            raise Refused("manipulator is not calibrated")
        for value, low, high in zip((x, y, z, rotation), LIMITS_MM[::2], LIMITS_MM[1::2], strict=True):
            if not low <= value <= high:
                raise Refused("manipulator target out of range")
        self.place_mm, self.rotation_deg = (x + self.stops_short_mm, y, z), rotation

    def go(self, saved: str) -> None:
        """Go to a saved position."""
        places = {"Parking": PARKING_MM, "Standby": STANDBY_MM, "Working": WORKING_MM}
        self.move(*places[saved], self.rotation_deg)


@dataclass
class GasLine:
    """Needle, heater and valve; warm some time after heating began (S9)."""

    clock: LazyClock
    position: str = "Home"
    valve_is_open: bool = False
    needs_outgassing: bool = False
    is_stuck_cold: bool = False
    heated_since_s: float | None = field(default=None)

    def heat(self, on: bool) -> None:
        """Switch the heater."""
        if not on:
            self.heated_since_s = None
        elif self.heated_since_s is None:
            self.heated_since_s = self.clock.monotonic_s()

    def is_ready(self) -> bool:
        """Tell whether the line is warm."""
        since_s = self.heated_since_s
        return since_s is not None and not self.is_stuck_cold and self.clock.monotonic_s() - since_s >= HEATING_S

    def open_valve(self) -> None:
        """Open, unless the line must be outgassed first."""
        if self.needs_outgassing:
            raise Exception("Error.OutgasRequired")
        self.valve_is_open = True

    def outgas(self) -> None:
        """Outgas."""
        self.needs_outgassing = False
