"""Where a feature lies on a body: geometry on the class map, in map pixels, without a loop over pixels.

Edges are placed between the last pixel inside and the first outside, where the class's share crosses one half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.detection.segmentation import Body, BodyGroup

Side: TypeAlias = Literal["left", "right", "top", "bottom"]
Corner: TypeAlias = Literal["top left", "top right", "bottom left", "bottom right"]

_BAND_FRACTION: Final = 0.2
"""Half-height of the band over which an edge is the median, in parts of the body. Of 0.02 to 0.4 it fits the hand-made
key points of the autoliftout training images best (median 1.4 to 1.9 px on true masks)."""

_FACE_SLOPE: Final = 0.5
_FACE_ROOM: Final = 2.0
_FACE_SMOOTHING_FRACTION: Final = 0.005
"""A manipulator's end face: around its foremost pixel, where the outline recedes by less than half a pixel a row, or by
no more than 2 px in all, after smoothing over 0.5 % of the image's width. On true masks of the training images the
middle of this face is 2 px from the hand-made tips (median; p95 11 px), the foremost pixel 31 px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A place in map pixels."""

    x_px: float
    y_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """Why there is no place."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a locator looks at: the chosen body, all believable ones of the class, and the place that they face."""

    body: Body
    bodies: BodyGroup
    towards: Spot


def centre_of(body: Body) -> Spot | Miss:
    """Return the mean of the body's pixels."""
    return Spot(x_px=body.centre_px[0], y_px=body.centre_px[1])


def edge_of(body: Body, side: Side) -> Spot | Miss:
    """Return the body's edge on a side, on the row or column of its mean pixel; a cut-off edge is a miss."""
    if side in body.cut_sides:
        return Miss(reason=f"its {side} edge lies outside the image")
    turned = side in ("top", "bottom")
    mask = body.mask.T if turned else body.mask
    across = body.centre_px[0] if turned else body.centre_px[1]
    start = body.box[0] if turned else body.box[1]
    reach = max(1.0, _BAND_FRACTION * mask.shape[0])
    lines = np.arange(mask.shape[0])
    lines = lines[np.abs(lines + 0.5 + start - across) <= reach]
    lines = lines[mask[lines].any(axis=1)]
    if lines.size == 0:
        return Miss(reason="it is hollow at its middle")
    ends = _ends(body, mask, lines, turned=turned, backwards=side in ("right", "bottom"))
    place = float(np.median(ends))
    return Spot(x_px=across, y_px=place) if turned else Spot(x_px=place, y_px=across)


def _ends(
    body: Body, mask: NDArray[np.bool_], lines: NDArray[np.int_], *, turned: bool, backwards: bool
) -> NDArray[np.float64]:
    """Return the sub-pixel ends of the mask on the given lines, in map coordinates along the line."""
    part = mask[lines]
    index = part.shape[1] - 1 - part[:, ::-1].argmax(1) if backwards else part.argmax(1)
    rows, columns = lines + body.box[1], index + body.box[0]
    if turned:
        rows, columns = index + body.box[1], lines + body.box[0]
    step = 1 if backwards else -1
    inside = _share_at(body, rows, columns)
    outside = _share_at(body, rows + step * turned, columns + step * (not turned))
    middle = (rows if turned else columns) + 0.5
    return middle + step * crossing(inside, outside)


def _share_at(body: Body, rows: NDArray[np.int_], columns: NDArray[np.int_]) -> NDArray[np.float64]:
    maps = body.segmentation
    rows = np.clip(rows, 0, maps.shape[0] - 1)
    columns = np.clip(columns, 0, maps.shape[1] - 1)
    won = maps.confidence[rows, columns] / 255.0
    return np.where(maps.classes[rows, columns] == body.class_index, won, 1 - won)


