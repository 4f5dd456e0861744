"""Points and positions; the frame is the type."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from fibsem_runtime.core.errors import ConfigError


class BeamType(StrEnum):
    """Name the column an image was taken with."""

    ELECTRON = "ELECTRON"
    ION = "ION"


@dataclass(frozen=True, slots=True)
class PixelPoint:
    """Image pixels from the top left corner, x right, y down; (0, 0) is the outer corner of the first pixel.

    Sub-pixel values are allowed; a ``height x width`` image spans 0..width and 0..height.
    """

    x_px: float
    y_px: float


@dataclass(frozen=True, slots=True)
class ImagePoint:
    """Metres from the image centre, x right, y up: the frame of patterns and image moves."""

    x_m: float
    y_m: float

    @property
    def length_m(self) -> float:
        """Return the distance from the image centre."""
        return math.hypot(self.x_m, self.y_m)

    def __add__(self, other: ImagePoint) -> ImagePoint:
        return ImagePoint(self.x_m + other.x_m, self.y_m + other.y_m)

    def __sub__(self, other: ImagePoint) -> ImagePoint:
        return ImagePoint(self.x_m - other.x_m, self.y_m - other.y_m)

    def __neg__(self) -> ImagePoint:
        return ImagePoint(-self.x_m, -self.y_m)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePosition:
    """Raw stage frame, the one the vendor reports: metres and radians."""

    x_m: float
    y_m: float
    z_m: float
    r_rad: float
    t_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecimenPosition:
    """Point fixed to the specimen: x, y along its surface, z along its normal, metres.

    The frame rides on the shuttle (pre-tilt included). x and y are the image axes at the flat-to-SEM pose without
    scan rotation, z points out of the surface. The origin is the point at coincidence when the stage stands at
    (0, 0, eucentric z, reference rotation, t = pre-tilt).
    """

    x_m: float
    y_m: float
    z_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeArea:
    """Part of a frame as fractions of its width and height, origin top left."""

    left_fraction: float
    top_fraction: float
    width_fraction: float
    height_fraction: float

    def __post_init__(self) -> None:
        inside = (
            0 <= self.left_fraction < 1
            and 0 <= self.top_fraction < 1
            and 0 < self.width_fraction <= 1 - self.left_fraction + 1e-9
            and 0 < self.height_fraction <= 1 - self.top_fraction + 1e-9
        )
        if not inside:
            raise ConfigError(f"a reduced area must lie inside the frame, got {self}")

    def to_pixels(self, width_px: int, height_px: int) -> tuple[int, int, int, int]:
        """Return ``(left, top, width, height)`` in whole pixels of a full frame, at least one pixel each way."""
        left_px = round(self.left_fraction * width_px)
        top_px = round(self.top_fraction * height_px)
        return (
            left_px,
            top_px,
            max(1, min(width_px - left_px, round(self.width_fraction * width_px))),
            max(1, min(height_px - top_px, round(self.height_fraction * height_px))),
        )


def pixel_to_image(point: PixelPoint, shape: tuple[int, int], pixel_size_m: float) -> ImagePoint:
    """Convert pixels to metres from the centre of an image of ``shape = (height, width)``, without flooring the centre.

    x = (px - W/2) * pixel, y = (H/2 - py) * pixel (vendor-geometry.md section 10).
    """
    height_px, width_px = shape
    return ImagePoint((point.x_px - width_px / 2) * pixel_size_m, (height_px / 2 - point.y_px) * pixel_size_m)


def image_to_pixel(point: ImagePoint, shape: tuple[int, int], pixel_size_m: float) -> PixelPoint:
    """Convert metres from the image centre to pixels; the inverse of `pixel_to_image`."""
    height_px, width_px = shape
    return PixelPoint(width_px / 2 + point.x_m / pixel_size_m, height_px / 2 - point.y_m / pixel_size_m)
