"""Key points of posts and bars that are defined by the frame, not by one of them (detection.md section 2)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import PixelPoint

Mask = NDArray[np.bool_]


def post_points(mask: Mask, *, towards: PixelPoint) -> dict[str, PixelPoint]:
    """Return the points that a frame shows of its posts, ``mask`` (height, width); those outside are missing.

    ``LandingPost``: the edge that faces ``towards``, the lamella that is to land there or the image centre.
    ``LandingGridLeftEdge``, ``RightEdge``: the inner edge in each half of the image, top and bottom third left out.
    """
    if not mask.any():
        return {}
    found = {
        "LandingPost": _facing_edge(mask, towards),
        "LandingGridLeftEdge": _inner_edge(mask, is_left=True),
        "LandingGridRightEdge": _inner_edge(mask, is_left=False),
    }
    return {name: point for name, point in found.items() if point is not None}


def _facing_edge(mask: Mask, towards: PixelPoint) -> PixelPoint | None:
    """Return the upright edge nearest to a place on its row; where there is none, the nearest of all edges."""
    row = min(max(int(towards.y_px), 0), mask.shape[0] - 1)
    steps = np.flatnonzero(np.diff(mask[row].astype(np.int8))) + 1
    if steps.size:
        return PixelPoint(float(steps[np.abs(steps - towards.x_px).argmin()]), row + 0.5)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate([contour[:, 0, :] for contour in contours])
    points = points[((points > 0) & (points < np.array(mask.shape[::-1]) - 1)).all(axis=1)]
    if points.size == 0:
        return None
    x, y = points[int(np.hypot(points[:, 0] + 0.5 - towards.x_px, points[:, 1] + 0.5 - towards.y_px).argmin())]
    return PixelPoint(float(x) + 0.5, float(y) + 0.5)


def _inner_edge(mask: Mask, *, is_left: bool) -> PixelPoint | None:
    """Return the edge that faces the middle of the image, on the mean row of the half's middle third."""
    height, width = mask.shape
    start, third = (0 if is_left else width // 2), height // 3
    part = mask[third : height - third, start : start + width // 2]
    rows, _ = np.nonzero(part)
    if rows.size == 0:
        return None
    row = round(float(rows.mean()))
    columns = np.flatnonzero(part[row])
    x = start + (columns[-1] + 1 if is_left else columns[0]) if columns.size else 0
    is_inside = 0 < x < width and x != (width // 2)
    return PixelPoint(float(x), row + third + 0.5) if is_inside else None
