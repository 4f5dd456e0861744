"""Cells on a film: seen from above in electron overviews and as a low hill in grazing ion images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image, PixelPoint
from fibsem_runtime.core.errors import FeatureNotFoundError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.imaging.blobs import BlobLimits, Region, drop_duplicates, find_regions
from fibsem_runtime.imaging.filters import smooth, to_float

_PIXELS_PER_DIAMETER: Final = 24
"""Working resolution: the smallest cell is this many pixels wide (assumed: enough to outline it)."""
_REACH_RATIO: Final = 1.5
"""How far from the asked point a cell is looked for, in expected widths (assumed: less than the spacing of cells)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """One cell in an image: middle, extents, and how much of its outline is a sure edge (0..1)."""

    centre: PixelPoint
    width_px: float
    height_px: float
    contrast_score: float


def find_cells(image: Image, *, min_diameter_m: float, max_diameter_m: float) -> list[Blob]:
    """Find the cells of an electron image, the surest first.

    Both extents of a cell lie between the two diameters. Grid bars, holes, crystals and what the image cuts off are no
    cells. Returns an empty list when there is none.
    """
    values, pixels = _shrink_to(image, min_diameter_m)
    limits = BlobLimits(
        min_width_px=0.9 * min_diameter_m / image.pixel_size_m / pixels,
        max_width_px=1.1 * max_diameter_m / image.pixel_size_m / pixels,
        min_height_px=0.9 * min_diameter_m / image.pixel_size_m / pixels,
        max_height_px=1.1 * max_diameter_m / image.pixel_size_m / pixels,
    )
    regions = [region for signal in _signals(values) for region in find_regions(signal, limits)]
    return [_to_blob(region, pixels) for region in drop_duplicates(regions)]


def find_cell_near(image: Image, point: PixelPoint, *, expected_width_m: float) -> Blob:
    """Find the cell nearest to ``point`` in a grazing ion image, where it is seen as a low hill.

    Its width is 0.5 to 1.8 of ``expected_width_m``, its height 0.12 to 1.2 of it. Raises `FeatureNotFoundError` when
    there is none within 1.5 expected widths.
    """
    values, pixels = _shrink_to(image, expected_width_m / 2)
    width_px = expected_width_m / image.pixel_size_m / pixels
    limits = BlobLimits(
        min_width_px=0.5 * width_px,
        max_width_px=1.8 * width_px,
        min_height_px=0.12 * width_px,
        max_height_px=1.2 * width_px,
        min_solidity_ratio=0.75,
    )
    x_px, y_px = point.x_px / pixels, point.y_px / pixels
    near = [
        (region.outline_score / (1 + math.hypot(region.x_px - x_px, region.y_px - y_px) / width_px), region)
        for region in find_regions(smooth(values, 1.5), limits)
        if math.hypot(region.x_px - x_px, region.y_px - y_px) <= _REACH_RATIO * width_px
    ]
    if not near:
        raise FeatureNotFoundError(
            f"no cell within {format_quantity(_REACH_RATIO * expected_width_m, 'm')} of x {point.x_px:.0f}, "
            f"y {point.y_px:.0f} px in the ion image; check contrast and whether the site is in the field"
        )
    return _to_blob(max(near, key=lambda pair: pair[0])[1], pixels)


def _shrink_to(image: Image, diameter_m: float) -> tuple[NDArray[np.float32], float]:
    """Return the gray values at working resolution and how many image pixels make one of theirs."""
    pixels = max(1.0, diameter_m / image.pixel_size_m / _PIXELS_PER_DIAMETER)
    values = to_float(image)
    if pixels > 1:
        size = (round(values.shape[1] / pixels), round(values.shape[0] / pixels))
        values = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    return values, image.shape[1] / values.shape[1]


def _signals(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return brightness and strength of texture: a cell differs from the film in at least one of them."""
    detail = values - smooth(values, 2.0)
    return smooth(values, 1.5), np.sqrt(smooth(detail * detail, 2.5))


def _to_blob(region: Region, pixels: float) -> Blob:
    return Blob(
        centre=PixelPoint(region.x_px * pixels, region.y_px * pixels),
        width_px=region.width_px * pixels,
        height_px=region.height_px * pixels,
        contrast_score=region.outline_score,
    )
