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
_SHARE_LIMIT: Final = 0.005
"""Radius of the neighbourhood of a point in map pixels; shares nearer to 0 or 1 than the limit say nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cues:
    """What tells a right point from a wrong one; all grow with trust.

    ``body_score``: log-odds of the mean share inside the body; ``local_score``: the same around the point;
    ``size_score``: logarithm of the area over the floor, 0..5; ``whole_score``: 1 when the image does not cut the body;
    ``alone_score``: 1 when no other believable body competes, towards 0 when another is as large.
    """

    body_score: float
    local_score: float
    size_score: float
    whole_score: float
    alone_score: float


CUE_NAMES: Final = tuple(Cues.__dataclass_fields__)

DEFAULT_WEIGHTS: Final[Mapping[str, float]] = {"offset_score": -1.0, "body_score": 0.7, "local_score": 0.7}
"""Assumed, for models that carry no calibration."""


def measure_cues(body: Body, bodies: Sequence[Body], spot: Spot, floor_px: float) -> Cues:
    """Measure the cues of a point on a body; ``floor_px`` is the smallest believable area in image pixels."""
    rivals = [other.pixel_count for other in bodies if other is not body]
    return Cues(
        body_score=_log_odds(body.body_share),
        local_score=_log_odds(_local_share(body, spot)),
        size_score=min(5.0, math.log(max(1.0, body.area_px / floor_px))),
        whole_score=0.0 if body.cut_sides else 1.0,
        alone_score=1.0 - min(1.0, max(rivals, default=0) / body.pixel_count),
    )


def combine(cues: Cues, weights: Mapping[str, float]) -> float:
    """Return the chance 0..1 that the point is right: the logistic of the weighted cues."""
    score = weights.get("offset_score", 0.0)
    score += sum(weights.get(name, 0.0) * value for name, value in asdict(cues).items())
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


def _log_odds(share_fraction: float) -> float:
    limited = min(1 - _SHARE_LIMIT, max(_SHARE_LIMIT, share_fraction))
    return math.log(limited / (1 - limited))


def _local_share(body: Body, spot: Spot) -> float:
    maps = body.segmentation
    x, y = int(spot.x_px), int(spot.y_px)
    rows = slice(max(0, y - _LOCAL_RADIUS), max(1, y + _LOCAL_RADIUS + 1))
    columns = slice(max(0, x - _LOCAL_RADIUS), max(1, x + _LOCAL_RADIUS + 1))
    window = np.ascontiguousarray(maps.confidence[rows, columns])
    return float(cv2.mean(window)[0]) / 255 if window.size else 0.0
