"""How sure a found point is: cues measured on the class map, weighed as the manifest learned from held-out images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import cv2
import numpy as np

from fibsem_runtime.detection.locators import Spot
from fibsem_runtime.detection.segmentation import Body

_LOCAL_RADIUS: Final = 6
_RING_WIDTH: Final = 8
_SHARE_LIMIT: Final = 0.005
"""Radius of the neighbourhood of a point and width of the ring around a body in map pixels; shares nearer to 0 or 1
than the limit say nothing more (all assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cues:
    """What tells a right point from a wrong one; all grow with trust.

    ``body_score``: log-odds of the mean share inside the body; ``ring_score``: of what surrounds it, low where the body
    may go on; ``frame_score``: of the whole image, low where it looks like none of the training; ``local_score``:
    around the point; ``solid_score``: log-odds of the area's part of its convex hull, low for fragments;
    ``size_score``: logarithm of the area over the floor, 0..5; ``whole_score``: 1 when the image does not cut the body;
    ``alone_score``: 1 when no other believable body competes, towards 0 when another is as large.
    """

    body_score: float
    ring_score: float
    frame_score: float
    local_score: float
    solid_score: float
    size_score: float
    whole_score: float
    alone_score: float


CUE_NAMES: Final = tuple(Cues.__dataclass_fields__)

DEFAULT_WEIGHTS: Final[Mapping[str, float]] = {"offset_score": -1.0, "body_score": 0.7, "local_score": 0.7}
"""Assumed, for models that carry no calibration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyCues:
    """The cues that all points on one body share."""

    body_score: float
    ring_score: float
    frame_score: float
    solid_score: float


def measure_body(body: Body) -> BodyCues:
    """Measure the cues of a body and of what surrounds it."""
    return BodyCues(
        body_score=log_odds(body.body_share),
        ring_score=log_odds(_ring_share(body)),
        frame_score=log_odds(float(cv2.mean(body.segmentation.confidence)[0]) / 255),
        solid_score=log_odds(_solidity(body)),
    )


def measure_cues(body: Body, shared: BodyCues, bodies: Sequence[Body], spot: Spot, floor_px: float) -> Cues:
    """Measure the cues of a point on a body; ``floor_px`` is the smallest believable area in image pixels."""
    rivals = [other.pixel_count for other in bodies if other is not body]
    return Cues(
        **asdict(shared),
        local_score=log_odds(_local_share(body, spot)),
        size_score=min(5.0, math.log(max(1.0, body.area_px / floor_px))),
        whole_score=0.0 if body.cut_sides else 1.0,
        alone_score=1.0 - min(1.0, max(rivals, default=0) / body.pixel_count),
    )


def combine(cues: Cues, weights: Mapping[str, float]) -> float:
    """Return the chance 0..1 that the point is right: the logistic of the weighted cues."""
    score = weights.get("offset_score", 0.0)
    score += sum(weights.get(name, 0.0) * value for name, value in asdict(cues).items())
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def log_odds(share_fraction: float) -> float:
    """Return the log-odds of a share, limited."""
    limited = min(1 - _SHARE_LIMIT, max(_SHARE_LIMIT, share_fraction))
    return math.log(limited / (1 - limited))


def _ring_share(body: Body) -> float:
    """Return the mean share of the winners in a ring around the body."""
    left, top, width, height = body.box
    rows = slice(max(0, top - _RING_WIDTH), top + height + _RING_WIDTH)
    columns = slice(max(0, left - _RING_WIDTH), left + width + _RING_WIDTH)
    around = np.ascontiguousarray(body.segmentation.confidence[rows, columns])
    mask = np.zeros(around.shape, np.uint8)
    y, x = top - rows.start, left - columns.start
    mask[y : y + height, x : x + width] = body.mask
    size = 2 * _RING_WIDTH + 1
    ring = cv2.subtract(cv2.dilate(mask, np.ones((size, size), np.uint8)), mask)
    return float(cv2.mean(around, ring)[0]) / 255 if ring.any() else 1.0


def _solidity(body: Body) -> float:
    """Return the area of the outline over that of its convex hull."""
    contours, _ = cv2.findContours(body.mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(contours))
    # A hull of pixel middles is half a pixel short all around.
    return min(1.0, body.pixel_count / (cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1))


def _local_share(body: Body, spot: Spot) -> float:
    maps = body.segmentation
    x, y = int(spot.x_px), int(spot.y_px)
    rows = slice(max(0, y - _LOCAL_RADIUS), max(1, y + _LOCAL_RADIUS + 1))
    columns = slice(max(0, x - _LOCAL_RADIUS), max(1, x + _LOCAL_RADIUS + 1))
    window = np.ascontiguousarray(maps.confidence[rows, columns])
    return float(cv2.mean(window)[0]) / 255 if window.size else 0.0
