"""Closed outlines in noise: where an image has a bright rim or a step all around a place.

Places come from a ring-shaped matched filter; around each the outline is the closed path of greatest mean strength in
polar coordinates, found by dynamic programming (as in Bamford and Lovell 1998, Signal Process. 71, 203, for cells).
Averaging along the whole outline finds rims that are below the noise of single pixels; straight bars, borders and
lattices are strong on a part of it only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.imaging.filters import band_pass, smooth

_ANGLE_COUNT: Final = 64
_RING_COUNT: Final = 5
_CANDIDATE_COUNT: Final = 60
_PASS_COUNT: Final = 2
_BEND_COST: Final = 0.3
"""Strength, in standard deviations, that a step of one pixel inwards or outwards must gain (assumed)."""
_OUTSIDE: Final = -3.0
_STRENGTH_RANGE: Final = (-3.0, 4.0)
_SURE_STRENGTH: Final = 0.7
_WEAKEST_MEAN, _SURE_MEAN = 1.2, 2.0
_WEAKEST_FRACTION, _SURE_FRACTION = 0.5, 0.9
"""Between the weakest and the sure value a score rises from 0 to 1. On simulated overviews the best path through empty
film has a mean strength of 1.2-1.6 with 0.55-0.78 of it sure, cells have 1.7-3.5 with 0.81-1.0 (measured)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A closed outline: centroid and extents in pixels, and how sure it is (0..1)."""

    x_px: float
    y_px: float
    width_px: float
    height_px: float
    score: float


def rim_strength(values: NDArray[np.float32], fine_px: float, coarse_px: float) -> NDArray[np.float32]:
    """Return detail between two sizes in standard deviations of its surroundings, clipped so that no speck wins."""
    detail = band_pass(values, fine_px, coarse_px)
    power = detail * detail
    limit = np.float32(20.0) * np.float32(np.median(power))
    spread = np.sqrt(smooth(np.minimum(power, limit), 20 * coarse_px)) + np.float32(1e-9)
    return np.asarray(np.clip(detail / spread, *_STRENGTH_RANGE), dtype=np.float32)


def find_outlines(
    strength: NDArray[np.float32], *, min_radius_px: float, max_radius_px: float, rim_px: float, min_score: float
) -> list[Outline]:
    """Return the closed outlines whose radius lies between the two everywhere, the surest first, none twice."""
    places = _candidates(strength, min_radius_px, max_radius_px, rim_px)
    radii_px = np.arange(0.75 * min_radius_px, 1.1 * max_radius_px)
    for _ in range(_PASS_COUNT):
        x_px, y_px, values = _trace(strength, places, radii_px)
        places = _centroids(x_px, y_px)
    found = [_outline(*row) for row in zip(places, x_px, y_px, values, strict=True)]
    return _drop_duplicates([outline for outline in found if outline.score >= min_score])


def _candidates(
    strength: NDArray[np.float32], min_radius_px: float, max_radius_px: float, rim_px: float
) -> NDArray[np.float64]:
    """Return (n, 2) places x, y where some ring fits best."""
    radii = np.geomspace(1.1 * min_radius_px, 0.75 * max_radius_px, _RING_COUNT)
    best = np.full(strength.shape, -np.inf, np.float32)
    for radius_px in radii:
        fitted = cv2.filter2D(strength, cv2.CV_32F, _ring(radius_px, rim_px), borderType=cv2.BORDER_CONSTANT)
        best = np.maximum(best, np.asarray(fitted, dtype=np.float32))
    around = np.ones((2 * round(0.5 * min_radius_px) + 1,) * 2, np.uint8)
    rows, columns = np.nonzero((best >= cv2.dilate(best, around)) & (best > 0))
    order = np.argsort(-best[rows, columns])[:_CANDIDATE_COUNT]
    return np.stack([columns[order], rows[order]], axis=1).astype(np.float64)


def _ring(radius_px: float, rim_px: float) -> NDArray[np.float32]:
    """Return a ring of zero mean and unit energy, so that noise gives the same response at every radius."""
    reach = math.ceil(radius_px + 3 * rim_px)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    distance = np.hypot(x, y)
    inside = distance < radius_px + 3 * rim_px
    ring = np.exp(-0.5 * ((distance - radius_px) / rim_px) ** 2)
    ring = np.where(inside, ring - ring[inside].mean(), 0.0)
    return np.asarray(ring / np.linalg.norm(ring), dtype=np.float32)


def _trace(
    strength: NDArray[np.float32], places: NDArray[np.float64], radii_px: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return x, y and strength (places, angles) of the strongest closed path around every place."""
    if not len(places):
        empty = np.zeros((0, _ANGLE_COUNT))
        return empty, empty, empty
    angles = np.arange(_ANGLE_COUNT) * (2 * math.pi / _ANGLE_COUNT)
    cos, sin = np.cos(angles)[None, :, None], np.sin(angles)[None, :, None]
    x_px, y_px = places[:, :1, None] + radii_px * cos, places[:, 1:, None] + radii_px * sin
    flat = (len(places), -1)
    polar = cv2.remap(
        strength,
        x_px.reshape(flat).astype(np.float32),
        y_px.reshape(flat).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=[_OUTSIDE],
    ).reshape(x_px.shape)
    index = _closed_paths(np.asarray(polar, dtype=np.float64))[:, :, None]
    return tuple(np.take_along_axis(grid, index, axis=2)[:, :, 0] for grid in (x_px, y_px, polar))  # type: ignore[return-value]


