"""From the sample and a view to the noise-free signal of every pixel, on all cores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulator.aim import rays_through, take_aim
from drivers.simulator.bands import in_bands
from drivers.simulator.sample import Material, Sample
from drivers.simulator.shading import draw_rows, locate_rows
from drivers.simulator.solid import COARSE_SHIFT, PackedCuts, Window, pack_cuts, pack_solid
from drivers.simulator.tracing import find_lids
from drivers.simulator.view import View
from fibsem_runtime.core import ImageSettings, RelativeArea

LookArrays: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]
"""Coefficients in the order of `shading.Look`, octaves of the roughness and the volume that they read."""

NO_YIELDS: Final = np.zeros(len(Material), np.float32)
_TILE_SHIFT: Final = 5
_TILE_PX: Final = 1 << _TILE_SHIFT
_SKY_STEP: Final = 0.05
_WINDOW_RIM: Final = 4
"""Cells around what is seen, for slopes."""
_FLATTEST: Final = 1e-3
"""Sine of the angle below which a ray counts as running along the sample."""
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


def region_of(settings: ImageSettings, *, margin_px: int = 0, multiple_px: int = 1) -> Region:
    """Return the pixels of a frame or its reduced area with a margin, starting and ending on multiples."""
    whole = RelativeArea(left_fraction=0, top_fraction=0, width_fraction=1, height_fraction=1)
    area = (settings.reduced_area or whole).to_pixels(settings.width_px, settings.height_px)
    left_px, top_px = ((start - margin_px) // multiple_px * multiple_px for start in area[:2])
    right_px, bottom_px = (
        -(-(start + size + margin_px) // multiple_px) * multiple_px
        for start, size in zip(area[:2], area[2:], strict=True)
    )
    return Region(
        left_px=left_px,
        top_px=top_px,
        width_px=right_px - left_px,
        height_px=bottom_px - top_px,
        full_width_px=settings.width_px,
        full_height_px=settings.height_px,
        pixel_size_m=settings.pixel_size_m,
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scene:
    """Sample packed for one view and one region; ``arrays`` are the leading arguments of the compiled kernels."""

    arrays: tuple[NDArray[Any], ...]
    region: Region


def prepare(sample: Sample, view: View, region: Region, yields: NDArray[np.float32] = NO_YIELDS) -> Scene:
    """Pack what the region can see of the sample and sort the cuts into the tiles of the region."""
    cuts = pack_cuts(sample.cuts)
    pixel_m = region.pixel_size_m
    left_m, top_m = -region.full_width_px / 2 * pixel_m, region.full_height_px / 2 * pixel_m
    rays = rays_through(view, pixel_m=pixel_m, width_px=region.full_width_px, height_px=region.full_height_px)
    z_range_m = (float(sample.bottom_m.min()), float(sample.top_m.max()))
    solid = pack_solid(sample, _visible_window(sample, rays, region, z_range_m), yields)
    boxes_px = (_cut_boxes(sample, cuts, view, z_range_m) - [left_m, -top_m, left_m, -top_m]) / pixel_m
    starts, members = _sort_into_tiles(boxes_px - [region.left_px, region.top_px] * 2, region)
    raster = np.array([region.left_px, region.top_px, _TILE_SHIFT, _tile_count(region.width_px)], np.int64)
    aim = take_aim(solid, cuts, rays)
    lids = np.empty(len(starts) - 1)
    find_lids(solid.bounds, solid.layout, aim.course, raster, lids)
    arrays = (solid.grid, solid.bounds, solid.place, solid.layout, cuts.frame, cuts.size, cuts.fronts)
    return Scene(arrays=(*arrays, starts, lids, members, rays, aim.course, aim.paths, raster), region=region)


def _visible_window(
    sample: Sample, rays: NDArray[np.float64], region: Region, z_range_m: tuple[float, float]
) -> Window:
    """Return the part of the height field that the rays of the region cross between its lowest and highest point."""
    rows, columns = sample.top_m.shape
    if abs(rays[3, 2]) < _FLATTEST:
        return 0, 0, rows, columns
    down = region.top_px + np.array([0, 0, 1, 1]) * region.height_px
    across = region.left_px + np.array([0, 1, 0, 1]) * region.width_px
    corners = rays[0] + across[:, None] * rays[1] + down[:, None] * rays[2]
    feet = np.concatenate([corners + ((z - corners[:, 2]) / rays[3, 2])[:, None] * rays[3] for z in z_range_m])
    first = np.floor((feet[:, :2].min(axis=0) - [sample.x0_m, sample.y0_m]) / sample.pitch_m).astype(int) - _WINDOW_RIM
    last = np.ceil((feet[:, :2].max(axis=0) - [sample.x0_m, sample.y0_m]) / sample.pitch_m).astype(int) + _WINDOW_RIM
    block = 1 << COARSE_SHIFT
    column, row = (
        max(0, min(int(n), size - 1 - block) // block * block) for n, size in zip(first, (columns, rows), strict=True)
    )
    width, height = (max(int(n) - start + 1, block) for n, start in zip(last, (column, row), strict=True))
    return row, column, min(height, rows - row), min(width, columns - column)


def _cut_boxes(sample: Sample, cuts: PackedCuts, view: View, z_range_m: tuple[float, float]) -> NDArray[np.float64]:
    """Return (left, top, right, bottom) of each cut within the sample, metres from the image centre, y down."""
    boxes = np.empty((len(cuts.frame), 4))
    reach_m = sample.pitch_m * sum(sample.top_m.shape)
    for box, frame, size in zip(boxes, cuts.frame, cuts.size, strict=True):
        origin, axes = frame[:3], frame[3:12].reshape(3, 3)
        u = frame[12] + frame[13] * np.array([0, size[0] - 1])
        v = frame[14] + frame[15] * np.array([0, size[1] - 1])
        feet = np.array([origin + a * axes[0] + b * axes[1] for a in u for b in v])
        if abs(axes[2, 2]) > _FLATTEST:
            w = (np.array([z_range_m]) - feet[:, 2:]) / axes[2, 2]
        else:
            w = np.array([[-reach_m, reach_m]])
        ends = np.clip([w.min(), min(float(w.max()), frame[16])], -reach_m, reach_m)
        corners = np.concatenate([feet + end * axes[2] for end in ends]) - view.origin
        x, y = corners @ view.right, -(corners @ view.up)
        box[:] = x.min(), y.min(), x.max(), y.max()
    return boxes


def _tile_count(size_px: int) -> int:
    return -(-size_px // _TILE_PX)


def _sort_into_tiles(boxes_px: NDArray[np.float64], region: Region) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the tile index: the cuts of tile t are ``members[starts[t]:starts[t + 1]]``."""
    columns, rows = _tile_count(region.width_px), _tile_count(region.height_px)
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


