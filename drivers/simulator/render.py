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
from drivers.simulator.culling import TILE_SHIFT, sort_into_tiles, tile_count, visible_cuts, visible_window
from drivers.simulator.openings import opening_areas_m2
from drivers.simulator.region import Region
from drivers.simulator.sample import Sample
from drivers.simulator.shading import draw_rows, locate_rows
from drivers.simulator.solid import pack_cuts, pack_solid
from drivers.simulator.tracing import find_starts
from drivers.simulator.view import View

LookArrays: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64], NDArray[np.float32]]
"""Coefficients in the order of `shading.Look`, yields by `Material`, octaves of the roughness and their volume."""

_PATCH_SHIFT: Final = 3
"""Rays of 8 x 8 pixels are started together."""
_DRAWN_BAND: Final = 16
"""Rows drawn at once; few, because trenches make some rows several times as costly as others."""

_SKY_STEP: Final = 0.05
_NEIGHBOURS: Final = np.ones((3, 3), np.uint8)
_CENTRE: Final = np.array([[0.5, 0.5]])
_EIGHT_ROOKS: Final = np.array([[(k + 0.5) / 8, ((3 * k) % 8 + 0.5) / 8] for k in range(8)])
"""Each eighth of the pixel is sampled once in x and once in y: an edge along either axis moves in steps of 1/8 px."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scene:
    """Sample packed for one view and one region; ``arrays`` are the leading arguments of the compiled kernels.

    ``starts_m``: (rows, columns) of patches of 8 x 8 pixels, how far along them their rays begin.
    """

    arrays: tuple[NDArray[Any], ...]
    starts_m: NDArray[np.float64]
    region: Region


def prepare(sample: Sample, view: View, region: Region) -> Scene:
    """Pack what the region can see of the sample, sort the cuts into its tiles and find where its rays begin."""
    rays = rays_through(
        view, pixel_m=region.pixel_size_m, width_px=region.full_width_px, height_px=region.full_height_px
    )
    solid = pack_solid(sample)
    z_range_m = solid.z_range_m(visible_window(sample, rays, region, solid.z_range_m()))
    seen, boxes_px = visible_cuts(sample, view, region, z_range_m)
    areas_m2 = {id(cut): area_m2 for cut, area_m2 in zip(sample.cuts, opening_areas_m2(sample.cuts), strict=True)}
    cuts = pack_cuts(seen, [areas_m2[id(cut)] for cut in seen])
    firsts, members = sort_into_tiles(boxes_px, region)
    aim = take_aim(sample, solid, cuts, rays, z_range_m)
    raster = np.array([region.left_px, region.top_px, TILE_SHIFT, tile_count(region.width_px), _PATCH_SHIFT], np.int64)
    starts = np.empty([(n - 1 >> _PATCH_SHIFT) + 1 for n in (region.height_px, region.width_px)])
    in_bands(
        lambda first, last: find_starts(solid.bounds, solid.layout, aim.course, raster, first, last, starts),
        len(starts),
    )
    place = np.array([sample.x0_m, sample.y0_m, sample.pitch_m])
    packed = (solid.grid, solid.skin, solid.bounds, place, solid.layout, cuts.frame, cuts.size, cuts.fronts)
    arrays = (*packed, firsts, members, starts, rays, aim.course, aim.paths, raster)
    return Scene(arrays=arrays, starts_m=starts, region=region)


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

    in_bands(draw_once, shape[0], band=_DRAWN_BAND)
    edges = np.empty(shape, np.bool_)
    in_bands(lambda first, last: _find_edges(signal, sky, step_fraction, first, last, edges), shape[0])

    def draw_edges(first: int, last: int) -> None:
        kernel(*scene.arrays, *look, _EIGHT_ROOKS, edges, first, last, signal, sky)

    in_bands(draw_edges, shape[0], band=_DRAWN_BAND)
    return signal, sky


def locate(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the specimen point behind each pixel centre, (height, width, 3) with NaN for nothing, and its kind."""
    shape = (scene.region.height_px, scene.region.width_px)
    places, kinds = np.empty((*shape, 3), np.float64), np.empty(shape, np.uint8)
    kernel: Callable[..., None] = locate_rows
    in_bands(lambda first, last: kernel(*scene.arrays, first, last, places, kinds), shape[0])
    return places, kinds


def _find_edges(
    signal: NDArray[np.float32],
    sky: NDArray[np.float32],
    step_fraction: float,
    first_row: int,
    last_row: int,
    edges: NDArray[np.bool_],
) -> None:
    """Mark in rows of ``edges`` what differs from a neighbour by a fraction of the larger signal or in open sky."""
    top = max(first_row - 1, 0)
    around, inner = slice(top, last_row + 1), slice(first_row - top, last_row - top)
    high, low = cv2.dilate(signal[around], _NEIGHBOURS)[inner], cv2.erode(signal[around], _NEIGHBOURS)[inner]
    sky_step = cv2.morphologyEx(sky[around], cv2.MORPH_GRADIENT, _NEIGHBOURS)[inner]
    np.logical_or(low < (1 - step_fraction) * high, sky_step > _SKY_STEP, out=edges[first_row:last_row])