def _closed_paths(polar: NDArray[np.float64]) -> NDArray[np.int_]:
    """Return (places, angles) radius indices of the best paths; twice around, of which the middle turn is closed."""
    count = polar.shape[0]
    turns = np.concatenate([polar, polar], axis=1)
    steps = np.zeros(turns.shape, np.int_)
    best = turns[:, 0]
    wall = np.full((count, 1), -np.inf)
    for angle in range(1, turns.shape[1]):
        inner = np.concatenate([wall, best[:, :-1]], axis=1) - _BEND_COST
        outer = np.concatenate([best[:, 1:], wall], axis=1) - _BEND_COST
        options = np.stack([inner, best, outer])
        steps[:, angle] = options.argmax(axis=0) - 1
        best = options.max(axis=0) + turns[:, angle]
    path = np.zeros(turns.shape[:2], np.int_)
    path[:, -1] = best.argmax(axis=1)
    for angle in range(turns.shape[1] - 1, 0, -1):
        path[:, angle - 1] = path[:, angle] + steps[np.arange(count), angle, path[:, angle]]
    half = _ANGLE_COUNT // 2
    return np.asarray(np.roll(path[:, half : half + _ANGLE_COUNT], half, axis=1))


def _centroids(x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, 2) centres of area of closed polygons."""
    next_x, next_y = np.roll(x_px, -1, axis=1), np.roll(y_px, -1, axis=1)
    cross = x_px * next_y - next_x * y_px
    area = cross.sum(axis=1) + 1e-9
    return np.stack(
        [((x_px + next_x) * cross).sum(axis=1) / (3 * area), ((y_px + next_y) * cross).sum(axis=1) / (3 * area)], axis=1
    )


def _outline(
    place: NDArray[np.float64], x_px: NDArray[np.float64], y_px: NDArray[np.float64], values: NDArray[np.float64]
) -> Outline:
    mean = _ramp(float(values.mean()), _WEAKEST_MEAN, _SURE_MEAN)
    sure = _ramp(float(np.mean(values > _SURE_STRENGTH)), _WEAKEST_FRACTION, _SURE_FRACTION)
    return Outline(
        x_px=float(place[0]) + 0.5,
        y_px=float(place[1]) + 0.5,
        width_px=float(np.ptp(x_px)),
        height_px=float(np.ptp(y_px)),
        score=mean * sure,
    )


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _drop_duplicates(outlines: list[Outline]) -> list[Outline]:
    """Return the surest outlines of which none has its centre inside a surer one or holds the centre of one."""
    kept: list[Outline] = []
    for outline in sorted(outlines, key=lambda o: -o.score):
        if not any(_hold(outline, other) or _hold(other, outline) for other in kept):
            kept.append(outline)
    return kept


def _hold(outline: Outline, other: Outline) -> bool:
    """Tell whether the ellipse of ``outline`` holds the centre of ``other``."""
    dx = 2 * (outline.x_px - other.x_px) / outline.width_px
    dy = 2 * (outline.y_px - other.y_px) / outline.height_px
    return dx * dx + dy * dy < 1.0
