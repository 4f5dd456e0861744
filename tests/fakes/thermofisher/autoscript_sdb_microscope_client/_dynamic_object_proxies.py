"""Patterns as the server returns them: times hang together, everything reads and writes (vendor-fakes.md T19)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from autoscript_core.common import ApplicationServerException

from ._instrument import Instrument
from .enumerations import PatternScanDirection

RATES_M3_PER_C = {"Si": 0.27e-9, "Si-ccs": 0.27e-9, "Si-multipass": 0.27e-9, "Pt dep": 0.27e-9}
PITCH_M = 20e-9
LINE_WIDTH_M = 50e-9
"""Width that a line is taken to mill when its time is estimated."""
SHORTEST_DWELL_S = 25e-9
DIRECTIONS = tuple(value for name, value in vars(PatternScanDirection).items() if not name.startswith("_"))


class Pattern:
    """One pattern; reading and writing an attribute is a call of its own."""

    ARGUMENTS: ClassVar[tuple[str, ...]]

    def __init__(self, instrument: Instrument, client: Any, fields: dict[str, Any], *, current_a: float) -> None:
        object.__setattr__(self, "_fields", fields)
        object.__setattr__(self, "_server", (instrument, client))
        points, rate = self.points(), RATES_M3_PER_C.get(fields["application_file"], 0.27e-9)
        time_s = self.area_m2() * fields["depth"] / rate / current_a
        values = {
            **{"rotation": 0.0, "scan_direction": "TopToBottom", "scan_type": "Raster", "enabled": True},
            **{"is_exclusion_zone": False, "dwell_time": 1e-6, "pass_count": max(1, round(time_s / points / 1e-6))},
            **fields,
        }
        values["time"] = values["pass_count"] * values["dwell_time"] * points
        object.__setattr__(self, "_fields", values)
        object.__setattr__(self, "_points", points)

    def area_m2(self) -> float:
        """Return the area that is milled, bitmaps weighted by their dwell."""
        raise NotImplementedError

    def smallest_m(self) -> float:
        """Return the extent that must not be too small for the field."""
        raise NotImplementedError

    def points(self) -> float:
        """Return how many places the beam stops at in one pass."""
        return max(1.0, self.area_m2() / PITCH_M**2)

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


class RectanglePattern(Pattern):
    """Milled as a whole."""

    ARGUMENTS = ("center_x", "center_y", "width", "height", "depth")

    def area_m2(self) -> float:
        return float(self.peek("width") * self.peek("height"))

    def smallest_m(self) -> float:
        return float(min(self.peek("width"), self.peek("height")))


class CleaningCrossSectionPattern(RectanglePattern):
    """Milled line by line."""


class RegularCrossSectionPattern(RectanglePattern):
    """Milled as a staircase."""


class LinePattern(Pattern):
    """Milled along its length."""

    ARGUMENTS = ("start_x", "start_y", "end_x", "end_y", "depth")

    def smallest_m(self) -> float:
        return math.hypot(self.peek("end_x") - self.peek("start_x"), self.peek("end_y") - self.peek("start_y"))

    def area_m2(self) -> float:
        return self.smallest_m() * LINE_WIDTH_M


class CirclePattern(Pattern):
    """Disc or ring."""

    ARGUMENTS = ("center_x", "center_y", "outer_diameter", "inner_diameter", "depth")

    def area_m2(self) -> float:
        return float(math.pi / 4 * (self.peek("outer_diameter") ** 2 - self.peek("inner_diameter") ** 2))

    def smallest_m(self) -> float:
        return float(self.peek("outer_diameter") - self.peek("inner_diameter")) / 2


class PolygonPattern(Pattern):
    """Area inside a closed line."""

    ARGUMENTS = ("vertices", "depth")

    def area_m2(self) -> float:
        vertices = np.asarray(self.peek("vertices"), float)
        x, y = vertices.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)

    def smallest_m(self) -> float:
        return float(np.ptp(np.asarray(self.peek("vertices"), float), axis=0).min())


class BitmapPattern(RectanglePattern):
    """Rectangle with a dwell time for every point."""

    ARGUMENTS = (*RectanglePattern.ARGUMENTS, "bitmap_pattern_definition")

    def dwell_fraction(self) -> Any:
        """Return the shares of the dwell time, 0 where the beam is blanked."""
        points = self.peek("bitmap_pattern_definition").points
        return points[..., 0].astype(float) * (points[..., 1] == 0)

    def area_m2(self) -> float:
        return super().area_m2() * float(self.dwell_fraction().mean())


def refuse_bad_bitmap(definition: Any) -> None:
    """Raise for points that an instrument does not load: H x W x 2 objects, a share 0 to 1 and a flag (fibsem#78)."""
    points = getattr(definition, "points", None)
    is_array = isinstance(points, np.ndarray) and points.dtype == object and points.ndim == 3 and points.shape[2] == 2
    if not is_array or not all(
        isinstance(share, float) and 0 <= share <= 1 and flag in (0, 1) for share, flag in points.reshape(-1, 2)
    ):
        raise ApplicationServerException("The bitmap pattern cannot be loaded.")
