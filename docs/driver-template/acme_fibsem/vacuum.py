"""The chamber's vacuum: one of the devices that an instrument may have or not."""

from __future__ import annotations

from dataclasses import dataclass

from acme_fibsem.convert import PA_PER_MBAR, vendor_errors
from acme_fibsem.memory import MemoryInstrument
from fibsem_runtime.core.errors import VacuumError

WORKING_PRESSURE_PA = 1e-1
"""High vacuum begins below 0.1 Pa (ISO 3529-1); ask your vendor at which pressure the columns may be opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmeVacuum:
    """Implement `fibsem_runtime.hal.Vacuum`."""

    instrument: MemoryInstrument

    def is_pumped(self) -> bool:
        """Read whether the chamber is at working pressure."""
        return self.pressure_pa() < WORKING_PRESSURE_PA

    def pressure_pa(self) -> float:
        """Read the chamber pressure."""
        with vendor_errors("read the pressure", VacuumError):
            return self.instrument.pressure_mbar() * PA_PER_MBAR