def crossing(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where a share falls through one half between two pixel middles, 0..1 from the inner; else 0.5."""
    fall = inside - outside
    usable = (fall > 1e-3) & (inside >= 0.5) & (outside <= 0.5)
    return np.where(usable, (inside - 0.5) / np.where(usable, fall, 1.0), 0.5)


def tip_of(body: Body, side: Side) -> Spot | Miss:
    """Return the middle of the end face on a side: where the body's foremost part ends."""
    if side in body.cut_sides:
        return Miss(reason=f"it leaves the image on the {side}")
    turned = side in ("top", "bottom")
    mask = body.mask.T if turned else body.mask
    backwards = side in ("right", "bottom")
    lines = np.nonzero(mask.any(axis=1))[0]
    ends = _ends(body, mask, lines, turned=turned, backwards=backwards)
    first, last = _face(ends if backwards else -ends, _FACE_SMOOTHING_FRACTION * body.segmentation.shape[1])
    index = (first + last) / 2
    place = float(np.interp(index, np.arange(ends.size), ends))
    start = body.box[0] if turned else body.box[1]
    across = float(np.interp(index, np.arange(lines.size), lines)) + 0.5 + start
    return Spot(x_px=across, y_px=place) if turned else Spot(x_px=place, y_px=across)


def _face(reach: NDArray[np.float64], sigma_px: float) -> tuple[int, int]:
    """Return the first and last index of the face around the farthest of ``reach``."""
    line = reach.astype(np.float32)[np.newaxis]
    smooth = cv2.GaussianBlur(line, (0, 0), max(sigma_px, 0.5), borderType=cv2.BORDER_REPLICATE)[0]
    foremost = int(smooth.argmax())
    slope = np.abs(np.gradient(smooth)) if smooth.size > 1 else np.zeros(1)
    beyond = np.nonzero((slope >= _FACE_SLOPE) & (smooth.max() - smooth >= _FACE_ROOM))[0]
    before, after = beyond[beyond < foremost], beyond[beyond > foremost]
    return int(before[-1]) + 1 if before.size else 0, int(after[0]) - 1 if after.size else smooth.size - 1


def corner_of(body: Body, corner: Corner) -> Spot | Miss:
    """Return the body's own foremost point on a diagonal, not the corner of its box."""
    vertical, horizontal = corner.split()
    if {vertical, horizontal} & body.cut_sides:
        return Miss(reason=f"its {corner} corner lies outside the image")
    contours, _ = cv2.findContours(body.mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate([contour[:, 0, :] for contour in contours])
    x_sign, y_sign = (1 if horizontal == "right" else -1), (1 if vertical == "bottom" else -1)
    x, y = points[int(np.argmax(x_sign * points[:, 0] + y_sign * points[:, 1]))]
    left, top = body.box[:2]
    return Spot(x_px=left + x + 0.5 + x_sign * 0.5, y_px=top + y + 0.5 + y_sign * 0.5)


def facing_edge(target: Target) -> Spot | Miss:
    """Return the upright edge nearest to the place it faces, on that row; without one there, the nearest edge pixel."""
    mask = target.bodies.filled_mask
    towards = target.towards
    row = min(max(int(towards.y_px), 0), mask.shape[0] - 1)
    steps = np.nonzero(np.diff(mask[row].astype(np.int8)))[0] + 1
    if steps.size:
        x = int(steps[np.abs(steps - towards.x_px).argmin()])
        return Spot(x_px=_refine_step(target.body, row, x), y_px=towards.y_px)
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate([contour[:, 0, :] for contour in contours])
    last = np.array([mask.shape[1] - 1, mask.shape[0] - 1])
    points = points[((points > 0) & (points < last)).all(axis=1)]
    if points.size == 0:
        return Miss(reason="it fills the image; none of its edges is visible")
    x, y = points[int(np.hypot(points[:, 0] + 0.5 - towards.x_px, points[:, 1] + 0.5 - towards.y_px).argmin())]
    return Spot(x_px=float(x) + 0.5, y_px=float(y) + 0.5)


def inner_edge(target: Target, *, side: Literal["left", "right"]) -> Spot | Miss:
    """Return the edge that faces the image's middle of the bodies in its left or right half.

    Only the middle third of the rows counts, and of these the row of the mean pixel (detection.md, LandingGrid edges).
    """
    mask = target.bodies.filled_mask
    height, width = mask.shape
    start = 0 if side == "left" else width // 2
    part = mask[height // 3 : height - height // 3, start : start + width // 2]
    rows = np.nonzero(part.any(axis=1))[0]
    if rows.size == 0:
        return Miss(reason=f"nothing of it stands in the {side} half of the middle rows")
    row = round(float(np.average(rows, weights=part.sum(axis=1)[rows])))
    columns = np.nonzero(part[row])[0]
    if columns.size == 0:
        return Miss(reason=f"its mean row is empty in the {side} half")
    x = start + (int(columns[-1]) + 1 if side == "left" else int(columns[0]))
    if x in (0, width):
        return Miss(reason=f"its inner edge on the {side} lies outside the image")
    row += height // 3
    return Spot(x_px=_refine_step(target.body, row, x), y_px=row + 0.5)


def _refine_step(body: Body, row: int, x: int) -> float:
    """Return the sub-pixel place of a step between columns x - 1 and x."""
    here = np.array([row, row]), np.array([x - 1, x])
    before, after = (np.array([share]) for share in _share_at(body, *here))
    if before[0] >= after[0]:
        return x - 0.5 + float(crossing(before, after)[0])
    return x + 0.5 - float(crossing(after, before)[0])
