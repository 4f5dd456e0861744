"""The chamber (vendor-tescan.md A4, B4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.tescan.convert import to_number
from drivers.tescan.link import Link
from fibsem_runtime.core.errors import VacuumError

_READY: Final = 0
"""``VacGetStatus`` of SharkSEM (B4); what the SDK returns is not public, assumed equal."""

_CHAMBER_GAUGE: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkVacuum:
    """Chamber state; pumping and venting are not in the SDK."""

    link: Link

    def is_pumped(self) -> bool:
        """Read whether the chamber is at working pressure."""
        return self.link.read("Chamber.GetStatus", to_number, family=VacuumError) == _READY

    def pressure_pa(self) -> float:
        """Read the chamber gauge."""
        return self.link.read("Chamber.GetPressure", float, _CHAMBER_GAUGE, family=VacuumError)
