"""Patterns as the server returns them: times hang together, everything reads and writes (vendor-fakes.md T19)."""

from __future__ import annotations

from typing import Any

from autoscript_core.common import ApplicationServerException

from ._instrument import Instrument
from .enumerations import PatternScanDirection

RATES_M3_PER_C = {"Si": 0.27e-9, "Si-ccs": 0.27e-9, "Si-multipass": 0.27e-9, "Pt dep": 0.27e-9}
PITCH_M = 20e-9
SHORTEST_DWELL_S = 25e-9
DIRECTIONS = tuple(value for name, value in vars(PatternScanDirection).items() if not name.startswith("_"))


class RectanglePattern:
    """Rectangle; reading and writing an attribute is a call of its own."""

    def __init__(self, instrument: Instrument, client: Any, fields: dict[str, Any], *, current_a: float) -> None:
        points = max(1.0, fields["width"] / PITCH_M) * max(1.0, fields["height"] / PITCH_M)
        rate = RATES_M3_PER_C.get(fields["application_file"], 0.27e-9)
        time_s = fields["width"] * fields["height"] * fields["depth"] / rate / current_a
        values = {
            **{"rotation": 0.0, "scan_direction": "TopToBottom", "scan_type": "Raster", "enabled": True},
            **{"is_exclusion_zone": False, "dwell_time": 1e-6, "pass_count": max(1, round(time_s / points / 1e-6))},
            **fields,
        }
        object.__setattr__(self, "_fields", values)
        object.__setattr__(self, "_server", (instrument, client))
        object.__setattr__(self, "_points", points)
        values["time"] = values["pass_count"] * values["dwell_time"] * points

    def __getattr__(self, name: str) -> Any:
        if name not in self._fields:
            raise AttributeError(name)
        instrument, client = self._server
        with instrument.call(client, f"pattern.{name}"):
            return self._fields[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._fields:
            raise AttributeError(name)
        instrument, client = self._server
        with instrument.call(client, f"pattern.{name}=", value) as fault:
            if name == "scan_direction" and value not in DIRECTIONS:
                raise ApplicationServerException(f"The scan direction {value} does not exist.")
            if fault != "ignore":
                self._put(name, value)

    def _put(self, name: str, value: Any) -> None:
        fields, points = self._fields, self._points
        fields[name] = value
        if name == "time":
            fields["pass_count"] = max(1, round(value / points / fields["dwell_time"]))
            fields["dwell_time"] = value / points / fields["pass_count"]
            if fields["dwell_time"] < SHORTEST_DWELL_S:
                raise ApplicationServerException(f"The time {value} is out of range.")
        elif name in ("dwell_time", "pass_count"):
            fields["time"] = fields["pass_count"] * fields["dwell_time"] * points

    def peek(self, name: str) -> Any:
        """Return an attribute without a call, for the server's own use."""
        return self._fields[name]


class CleaningCrossSectionPattern(RectanglePattern):
    """Milled line by line."""


class RegularCrossSectionPattern(RectanglePattern):
    """Milled as a staircase."""
