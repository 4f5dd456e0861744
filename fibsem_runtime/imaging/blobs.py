"""Compact regions that stand out from what surrounds them, found at whatever gray level outlines them best.

A stack of thresholds gives connected regions (the idea of maximally stable regions, Matas 2004, Image Vision Comput.
22, 761); of the regions at one place the one whose outline follows an edge all around is kept. Bars and borders are not
compact or leave the image, holes and crystals are too small, noise has no edge all around.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.imaging.filters import smooth

_THRESHOLD_COUNT: Final = 24
_EDGE_SIGMA_PX: Final = 1.5
_SURE_SIGMA_COUNT: Final = 5.0
"""An edge this many standard deviations above the noise of gradients counts fully (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobLimits:
    """What counts as a blob: extents in pixels, area over that of the convex hull."""

    min_width_px: float
    max_width_px: float
    min_height_px: float
    max_height_px: float
    min_solidity_ratio: float = 0.85
    min_score: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One blob in pixels: middle of its upright extents, extents, area and how much of its outline is a sure edge."""

    x_px: float
    y_px: float
    width_px: float
    height_px: float
    area_px: float
    outline_score: float


def find_regions(signal: NDArray[np.float32], limits: BlobLimits) -> list[Region]:
    """Return the blobs of ``signal`` brighter or darker than their surroundings, the surest first, none twice."""
    found: list[Region] = []
    for sign in (1.0, -1.0):
        found += _brighter_regions(np.float32(sign) * signal, limits)
    return drop_duplicates(found)


def drop_duplicates(regions: list[Region]) -> list[Region]:
    """Return the surest regions of which none has its centre inside a surer one or the other way round."""
    kept: list[Region] = []
    for region in sorted(regions, key=lambda r: (-r.outline_score, -r.area_px)):
        if not any(_overlap(region, other) for other in kept):
            kept.append(region)
    return kept


def _overlap(first: Region, second: Region) -> bool:
    dx, dy = abs(first.x_px - second.x_px), abs(first.y_px - second.y_px)
    return dx < max(first.width_px, second.width_px) / 2 and dy < max(first.height_px, second.height_px) / 2


def _brighter_regions(signal: NDArray[np.float32], limits: BlobLimits) -> list[Region]:
    edges = _Edges(signal)
    low, high = (float(level) for level in np.percentile(signal, (2, 99.8)))
    found: list[Region] = []
    for level in np.linspace(low, high, _THRESHOLD_COUNT + 2)[1:-1]:
        for mask, left, top in _components(signal > level, limits):
            region = _judge(mask, left, top, edges, limits)
            if region is not None:
                found.append(region)
    return found


class _Edges:
    """Gradient of a signal over the noise of such gradients."""

    def __init__(self, signal: NDArray[np.float32]) -> None:
        blurred = smooth(signal, _EDGE_SIGMA_PX)
        self.dx = cv2.Sobel(blurred, cv2.CV_32F, 1, 0, scale=1 / 8)
        self.dy = cv2.Sobel(blurred, cv2.CV_32F, 0, 1, scale=1 / 8)
        strength = np.abs(np.concatenate([self.dx.ravel(), self.dy.ravel()]))
        self.noise = 1.4826 * float(np.median(strength)) + 1e-9


def _components(mask: NDArray[np.bool_], limits: BlobLimits) -> Iterator[tuple[NDArray[np.uint8], int, int]]:
    """Yield components of allowed extents that keep clear of the border, each with a margin of 2 px around it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    height_px, width_px = mask.shape
    for label in range(1, count):
        left, top, width, height, _ = (int(v) for v in stats[label])
        fits = (
            limits.min_width_px <= width <= limits.max_width_px
            and limits.min_height_px <= height <= limits.max_height_px
        )
        inside = left >= 2 and top >= 2 and left + width <= width_px - 2 and top + height <= height_px - 2
        if fits and inside:
            part = labels[top - 2 : top + height + 2, left - 2 : left + width + 2]
            yield (part == label).astype(np.uint8), left - 2, top - 2


def _judge(mask: NDArray[np.uint8], left: int, top: int, edges: _Edges, limits: BlobLimits) -> Region | None:
    """Return the region when it is compact and outlined by an edge."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    opened = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel), dtype=np.uint8)
    contours, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    contour = max(contours, key=cv2.contourArea)
    area = cv2.contourArea(contour)
    hull_area = cv2.contourArea(cv2.convexHull(contour))
    x, y, width, height = cv2.boundingRect(contour)
    if hull_area <= 0 or area / hull_area < limits.min_solidity_ratio:
        return None
    if width < limits.min_width_px or height < limits.min_height_px or area < 0.55 * width * height:
        return None
    filled = np.zeros_like(opened)
    cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED)
    score = _outline_score(filled, np.asarray(contour, dtype=np.int32), left, top, edges)
    if score < limits.min_score:
        return None
    return Region(
        x_px=left + x + width / 2,
        y_px=top + y + height / 2,
        width_px=float(width),
        height_px=float(height),
        area_px=float(area),
        outline_score=score,
    )


def _outline_score(filled: NDArray[np.uint8], contour: NDArray[np.int32], left: int, top: int, edges: _Edges) -> float:
    """Return the mean over the outline of how surely the signal falls outwards, 0..1."""
    slope = smooth(filled.astype(np.float32), _EDGE_SIGMA_PX)
    inward_x, inward_y = cv2.Sobel(slope, cv2.CV_32F, 1, 0), cv2.Sobel(slope, cv2.CV_32F, 0, 1)
    x, y = contour[:, 0, 0], contour[:, 0, 1]
    length = np.hypot(inward_x[y, x], inward_y[y, x]) + 1e-6
    rise = (edges.dx[y + top, x + left] * inward_x[y, x] + edges.dy[y + top, x + left] * inward_y[y, x]) / length
    return float(np.mean(np.clip(rise / (_SURE_SIGMA_COUNT * edges.noise), 0.0, 1.0)))
