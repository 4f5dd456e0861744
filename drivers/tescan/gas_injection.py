"""The gas injection lines (vendor-tescan.md A4): close every valve, bring every line home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drivers.tescan.link import Link
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import HardwareError


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkGasInjection:
    """All lines of the instrument taken together."""

    link: Link
    lines: tuple[Any, ...]
    move_timeout_s: float

    def is_inserted(self) -> bool:
        """Read whether any line is away from home."""
        return any(self._is_out(line) for line in self.lines)

    def retract(self, *, cancel: CancelToken) -> None:
        """Close the valves, then bring the lines home; every line is tried, what failed is raised afterwards."""
        cancel.raise_if_cancelled()
        failures: list[str] = []
        for line in self.lines:
            try:
                self._retract(line)
            except HardwareError as error:
                failures.append(f"{line.name}: {error}")
        if failures:
            raise HardwareError(f"{'; '.join(failures)}; close the gas at the instrument")

    def _retract(self, line: Any) -> None:
        if self.link.call("GIS.GetValveStatus", line):
            self.link.call("GIS.CloseValve", line)
            if self.link.call("GIS.GetValveStatus", line):
                raise HardwareError("its valve still reads open after it was closed")
        if self._is_out(line):
            home = self.link.value("GIS.Position.Home")
            self.link.call("GIS.MoveTo", line, home, timeout_s=self.move_timeout_s)
            if self._is_out(line):
                raise HardwareError("it is not home after it was sent there")

    def _is_out(self, line: Any) -> bool:
        return bool(self.link.call("GIS.GetPosition", line) != self.link.value("GIS.Position.Home"))
