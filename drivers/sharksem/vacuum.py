"""The chamber (vendor-tescan.md B4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.sharksem.connection import SharkConnection
from fibsem_runtime.core import CancelToken, Clock
from fibsem_runtime.core.errors import InterlockError, VacuumError

_READY, _OPEN = 0, 4
_ERROR: Final = -1
_STATES: Final = {_ERROR: "error", _READY: "ready", 1: "pumping", 2: "venting", 3: "off", _OPEN: "open"}
"""Answers of ``VacGetStatus``."""

_CHAMBER_GAUGE: Final = 0
_BEAM_OFF: Final = 0
_POLL_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SharkVacuum:
    """Chamber state."""

    connection: SharkConnection

    def is_pumped(self) -> bool:
        """Read whether the chamber is at working pressure."""
        return self.status() == _READY

    def pressure_pa(self) -> float:
        """Read the chamber gauge."""
        return self.connection.ask_float("VacGetPressure", _CHAMBER_GAUGE)

    def status(self) -> int:
        """Read the state of the vacuum system."""
        return self.connection.ask_int("VacGetStatus")


@dataclass(frozen=True, slots=True, kw_only=True)
class SharkPump:
    """Pump and vent; the commands return at once, the state is polled.

    ``get_beams`` are the functions that read both beams.
    """

    vacuum: SharkVacuum
    get_beams: tuple[str, ...]
    clock: Clock
    timeout_s: float

    def pump(self, *, cancel: CancelToken) -> None:
        """Pump and wait for working pressure; raise `VacuumError` on an error or after the time limit."""
        self._change("VacPump", _READY, cancel)

    def vent(self, *, cancel: CancelToken) -> None:
        """Vent and wait until the chamber is open; raise `VacuumError` on an error or after the time limit.

        Raises `InterlockError` unless both beams read off: a high voltage that is changing (1000) or unknown (-1) is
        neither on nor off.
        """
        for function in self.get_beams:
            found = self.vacuum.connection.ask_int(function)
            if found != _BEAM_OFF:
                raise InterlockError(
                    f"asked to vent the chamber while {function} reads {found}, needed is {_BEAM_OFF} (off); switch "
                    "both beams off and wait"
                )
        self._change("VacVent", _OPEN, cancel)

    def _change(self, command: str, wanted: int, cancel: CancelToken) -> None:
        cancel.raise_if_cancelled()
        self.vacuum.connection.tell(command)
        deadline_s = self.clock.monotonic_s() + self.timeout_s
        while (found := self.vacuum.status()) != wanted:
            cancel.raise_if_cancelled()
            if found == _ERROR or self.clock.monotonic_s() >= deadline_s:
                raise VacuumError(
                    f"{command}: the chamber should be {_STATES[wanted]}, the vacuum system says "
                    f"{_STATES.get(found, str(found))}; look at it in Essence"
                )
            self.clock.sleep(_POLL_S)
