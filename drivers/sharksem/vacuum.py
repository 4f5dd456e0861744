"""The chamber (vendor-tescan.md B4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.sharksem.connection import SharkConnection

_READY: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SharkVacuum:
    """Chamber state."""

    connection: SharkConnection

    def is_pumped(self) -> bool:
        """Read whether the chamber is at working pressure."""
        return self.connection.ask_int("VacGetStatus") == _READY
