"""Patterns of the server as shapes of the simulator that mills behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fibsem_runtime.core import ImagePoint
from fibsem_runtime.hal import (
    BitmapShape,
    CircleShape,
    CrossSection,
    LineShape,
    PolygonShape,
    RectangleShape,
    ScanDirection,
    Shape,
)

from ._dynamic_object_proxies import (
    LINE_WIDTH_M,
    BitmapPattern,
    CirclePattern,
    CleaningCrossSectionPattern,
    LinePattern,
    Pattern,
    PolygonPattern,
    RectanglePattern,
    RegularCrossSectionPattern,
)

CROSS_SECTIONS = {
    CleaningCrossSectionPattern: CrossSection.CLEANING,
    RegularCrossSectionPattern: CrossSection.REGULAR,
    RectanglePattern: CrossSection.RECTANGLE,
}


def simulated(pattern: Pattern, *, depth_m: float) -> Shape:
    """Return the shape that a pattern mills, to the depth that gives it the charge of its time."""
    return SHAPES[type(pattern)](pattern, depth_m)


def _centre(pattern: Pattern) -> ImagePoint:
    return ImagePoint(pattern.peek("center_x"), pattern.peek("center_y"))


def _rectangle(pattern: Pattern, depth_m: float) -> Shape:
    return RectangleShape(
        centre=_centre(pattern),
        width_m=pattern.peek("width"),
        height_m=pattern.peek("height"),
        depth_m=depth_m,
        rotation_rad=pattern.peek("rotation"),
        scan_direction=ScanDirection(pattern.peek("scan_direction")),
        cross_section=CROSS_SECTIONS[type(pattern)],  # type: ignore[index]
    )


def _line(pattern: Pattern, depth_m: float) -> Shape:
    return LineShape(
        start=ImagePoint(pattern.peek("start_x"), pattern.peek("start_y")),
        end=ImagePoint(pattern.peek("end_x"), pattern.peek("end_y")),
        width_m=LINE_WIDTH_M,
        depth_m=depth_m,
    )


def _circle(pattern: Pattern, depth_m: float) -> Shape:
    return CircleShape(
        centre=_centre(pattern),
        outer_diameter_m=pattern.peek("outer_diameter"),
        inner_diameter_m=pattern.peek("inner_diameter"),
        depth_m=depth_m,
    )


def _polygon(pattern: Pattern, depth_m: float) -> Shape:
    return PolygonShape(vertices=tuple(ImagePoint(x, y) for x, y in pattern.peek("vertices")), depth_m=depth_m)


def _bitmap(pattern: Any, depth_m: float) -> Shape:
    return BitmapShape(
        centre=_centre(pattern),
        width_m=pattern.peek("width"),
        height_m=pattern.peek("height"),
        depth_m=depth_m,
        depth_fraction=tuple(map(tuple, pattern.dwell_fraction())),
    )


SHAPES: dict[type[Pattern], Callable[[Any, float], Shape]] = {
    **dict.fromkeys(CROSS_SECTIONS, _rectangle),
    LinePattern: _line,
    CirclePattern: _circle,
    PolygonPattern: _polygon,
    BitmapPattern: _bitmap,
}
