"""What a region can see: the part of the height field, and which cuts in which tile of pixels."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.region import Region
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.solid import MIDDLE_SHIFT, Window
from drivers.simulator.view import View

TILE_SHIFT: Final = 5
_TILE_PX: Final = 1 << TILE_SHIFT
_FLATTEST: Final = 1e-3
"""Sine of the angle below which a ray counts as running along the sample."""

Range: TypeAlias = tuple[float, float]


def visible_window(sample: Sample, rays: NDArray[np.float64], region: Region, z_range_m: Range) -> Window:
    """Return the part of the height field that the rays of the region cross within a layer of z."""
    blocks = np.array(sample.top_m.shape[::-1]) - 2 >> MIDDLE_SHIFT
    if abs(rays[3, 2]) < _FLATTEST:
        return 0, 0, int(blocks[1]), int(blocks[0])
    down = region.top_px + np.array([0, 0, 1, 1]) * region.height_px
    across = region.left_px + np.array([0, 1, 0, 1]) * region.width_px
    corners = rays[0] + across[:, None] * rays[1] + down[:, None] * rays[2]
    feet = np.concatenate([corners + ((z - corners[:, 2]) / rays[3, 2])[:, None] * rays[3] for z in z_range_m])
    cells = (feet[:, :2] - [sample.x0_m, sample.y0_m]) / sample.pitch_m
    ends = [np.clip(end.astype(int) >> MIDDLE_SHIFT, 0, blocks) for end in (cells.min(axis=0), cells.max(axis=0))]
    (column, row), (last_column, last_row) = (map(int, end) for end in ends)
    return row, column, last_row, last_column


def visible_cuts(sample: Sample, view: View, region: Region, z_range_m: Range) -> tuple[list[Cut], NDArray[np.float64]]:
    """Return the cuts that a region can see, the widest first, and their boxes in its pixels.

    Most rays end in one of the widest.
    """
    rows, columns = sample.top_m.shape
    middle_m = np.array([sample.x0_m, sample.y0_m, z_range_m[0]])
    middle_m += np.array([(columns - 1) * sample.pitch_m, (rows - 1) * sample.pitch_m, np.ptp(z_range_m)]) / 2
    reach_m = sample.pitch_m * (rows + columns) + float(np.ptp(z_range_m))
    pixel_m = region.pixel_size_m
    left_px, top_px = region.left_px - region.full_width_px / 2, region.top_px - region.full_height_px / 2
    chosen, boxes = [], []
    for cut in sorted(sample.cuts, key=lambda c: -(c.front_m.shape[0] * c.dv_m * c.front_m.shape[1] * c.du_m)):
        if min(cut.front_m.shape) < 2:
            continue
        box_px = _box(cut, view, z_range_m, middle_m, reach_m) / pixel_m - np.array([left_px, top_px] * 2)
        is_seen = box_px[0] < region.width_px and box_px[2] > 0 and box_px[1] < region.height_px and box_px[3] > 0
        if is_seen:
            chosen.append(cut)
            boxes.append(box_px)
    return chosen, np.array(boxes).reshape(-1, 4)


def _box(cut: Cut, view: View, z_range_m: Range, middle_m: NDArray[np.float64], reach_m: float) -> NDArray[np.float64]:
    """Return (left, top, right, bottom) of a cut within a layer of z, metres from the image centre, y down.

    No farther along its beam than ``reach_m`` from the middle of the map: a flat beam meets the layer far outside it.
    """
    rows, columns = cut.front_m.shape
    u = cut.u0_m + cut.du_m * np.array([0, columns - 1])
    v = cut.v0_m + cut.dv_m * np.array([0, rows - 1])
    feet = np.array([cut.origin + a * cut.axes[0] + b * cut.axes[1] for a in u for b in v])
    if abs(cut.axes[2, 2]) > _FLATTEST:
        w = (np.array([z_range_m]) - feet[:, 2:]) / cut.axes[2, 2]
    else:
        w = np.array([[-np.inf, np.inf]])
    at_middle_m = float(cut.axes[2] @ (middle_m - cut.origin))
    ends = np.clip([w.min(), w.max()], at_middle_m - reach_m, at_middle_m + reach_m)
    corners = np.concatenate([feet + end * cut.axes[2] for end in ends]) - view.origin
    x, y = view.across(corners)
    return np.array([x.min(), -y.max(), x.max(), -y.min()])


def tile_count(size_px: int) -> int:
    """Return how many tiles cover a number of pixels."""
    return -(-size_px // _TILE_PX)


def sort_into_tiles(boxes_px: NDArray[np.float64], region: Region) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (starts, members) of boxes in pixels: those in tile t are ``members[starts[t]:starts[t + 1]]``."""
    columns, rows = tile_count(region.width_px), tile_count(region.height_px)
    left = np.arange(columns)[None, :, None] * _TILE_PX
    top = np.arange(rows)[:, None, None] * _TILE_PX
    seen = (
        (boxes_px[:, 0] < left + _TILE_PX + 1)
        & (boxes_px[:, 2] > left - 1)
        & (boxes_px[:, 1] < top + _TILE_PX + 1)
        & (boxes_px[:, 3] > top - 1)
    ).reshape(rows * columns, len(boxes_px))
    starts = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int64)
    return starts, np.nonzero(seen)[1].astype(np.int64)
