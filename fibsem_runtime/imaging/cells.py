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
from fibsem_runtime.imaging.blobs import BlobLimits, Region, find_regions
from fibsem_runtime.imaging.contours import find_outlines, rim_strength
from fibsem_runtime.imaging.filters import smooth, to_float

_OUTLINE_PIXEL_M: Final = 0.4e-6
_RIM_FINE_M: Final = 0.35e-6
_RIM_COARSE_M: Final = 1.2e-6
_RIM_WIDTH_M: Final = 0.6e-6
"""Working pixel and sizes of the bright rim of a cell: tuned on simulated overviews of 195 nm pixels (assumed)."""
_MIN_SCORE: Final = 0.3
_HILL_PIXEL_COUNT: Final = 48
"""Pixels across a hill at working resolution (assumed: enough to outline it)."""
_HILL_BLUR_PX: Final = 1.5
_WEAKEST_OUTLINE, _SURE_OUTLINE = 0.6, 0.8
_WEAKEST_CONTRAST, _SURE_CONTRAST = 2.0, 3.0
"""Where a score rises from 0 to 1: outline score, and contrast in standard deviations of the film. On simulated images
at 15° streaks of empty film have outlines up to 0.66, cells 0.79-0.95 and contrasts of 2.75-5 (measured, 28 scenes)."""
_MIN_HILL_SCORE: Final = 0.5
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
    """Find the cells of an electron image by their closed outlines, the surest first.

    Both diameters bound the extents of a cell. Grid bars, holes, crystals and what the image cuts off have no closed
    outline of that size. Returns an empty list when there is no cell; a score of 0.5 separates the cells of simulated
    overviews from empty film, weaker ones are neighbours to keep away from rather than sites.
    """
    values, pixels = _shrink_to(image, _OUTLINE_PIXEL_M)
    per_m = 1 / (image.pixel_size_m * pixels)
    outlines = find_outlines(
        rim_strength(values, _RIM_FINE_M * per_m, _RIM_COARSE_M * per_m),
        min_radius_px=min_diameter_m / 2 * per_m,
        max_radius_px=max_diameter_m / 2 * per_m,
        rim_px=_RIM_WIDTH_M * per_m,
        min_score=_MIN_SCORE,
    )
    return [
        Blob(
            centre=PixelPoint(outline.x_px * pixels, outline.y_px * pixels),
            width_px=outline.width_px * pixels,
            height_px=outline.height_px * pixels,
            contrast_score=outline.score,
        )
        for outline in outlines
    ]


def find_cell_near(image: Image, point: PixelPoint, *, expected_width_m: float) -> Blob:
    """Find the cell nearest to ``point`` in a grazing ion image, where it is seen as a low hill.

    Its width is 0.55 to 1.8 of ``expected_width_m``, its height 0.18 to 1.2 of it. Raises `FeatureNotFoundError` when
    there is none within 1.5 expected widths.
    """
    values, pixels = _shrink_to(image, expected_width_m / _HILL_PIXEL_COUNT)
    width_px = expected_width_m / image.pixel_size_m / pixels
    limits = BlobLimits(
        min_width_px=0.55 * width_px,
        max_width_px=1.8 * width_px,
        min_height_px=0.18 * width_px,
        max_height_px=1.2 * width_px,
        min_solidity_ratio=0.75,
        min_score=_WEAKEST_OUTLINE,
    )
    signal = smooth(values, _HILL_BLUR_PX)
    found = [(_hill_score(region, signal), region) for region in find_regions(signal, limits)]
    distances_px = [math.hypot(r.x_px - point.x_px / pixels, r.y_px - point.y_px / pixels) for _, r in found]
    near = [
        (score / (1 + distance_px / width_px), score, region)
        for (score, region), distance_px in zip(found, distances_px, strict=True)
        if score >= _MIN_HILL_SCORE and distance_px <= _REACH_RATIO * width_px
    ]
    if not near:
        raise FeatureNotFoundError(
            f"no cell within {format_quantity(_REACH_RATIO * expected_width_m, 'm')} of x {point.x_px:.0f}, "
            f"y {point.y_px:.0f} px in the ion image; check contrast and whether the site is in the field"
        )
    _, score, region = max(near, key=lambda row: row[0])
    return Blob(
        centre=PixelPoint(region.x_px * pixels, region.y_px * pixels),
        width_px=region.width_px * pixels,
        height_px=region.height_px * pixels,
        contrast_score=score,
    )


def _hill_score(region: Region, signal: NDArray[np.float32]) -> float:
    """Return how surely a region is a hill: outlined all around and unlike the film in the middle (0..1)."""
    middle = float(np.median(signal))
    spread = 1.4826 * float(np.median(np.abs(signal - middle))) + 1e-9
    half_width_px, half_height_px = max(1, round(region.width_px / 4)), max(1, round(region.height_px / 4))
    x_px, y_px = int(region.x_px), int(region.y_px)
    inside = signal[
        max(0, y_px - half_height_px) : y_px + half_height_px + 1,
        max(0, x_px - half_width_px) : x_px + half_width_px + 1,
    ]
    contrast = abs(float(inside.mean()) - middle) / spread
    return _ramp(region.outline_score, _WEAKEST_OUTLINE, _SURE_OUTLINE) * _ramp(
        contrast, _WEAKEST_CONTRAST, _SURE_CONTRAST
    )


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _shrink_to(image: Image, pixel_size_m: float) -> tuple[NDArray[np.float32], float]:
    """Return the gray values at a working pixel size and how many image pixels make one of theirs."""
    pixels = max(1.0, pixel_size_m / image.pixel_size_m)
    values = to_float(image)
    if pixels > 1:
        size = (round(values.shape[1] / pixels), round(values.shape[0] / pixels))
        values = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    return values, image.shape[1] / values.shape[1]
