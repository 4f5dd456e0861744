"""Primitive shapes that an instrument can mill, in metres from the field centre (x right, y up)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.core.frames import ImagePoint
from fibsem_runtime.hal.box import Box, box_around, turned_box


class ScanDirection(StrEnum):
    """Name the direction in which the milled line advances."""

    TOP_TO_BOTTOM = "TopToBottom"
    BOTTOM_TO_TOP = "BottomToTop"
    LEFT_TO_RIGHT = "LeftToRight"
    RIGHT_TO_LEFT = "RightToLeft"


class CrossSection(StrEnum):
    """Name how a rectangle is milled: whole area, staircase, or line by line towards the face."""

    RECTANGLE = "Rectangle"
    REGULAR = "RegularCrossSection"
    CLEANING = "CleaningCrossSection"


class ShapeKind(StrEnum):
    """Name a primitive shape; an instrument says which it can mill (`Milling.shape_kinds`)."""

    RECTANGLE = "Rectangle"
    LINE = "Line"
    CIRCLE = "Circle"
    POLYGON = "Polygon"
    BITMAP = "Bitmap"


@dataclass(frozen=True, slots=True, kw_only=True)
class RectangleShape:
    """Rectangle around ``centre``; ``depth_m`` is measured along the ion beam, rotation is counter-clockwise."""

    kind: ClassVar[ShapeKind] = ShapeKind.RECTANGLE

    centre: ImagePoint
    width_m: float
    height_m: float
    depth_m: float
    rotation_rad: float = 0.0
    scan_direction: ScanDirection = ScanDirection.TOP_TO_BOTTOM
    cross_section: CrossSection = CrossSection.RECTANGLE

    @property
    def area_m2(self) -> float:
        """Return the milled area in the image plane."""
        return self.width_m * self.height_m

    @property
    def box(self) -> Box:
        """Return the upright box around the turned rectangle."""
        return turned_box(self.centre, self.width_m, self.height_m, self.rotation_rad)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineShape:
    """Straight line milled in repeated single passes.

    ``width_m`` is the width that the beam mills, its diameter at the milling current: it turns ``depth_m`` into dose.
    """

    kind: ClassVar[ShapeKind] = ShapeKind.LINE

    start: ImagePoint
    end: ImagePoint
    width_m: float
    depth_m: float

    @property
    def length_m(self) -> float:
        """Return the distance between both ends."""
        return (self.end - self.start).length_m

    @property
    def centre(self) -> ImagePoint:
        """Return the middle of the line."""
        return ImagePoint((self.start.x_m + self.end.x_m) / 2, (self.start.y_m + self.end.y_m) / 2)

    @property
    def area_m2(self) -> float:
        """Return the milled area in the image plane."""
        return self.length_m * self.width_m

    @property
    def box(self) -> Box:
        """Return the upright box around the line."""
        return box_around([self.start, self.end])


@dataclass(frozen=True, slots=True, kw_only=True)
class CircleShape:
    """Disc, or ring where ``inner_diameter_m`` is above 0."""

    kind: ClassVar[ShapeKind] = ShapeKind.CIRCLE

    centre: ImagePoint
    outer_diameter_m: float
    depth_m: float
    inner_diameter_m: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.inner_diameter_m < self.outer_diameter_m < math.inf:
            raise ConfigError(
                f"a circle of {self.outer_diameter_m:g} m with a hole of {self.inner_diameter_m:g} m was asked for; "
                "the hole is smaller than the circle and neither is negative"
            )

    @property
    def area_m2(self) -> float:
        """Return the milled area in the image plane."""
        return math.pi / 4 * (self.outer_diameter_m**2 - self.inner_diameter_m**2)

    @property
    def box(self) -> Box:
        """Return the upright box around the circle."""
        return turned_box(self.centre, self.outer_diameter_m, self.outer_diameter_m, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonShape:
    """Area inside a closed line through ``vertices``, at least three, that does not cross itself."""

    kind: ClassVar[ShapeKind] = ShapeKind.POLYGON

    vertices: tuple[ImagePoint, ...]
    depth_m: float

    def __post_init__(self) -> None:
        if len(self.vertices) < 3:
            raise ConfigError(f"a polygon of {len(self.vertices)} points was asked for; give at least three")

    @property
    def centre(self) -> ImagePoint:
        """Return the middle of the upright box around the polygon."""
        return self.box.centre

    @property
    def area_m2(self) -> float:
        """Return the milled area in the image plane (shoelace formula)."""
        following = (*self.vertices[1:], self.vertices[0])
        return abs(sum(a.x_m * b.y_m - b.x_m * a.y_m for a, b in zip(self.vertices, following, strict=True))) / 2

    @property
    def box(self) -> Box:
        """Return the upright box around the polygon."""
        return box_around(self.vertices)


@dataclass(frozen=True, slots=True, kw_only=True)
class BitmapShape:
    """Upright rectangle whose depth varies from place to place.

    ``depth_fraction``: rows from the top, each the shares (0 to 1) of ``depth_m`` from left to right; all rows have
    the same length.
    """

    kind: ClassVar[ShapeKind] = ShapeKind.BITMAP

    centre: ImagePoint
    width_m: float
    height_m: float
    depth_m: float
    depth_fraction: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        lengths = {len(row) for row in self.depth_fraction}
        if len(lengths) != 1 or 0 in lengths:
            raise ConfigError("a bitmap needs rows of one length, at least one point each")
        if not all(0 <= share <= 1 for row in self.depth_fraction for share in row):
            raise ConfigError("a bitmap holds shares of its depth, 0 to 1")

    @property
    def mean_depth_fraction(self) -> float:
        """Return the average share of the depth."""
        rows = self.depth_fraction
        return sum(map(sum, rows)) / (len(rows) * len(rows[0]))

    @property
    def area_m2(self) -> float:
        """Return the area that, milled to ``depth_m`` all over, takes the same dose."""
        return self.width_m * self.height_m * self.mean_depth_fraction

    @property
    def box(self) -> Box:
        """Return the rectangle."""
        return turned_box(self.centre, self.width_m, self.height_m, 0.0)


Shape: TypeAlias = RectangleShape | LineShape | CircleShape | PolygonShape | BitmapShape


@dataclass(frozen=True, slots=True, kw_only=True)
class MillingSettings:
    """Conditions of one milling stage.

    ``application`` names the vendor's recipe or the material; ``dose_c_per_m3`` is the charge per removed volume
    (the inverse of the removal rate) that turns a depth into beam time.
    """

    beam_current_a: float
    voltage_v: float
    hfw_m: float
    application: str
    dose_c_per_m3: float
