"""Shapes as the vendor's patterns: metres from the field's centre, y up (vendor-thermofisher.md section 13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from drivers.thermofisher.sdk import Sdk
from fibsem_runtime.core.errors import NotSupportedError
from fibsem_runtime.hal.shapes import (
    BitmapShape,
    CircleShape,
    CrossSection,
    LineShape,
    PolygonShape,
    RectangleShape,
    ScanDirection,
    Shape,
)

_RECTANGLES: Final = {
    CrossSection.RECTANGLE: "create_rectangle",
    CrossSection.REGULAR: "create_regular_cross_section",
    CrossSection.CLEANING: "create_cleaning_cross_section",
}

_SCAN_DIRECTIONS: Final = {
    ScanDirection.TOP_TO_BOTTOM: "TopToBottom",
    ScanDirection.BOTTOM_TO_TOP: "BottomToTop",
    ScanDirection.LEFT_TO_RIGHT: "LeftToRight",
    ScanDirection.RIGHT_TO_LEFT: "RightToLeft",
}


def create_pattern(sdk: Sdk, patterning: Any, shape: Shape) -> Any:
    """Create one pattern and return it, with the vendor's own values for all that the shape does not say."""
    depth_m = shape.depth_m
    if isinstance(shape, LineShape):
        return patterning.create_line(shape.start.x_m, shape.start.y_m, shape.end.x_m, shape.end.y_m, depth_m)
    if isinstance(shape, PolygonShape):
        return patterning.create_polygon([[vertex.x_m, vertex.y_m] for vertex in shape.vertices], depth=depth_m)
    x_m, y_m = shape.centre.x_m, shape.centre.y_m
    if isinstance(shape, CircleShape):
        return patterning.create_circle(x_m, y_m, shape.outer_diameter_m, shape.inner_diameter_m, depth_m)
    place = (x_m, y_m, shape.width_m, shape.height_m, depth_m)
    if isinstance(shape, BitmapShape):
        return patterning.create_bitmap(*place, bitmap_definition(sdk, shape))
    return getattr(patterning, _RECTANGLES[shape.cross_section])(*place)


def bitmap_definition(sdk: Sdk, shape: BitmapShape) -> Any:
    """Return the points of a bitmap, (rows from the top, columns, [share of the dwell time, blank]) as objects.

    Numbers of any other type do not load on an instrument (fibsem#78).
    """
    dwell_fraction = np.array(shape.depth_fraction, np.float64)
    points = np.empty((*dwell_fraction.shape, 2), object)
    points[..., 0] = dwell_fraction
    points[..., 1] = (dwell_fraction == 0).astype(int)
    definition = sdk.structures.BitmapPatternDefinition()
    definition.points = points
    return definition


def sizes(shape: Shape) -> Mapping[str, float]:
    """Return the attributes of the pattern that must read back as they were asked for, metres."""
    if isinstance(shape, RectangleShape | BitmapShape):
        return {"width": shape.width_m, "height": shape.height_m, "depth": shape.depth_m}
    return {"depth": shape.depth_m}


def scan_direction(shape: RectangleShape) -> str:
    """Return the vendor's name of a scan direction; raise `NotSupportedError` for one that it does not know."""
    name = _SCAN_DIRECTIONS.get(shape.scan_direction)
    if name is None:
        raise NotSupportedError(
            f"asked for the scan direction {shape.scan_direction}, available are "
            f"{', '.join(_SCAN_DIRECTIONS.values())}; nothing was drawn"
        )
    return name
