"""Primitive shapes that an instrument can mill, in metres from the field centre (x right, y up)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from fibsem_runtime.core.frames import ImagePoint


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RectangleShape:
    """Rectangle around ``centre``; ``depth_m`` is measured along the ion beam, rotation is counter-clockwise."""

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


Shape: TypeAlias = RectangleShape


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
