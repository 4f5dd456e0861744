"""The gas injection lines (vendor-tescan.md A4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from drivers.tescan.link import Link
from fibsem_runtime.core import CancelToken, Clock
from fibsem_runtime.core.errors import HardwareError

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
        return bool(self.link.call("GIS.GetTemperatureReady", self._line(line)))

    def insert(self, line: str, *, cancel: CancelToken) -> None:
        """Bring a line to the sample and read back that it is there."""
        cancel.raise_if_cancelled()
        chosen = self._line(line)
        working = self.link.value("GIS.Position.Working")
        self.link.call("GIS.MoveTo", chosen, working, timeout_s=self.move_timeout_s)
        if self.link.call("GIS.GetPosition", chosen) != working:
            raise HardwareError(f"the gas line {line} is not at its working position after it was sent there")

    def open_valve(self, line: str) -> None:
        """Open the valve, outgassing the line first where the instrument asks for that; read back that it is open."""
        chosen = self._line(line)
        try:
            self.link.call("GIS.OpenValve", chosen)
        except HardwareError as error:
            if _OUTGAS_REQUIRED not in str(error):
                raise
            self.link.call("GIS.Outgas", chosen, timeout_s=self.move_timeout_s)
            self.link.call("GIS.OpenValve", chosen)
        if not self.link.call("GIS.GetValveStatus", chosen):
            raise HardwareError(f"the valve of the gas line {line} reads closed after it was opened")

    def close_valve(self, line: str) -> None:
        """Close the valve of a line and read back that it is closed."""
        self._close(self._line(line))

    def retract(self, *, cancel: CancelToken) -> None:
        """Close the valves, bring the lines home, switch heating off; each is tried, what failed is raised then."""
        cancel.raise_if_cancelled()
        failures: list[str] = []
        for line in self.found:
            try:
                self._retract(line)
            except HardwareError as error:
                failures.append(f"{line.name}: {error}")
        if failures:
            raise HardwareError(f"{'; '.join(failures)}; close the gas at the instrument")

    def _retract(self, line: Any) -> None:
        self._close(line)
        if self._is_out(line):
            home = self.link.value("GIS.Position.Home")
            self.link.call("GIS.MoveTo", line, home, timeout_s=self.move_timeout_s)
            if self._is_out(line):
                raise HardwareError("it is not home after it was sent there")
        self.link.call("GIS.PrepareTemperature", line, False)

    def _close(self, line: Any) -> None:
        if self.link.call("GIS.GetValveStatus", line):
            self.link.call("GIS.CloseValve", line)
            if self.link.call("GIS.GetValveStatus", line):
                raise HardwareError("its valve still reads open after it was closed")

    def _is_out(self, line: Any) -> bool:
        return bool(self.link.call("GIS.GetPosition", line) != self.link.value("GIS.Position.Home"))

    def _line(self, name: str) -> Any:
        for line in self.found:
            if line.name == name:
                return line
        raise HardwareError(f"there is no gas line {name!r}, but: {', '.join(self.lines)}")
