"""The chamber."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.thermofisher.connection import Connection
from fibsem_runtime.core.errors import VacuumError


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherVacuum:
    """Chamber state (vendor-thermofisher.md section 14); pumping and venting stay with a person."""

    connection: Connection

    def is_pumped(self) -> bool:
        """Read whether the chamber is at working pressure."""
        state = self.connection.call(
            "read the chamber state", lambda c: str(c.vacuum.chamber_state), family=VacuumError
        )
        return state == "Pumped"
