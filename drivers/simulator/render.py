"""From the sample and a view to the noise-free signal of every pixel, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulator.sample import Sample
from drivers.simulator.shading import Look, Raster, draw_rows, locate_rows
from drivers.simulator.solid import PackedCuts, Solid, pack_cuts, pack_solid
from drivers.simulator.view import View

_TILE_PX: Final = 32
_CENTRE: Final = np.array([[0.5, 0.5]])
_EIGHT_ROOKS: Final = np.array([[(k + 0.5) / 8, ((3 * k) % 8 + 0.5) / 8] for k in range(8)])
"""Each eighth of the pixel is sampled once in x and once in y: an edge along either axis moves in steps of 1/8 px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Rectangle of pixels of a full frame, possibly beyond its border; ``pixel_size_m`` and full size give metres."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int
    full_width_px: int
    full_height_px: int
    pixel_size_m: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scene:
    """Sample packed for one view and one region."""

    solid: Solid
    cuts: PackedCuts
    raster: Raster
    region: Region


def prepare(sample: Sample, view: View, region: Region) -> Scene:
    """Pack the sample and sort its cuts into the tiles of the region that they can be seen in."""
    solid, cuts = pack_solid(sample), pack_cuts(sample.cuts)
    pixel = region.pixel_size_m
    x_m = (region.left_px - region.full_width_px / 2) * pixel
    y_m = (region.full_height_px / 2 - region.top_px) * pixel
    boxes_px = _cut_boxes(solid, cuts, view) if cuts.highest_m.size else np.empty((0, 4))
    boxes_px = (boxes_px - [x_m, -y_m, x_m, -y_m]) / pixel
    starts, members = _sort_into_tiles(boxes_px, region)
    raster = Raster(
        corner=view.origin + x_m * view.right + y_m * view.up,
        across=pixel * view.right,
        down=-pixel * view.up,
        direction=np.ascontiguousarray(view.direction, np.float64),
        tile_px=_TILE_PX,
        tile_columns=-(-region.width_px // _TILE_PX),
        tile_starts=starts,
        tile_cuts=members,
    )
    return Scene(solid=solid, cuts=cuts, raster=raster, region=region)


def _cut_boxes(solid: Solid, cuts: PackedCuts, view: View) -> NDArray[np.float64]:
    """Return (left, top, right, bottom) of each cut within the sample, metres from the image centre, y down."""
    boxes = []
    reach_m = solid.pitch_m * (solid.top_m.shape[0] + solid.top_m.shape[1])
    for frame, size, highest_m in zip(cuts.frame, cuts.size, cuts.highest_m, strict=True):
        origin, axes = frame[:3], frame[3:12].reshape(3, 3)
        u = frame[12] + frame[13] * np.array([0, size[0] - 1])
        v = frame[14] + frame[15] * np.array([0, size[1] - 1])
        feet = np.array([origin + a * axes[0] + b * axes[1] for a in u for b in v])
        tilt = axes[2, 2]
        if abs(tilt) > 1e-6:
            w = (np.array([[solid.z_low_m, solid.z_high_m]]) - feet[:, 2:]) / tilt
        else:
            w = np.array([[-reach_m, reach_m]])
        w_low, w_high = max(float(w.min()), -reach_m), min(float(w.max()), highest_m, reach_m)
        corners = np.concatenate([feet + w_low * axes[2], feet + w_high * axes[2]]) - view.origin
        x, y = corners @ view.right, -(corners @ view.up)
        boxes.append([x.min(), y.min(), x.max(), y.max()])
    return np.array(boxes)


def _sort_into_tiles(boxes_px: NDArray[np.float64], region: Region) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the tile index: the cuts of tile t are ``members[starts[t]:starts[t + 1]]``."""
    columns, rows = -(-region.width_px // _TILE_PX), -(-region.height_px // _TILE_PX)
    left = np.arange(columns)[None, :, None] * _TILE_PX
    top = np.arange(rows)[:, None, None] * _TILE_PX
    seen = (
        (boxes_px[:, 0] < left + _TILE_PX + 1)
        & (boxes_px[:, 2] > left - 1)
        & (boxes_px[:, 1] < top + _TILE_PX + 1)
        & (boxes_px[:, 3] > top - 1)
    ).reshape(rows * columns, -1)
    starts = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int64)
    return starts, np.nonzero(seen)[1].astype(np.int64)


def draw(scene: Scene, look: Look, *, contrast_step: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (signal, open sky) of the region, without blur and noise, edges averaged over the pixel.

    A pixel is drawn again with eight rays where its neighbours differ by more than ``contrast_step``.
    """
    shape = (scene.region.height_px, scene.region.width_px)
    signal, sky = np.empty(shape, np.float32), np.empty(shape, np.float32)
    everywhere = np.ones(shape, np.bool_)

    def draw_once(first: int, last: int) -> None:
        draw_rows(scene.solid, scene.cuts, look, scene.raster, _CENTRE, everywhere, first, last, signal, sky)

    _in_bands(draw_once, shape[0])
    edges = _steps(signal, contrast_step) | _steps(sky, contrast_step)

    def draw_edges(first: int, last: int) -> None:
        draw_rows(scene.solid, scene.cuts, look, scene.raster, _EIGHT_ROOKS, edges, first, last, signal, sky)

    _in_bands(draw_edges, shape[0])
    return signal, sky


def locate(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the specimen point behind each pixel centre, (height, width, 3) with NaN for nothing, and its kind."""
    shape = (scene.region.height_px, scene.region.width_px)
    places, kinds = np.empty((*shape, 3), np.float64), np.empty(shape, np.uint8)
    _in_bands(
        lambda first, last: locate_rows(scene.solid, scene.cuts, scene.raster, first, last, places, kinds), shape[0]
    )
    return places, kinds


def _steps(values: NDArray[np.float32], step: float) -> NDArray[np.bool_]:
    kernel = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(values, kernel) - cv2.erode(values, kernel)
    return np.asarray(spread > step, np.bool_)


def _in_bands(work: Callable[[int, int], None], row_count: int) -> None:
    """Run ``work`` on bands of rows on all cores; the bands do not share results, so their order does not matter."""
    bands = [(first, min(first + _TILE_PX, row_count)) for first in range(0, row_count, _TILE_PX)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for done in [pool.submit(work, *band) for band in bands]:
            done.result()
