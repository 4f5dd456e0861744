"""The electron column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.essence.column import EssenceColumn, refused
from drivers.essence.ports import ElectronPort
from drivers.essence.settings import ElectronColumnSettings
from fibsem_runtime.core import BeamSettings
from fibsem_runtime.core.errors import RefusedSettingError
from fibsem_runtime.core.units import format_quantity

CURRENT_TOLERANCE_RATIO = 0.05
VOLTAGE_TOLERANCE_RATIO = 0.01
WORKING_DISTANCE_TOLERANCE_M = 2e-6
"""How near a setting must read back (assumed; the guards' defaults)."""


@dataclass(kw_only=True)
class EssenceElectronBeam(EssenceColumn[ElectronPort, ElectronColumnSettings]):
    """Current, voltage and focus are settable; the electrostatic blanker keeps the beam off the sample."""

    @property
    def available_currents_a(self) -> Sequence[float]:
        """Return the currents that the site offers, ascending; the column itself is continuous."""
        return self.limits.currents_a

    def settings(self) -> BeamSettings:
        """Read the state of the beam."""
        return BeamSettings(
            voltage_v=self.port.voltage_v(),
            beam_current_a=self.port.current_a(),
            working_distance_m=self.port.working_distance_m(),
            hfw_m=self.port.field_m(),
            shift=self._shift(),
            scan_rotation_rad=self.scan_rotation_rad(),
        )

    def is_blanked(self) -> bool:
        """Read the blanker."""
        return self.port.is_blanked()

    def set_current(self, beam_current_a: float) -> float:
        """Set one of the offered currents and wait until it has settled; refuse any other."""
        offered_a = self.available_currents_a
        wanted_a = next((a for a in offered_a if math.isclose(a, beam_current_a, rel_tol=1e-6)), None)
        if wanted_a is None:
            listed = ", ".join(format_quantity(a, "A") for a in offered_a)
            raise RefusedSettingError(
                f"{self.name}: asked for a current of {format_quantity(beam_current_a, 'A')}, available are {listed}; "
                "it was not changed"
            )
        self.port.set_current(wanted_a)
        deadline_s = self.clock.monotonic_s() + self.limits.current_settling_s
        while not math.isclose(found_a := self.port.current_a(), wanted_a, rel_tol=CURRENT_TOLERANCE_RATIO):
            if self.clock.monotonic_s() >= deadline_s:
                raise refused(self.name, "current", format_quantity(wanted_a, "A"), format_quantity(found_a, "A"))
            self.clock.sleep(0.5)
        return found_a

    def set_voltage(self, voltage_v: float) -> float:
        """Set the voltage (blocks the instrument for up to 20 s) and return it read back."""
        self.port.set_voltage(voltage_v)
        self.wait_until_ready()
        found_v = self.port.voltage_v()
        if not math.isclose(found_v, voltage_v, rel_tol=VOLTAGE_TOLERANCE_RATIO):
            raise refused(self.name, "voltage", format_quantity(voltage_v, "V"), format_quantity(found_v, "V"))
        return found_v

    def set_working_distance(self, working_distance_m: float) -> float:
        """Focus and return the working distance read back."""
        self.port.set_working_distance(working_distance_m)
        found_m = self.port.working_distance_m()
        if not abs(found_m - working_distance_m) <= WORKING_DISTANCE_TOLERANCE_M:
            asked, found = format_quantity(working_distance_m, "m"), format_quantity(found_m, "m")
            raise refused(self.name, "working distance", asked, found)
        return found_m

    def set_blanked(self, *, blanked: bool) -> bool:
        """Switch the blanker and return its state; an unblanked beam is given the time it needs to be usable."""
        if self.port.is_blanked() is blanked:
            return blanked
        self.port.set_blanked(blanked=blanked)
        found = self.port.is_blanked()
        if found is not blanked:
            raise refused(self.name, "blanker", "on" if blanked else "off", "on" if found else "off")
        if not blanked:
            self.clock.sleep(self.limits.unblanking_s)
        return found
