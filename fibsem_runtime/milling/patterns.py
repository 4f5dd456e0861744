"""The pattern catalogue: validated settings in the units people speak that compile to primitive shapes.

Geometry and defaults are those of fibsemOS (milling.md section 1, interop.md section 3.2). A pattern lies around its
``point_um``, micrometres from the target, x right and y up in the ion image; depth is measured along the ion beam.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from fibsem_runtime.core import ImagePoint
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal.shapes import CrossSection, RectangleShape, ScanDirection

MAX_LENGTH_UM = 950.0
"""Longest side of a pattern: the largest field of view offered to users (milling.md section 1)."""

LengthUm: TypeAlias = Annotated[float, Field(gt=0, le=MAX_LENGTH_UM)]
DepthUm: TypeAlias = Annotated[float, Field(gt=0, le=100)]
CoordinateUm: TypeAlias = Annotated[float, Field(ge=-MAX_LENGTH_UM / 2, le=MAX_LENGTH_UM / 2)]

_ORIGIN = ImagePoint(0.0, 0.0)


class BasePattern(BaseModel):
    """What every pattern has; frozen, unknown keys and infinite numbers forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    point_um: tuple[CoordinateUm, CoordinateUm] = (0.0, 0.0)
    depth_um: DepthUm = 1.0

    def centre(self, offset: ImagePoint = _ORIGIN) -> ImagePoint:
        """Return the middle of the pattern, moved by ``offset``."""
        return ImagePoint(self.point_um[0] * UM, self.point_um[1] * UM) + offset


class RectanglePattern(BasePattern):
    """One rectangle, rotated counter-clockwise around its middle."""

    kind: Literal["rectangle"] = "rectangle"
    width_um: LengthUm = 10.0
    height_um: LengthUm = 5.0
    rotation_deg: float = Field(default=0.0, ge=-180, le=180)
    scan_direction: ScanDirection = ScanDirection.TOP_TO_BOTTOM
    cross_section: CrossSection = CrossSection.RECTANGLE

    def shapes(self, offset: ImagePoint = _ORIGIN) -> list[RectangleShape]:
        """Return the rectangle."""
        return [
            RectangleShape(
                centre=self.centre(offset),
                width_m=self.width_um * UM,
                height_m=self.height_um * UM,
                depth_m=self.depth_um * UM,
                rotation_rad=math.radians(self.rotation_deg),
                scan_direction=self.scan_direction,
                cross_section=self.cross_section,
            )
        ]


class TrenchPattern(BasePattern):
    """Two rectangles that leave a lamella of ``spacing_um`` between them.

    The upper one comes first. Each is scanned towards the lamella, so that redeposition never lands on its face.
    """

    kind: Literal["trench"] = "trench"
    width_um: LengthUm = 10.0
    spacing_um: LengthUm = 5.0
    upper_height_um: LengthUm = 5.0
    lower_height_um: LengthUm = 5.0
    cross_section: CrossSection = CrossSection.RECTANGLE

    def shapes(self, offset: ImagePoint = _ORIGIN) -> list[RectangleShape]:
        """Return the upper and the lower rectangle, at +-(spacing + height) / 2 from the middle."""
        upper_m = (self.spacing_um + self.upper_height_um) / 2 * UM
        lower_m = -(self.spacing_um + self.lower_height_um) / 2 * UM
        return [
            self._side(offset, upper_m, self.upper_height_um, ScanDirection.TOP_TO_BOTTOM),
            self._side(offset, lower_m, self.lower_height_um, ScanDirection.BOTTOM_TO_TOP),
        ]

    def _side(self, offset: ImagePoint, y_m: float, height_um: float, direction: ScanDirection) -> RectangleShape:
        return RectangleShape(
            centre=self.centre(offset) + ImagePoint(0.0, y_m),
            width_m=self.width_um * UM,
            height_m=height_um * UM,
            depth_m=self.depth_um * UM,
            scan_direction=direction,
            cross_section=self.cross_section,
        )


class FiducialPattern(BasePattern):
    """Cross of two bars; an asymmetric one has one arm less, so that it cannot be mistaken for its own mirror image."""

    kind: Literal["fiducial"] = "fiducial"
    width_um: LengthUm = 1.0
    height_um: LengthUm = 10.0
    rotation_deg: float = Field(default=45.0, ge=-180, le=180)
    asymmetric: bool = False
    cross_section: CrossSection = CrossSection.RECTANGLE

    def shapes(self, offset: ImagePoint = _ORIGIN) -> list[RectangleShape]:
        """Return the bar at ``rotation_deg`` and the bar across it."""
        rotation_rad = math.radians(self.rotation_deg)
        height_m = self.height_um * UM
        first = self._bar(self.centre(offset), height_m, rotation_rad)
        if self.asymmetric:
            along = ImagePoint(-math.sin(rotation_rad) * height_m / 4, math.cos(rotation_rad) * height_m / 4)
            first = self._bar(self.centre(offset) + along, height_m / 2, rotation_rad)
        return [first, self._bar(self.centre(offset), height_m, rotation_rad + math.pi / 2)]

    def _bar(self, centre: ImagePoint, height_m: float, rotation_rad: float) -> RectangleShape:
        return RectangleShape(
            centre=centre,
            width_m=self.width_um * UM,
            height_m=height_m,
            depth_m=self.depth_um * UM,
            rotation_rad=rotation_rad,
            cross_section=self.cross_section,
        )


class MicroExpansionPattern(BasePattern):
    """Two upright slots beside the lamella that let the support move (Wolff 2019)."""

    kind: Literal["micro_expansion"] = "micro_expansion"
    width_um: LengthUm = 0.5
    height_um: LengthUm = 15.0
    distance_um: LengthUm = 10.0

    def shapes(self, offset: ImagePoint = _ORIGIN) -> list[RectangleShape]:
        """Return the left and the right slot, at +-``distance_um`` from the middle."""
        return [
            RectangleShape(
                centre=self.centre(offset) + ImagePoint(side * self.distance_um * UM, 0.0),
                width_m=self.width_um * UM,
                height_m=self.height_um * UM,
                depth_m=self.depth_um * UM,
            )
            for side in (-1, 1)
        ]


Pattern: TypeAlias = Annotated[
    RectanglePattern | TrenchPattern | FiducialPattern | MicroExpansionPattern, Field(discriminator="kind")
]