def draw(scene: Scene, look: LookArrays, *, step_fraction: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (signal, open sky) of the region, without blur and noise, edges averaged over the pixel.

    A pixel is drawn again with eight rays where its neighbours differ by more than ``step_fraction``.
    """
    shape = (scene.region.height_px, scene.region.width_px)
    signal, sky = np.empty(shape, np.float32), np.empty(shape, np.float32)
    everywhere = np.ones(shape, np.bool_)
    kernel: Callable[..., None] = draw_rows

    def draw_once(first: int, last: int) -> None:
        kernel(*scene.arrays, *look, _CENTRE, everywhere, first, last, signal, sky)

    in_bands(draw_once, shape[0])
    edges = _find_edges(signal, sky, step_fraction)

    def draw_edges(first: int, last: int) -> None:
        kernel(*scene.arrays, *look, _EIGHT_ROOKS, edges, first, last, signal, sky)

    in_bands(draw_edges, shape[0])
    return signal, sky


def locate(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the specimen point behind each pixel centre, (height, width, 3) with NaN for nothing, and its kind."""
    shape = (scene.region.height_px, scene.region.width_px)
    places, kinds = np.empty((*shape, 3), np.float64), np.empty(shape, np.uint8)
    kernel: Callable[..., None] = locate_rows
    in_bands(lambda first, last: kernel(*scene.arrays, first, last, places, kinds), shape[0])
    return places, kinds


def _find_edges(signal: NDArray[np.float32], sky: NDArray[np.float32], step_fraction: float) -> NDArray[np.bool_]:
    """Tell which pixels differ from a neighbour by more than a fraction of the larger signal, or in their open sky."""
    kernel = np.ones((3, 3), np.uint8)
    high = cv2.dilate(signal, kernel)
    differs = cv2.erode(signal, kernel) < (1 - step_fraction) * high
    differs |= cv2.morphologyEx(sky, cv2.MORPH_GRADIENT, kernel) > _SKY_STEP
    return np.asarray(differs, np.bool_)
