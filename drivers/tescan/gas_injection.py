"""The gas injection lines (vendor-tescan.md A4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from drivers.tescan.convert import to_answer, to_flag
from drivers.tescan.link import Link
from fibsem_runtime.core import CancelToken, Clock
from fibsem_runtime.core.errors import HardwareError, InterlockError
from fibsem_runtime.hal.attempts import Attempt, attempt_all

HEATING_POLL_S: Final = 2.0

_OUTGAS_REQUIRED: Final = "OutgasRequired"
"""What the SDK says when a line must be outgassed before its valve opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkGasInjection:
    """All lines of the instrument; those that this driver has heated cool down again when they are retracted."""

    link: Link
    found: tuple[Any, ...]
    clock: Clock
    move_timeout_s: float
    heating_timeout_s: float

    @property
    def lines(self) -> Sequence[str]:
        """Return the names of the lines."""
        return [line.name for line in self.found]

    def is_inserted(self) -> bool:
        """Read whether any line is away from home."""
        return any(self._is_out(line) for line in self.found)

    def prepare(self, line: str, *, cancel: CancelToken) -> None:
        """Heat a line and wait until it is ready; raise `HardwareError` when it is not in time."""
        cancel.raise_if_cancelled()
        self.link.call("GIS.PrepareTemperature", self._line(line), True)
        deadline_s = self.clock.monotonic_s() + self.heating_timeout_s
        while not self.is_ready(line):
            cancel.raise_if_cancelled()
            if self.clock.monotonic_s() >= deadline_s:
                raise HardwareError(
                    f"the gas line {line} is not warm after {self.heating_timeout_s:g} s; look at its heater"
                )
            self.clock.sleep(HEATING_POLL_S)

    def is_ready(self, line: str) -> bool:
        """Read whether a line has its temperature."""
        return self.link.read("GIS.GetTemperatureReady", to_flag, self._line(line))

    def insert(self, line: str, *, cancel: CancelToken) -> None:
        """Bring a line to the sample and read back that it is there."""
        cancel.raise_if_cancelled()
        chosen = self._line(line)
        working = self.link.value("GIS.Position.Working")
        self.link.call("GIS.MoveTo", chosen, working, timeout_s=self.move_timeout_s)
        if self.link.read("GIS.GetPosition", to_answer, chosen) != working:
            raise HardwareError(f"the gas line {line} is not at its working position after it was sent there")

    def open_valve(self, line: str) -> None:
        """Open the valve, outgassing the line first where the instrument asks for that; read back that it is open.

        Raises `InterlockError` when the line's own needle is not at its working position: gas would flow at home.
        """
        chosen = self._line(line)
        if self.link.read("GIS.GetPosition", to_answer, chosen) != self.link.value("GIS.Position.Working"):
            raise InterlockError(
                f"asked to open the valve of the gas line {line}, its needle is not at its working position; insert it "
                "first"
            )
        try:
            self.link.call("GIS.OpenValve", chosen)
        except HardwareError as error:
            if _OUTGAS_REQUIRED not in str(error):
                raise
            self.link.call("GIS.Outgas", chosen, timeout_s=self.move_timeout_s)
            self.link.call("GIS.OpenValve", chosen)
        if not self._is_open(chosen):
            raise HardwareError(f"the valve of the gas line {line} reads closed after it was opened")

    def close_valve(self, line: str) -> None:
        """Close the valve of a line and read back that it is closed."""
        self._close(self._line(line))

    def retract(self, *, cancel: CancelToken) -> None:
        """Close all valves, then bring the lines home and switch heating off; failures are raised at the end.

        A line whose valve does not close stays where it is and counts as inserted, so that nothing goes on.
        """
        cancel.raise_if_cancelled()
        # Every valve before any needle; one that does not close is tried, and reported, once more with its line.
        attempt_all(self._each("close the valve", self._close))
        _try_all(self._each("retract the needle", self._retract))

    def close_valves(self) -> None:
        """Close every valve; each is tried, failures are raised then."""
        _try_all(self._each("close the valve", self._close))

    def _each(self, what: str, step: Callable[[Any], None]) -> list[Attempt]:
        return [(f"{what} of the gas line {line.name}", partial(step, line)) for line in self.found]

    def _retract(self, line: Any) -> None:
        self._close(line)
        if self._is_out(line):
            home = self.link.value("GIS.Position.Home")
            self.link.call("GIS.MoveTo", line, home, timeout_s=self.move_timeout_s)
            if self._is_out(line):
                raise HardwareError("it is not home after it was sent there")
        self.link.call("GIS.PrepareTemperature", line, False)

    def _close(self, line: Any) -> None:
        if self._is_open(line):
            self.link.call("GIS.CloseValve", line)
            if self._is_open(line):
                raise HardwareError("its valve still reads open after it was closed")

    def _is_open(self, line: Any) -> bool:
        return self.link.read("GIS.GetValveStatus", to_flag, line)

    def _is_out(self, line: Any) -> bool:
        return bool(self.link.read("GIS.GetPosition", to_answer, line) != self.link.value("GIS.Position.Home"))

    def _line(self, name: str) -> Any:
        for line in self.found:
            if line.name == name:
                return line
        raise HardwareError(f"there is no gas line {name!r}, but: {', '.join(self.lines)}")


def _try_all(attempts: Iterable[Attempt]) -> None:
    failures = attempt_all(attempts)
    if failures:
        raise HardwareError(f"{'; '.join(failures)}; close the gas at the instrument")
