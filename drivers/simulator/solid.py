"""The sample packed for the ray tracer: the height field with bounds for skipping, and the cuts laid end to end.

Compiled code gets few flat arrays, because every array handed from function to function costs more than a ray's step.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bands import in_bands
from drivers.simulator.kernels import kernel
from drivers.simulator.sample import Cut, Sample

FINE_SHIFT: Final = 2
MIDDLE_SHIFT: Final = 4
COARSE_SHIFT: Final = 6
"""Blocks of 4, 16 and 64 cells a side, whose highest top and lowest bottom let a ray skip empty space."""

CUT_FINE_SHIFT: Final = 3
CUT_COARSE_SHIFT: Final = 5
"""Blocks of 8 and 32 cells a side, whose lowest front lets a ray skip removed material."""

UNTOUCHED_M: Final = -1.0
"""Stands for a front of ``-inf``: far above any sample, yet safe to interpolate with."""

Window: TypeAlias = tuple[int, int, int, int]
"""First row, first column, last row and last column of the blocks of 16 cells that a view can see."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Solid:
    """The height field and the bounds of its blocks.

    ``grid``: (rows, columns, 2) float32, top and bottom. ``skin``: (rows, columns, 4) float32, coating, slopes of the
    top in x and y, number of the material. ``bounds``: flat float32, (highest top, lowest bottom) of the fine, middle
    and coarse blocks. ``layout``: columns and rows, then start and blocks a row of each level. ``rim_m``: height of the
    surroundings.
    """

    grid: NDArray[np.float32]
    skin: NDArray[np.float32]
    bounds: NDArray[np.float32]
    layout: NDArray[np.int64]
    rim_m: float

    def z_range_m(self, window: Window | None = None) -> tuple[float, float]:
        """Return the lowest and the highest point of a part, of the whole map when none is given."""
        start, across, end = (int(n) for n in self.layout[4:7])
        blocks = self.bounds[start:end].reshape(-1, across, 2)
        if window is not None:
            row, column, last_row, last_column = window
            blocks = blocks[row : last_row + 1, column : last_column + 1]
        return float(blocks[..., 1].min()), float(blocks[..., 0].max())


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PackedCuts:
    """All cuts in flat arrays.

    ``frame``: (cuts, 18) float64, origin, axes row by row, u0, du, v0, dv, largest front, area of its hole over pi.
    ``size``: (cuts, 7) int64, samples in u and v, start of the front, start and blocks a row of the fine and coarse
    bounds, all in ``fronts``.
    """

    frame: NDArray[np.float64]
    size: NDArray[np.int64]
    fronts: NDArray[np.float32]


_kept: dict[int, tuple[list[weakref.ref[NDArray[Any]]], float, Solid]] = {}
"""Solids of the maps that are alive, by the identity of their upper surface."""


def pack_solid(sample: Sample) -> Solid:
    """Return the height field with its bounds, computed once as long as the maps of the sample are read-only."""
    maps = (sample.top_m, sample.bottom_m, sample.coating_m, sample.material)
    kept = _kept.get(id(sample.top_m))
    if kept and kept[1] == sample.pitch_m and all(ref() is one for ref, one in zip(kept[0], maps, strict=True)):
        return kept[2]
    solid = _pack(sample)
    if not any(one.flags.writeable for one in maps):
        if kept is None:
            weakref.finalize(sample.top_m, _kept.pop, id(sample.top_m), None)
        _kept[id(sample.top_m)] = [weakref.ref(one) for one in maps], sample.pitch_m, solid
    return solid


def _pack(sample: Sample) -> Solid:
    top_m = sample.top_m
    rows, columns = top_m.shape
    grid, skin = np.empty((rows, columns, 2), np.float32), np.empty((rows, columns, 4), np.float32)
    maps = (top_m, sample.bottom_m, sample.coating_m, sample.material)
    in_bands(lambda first, last: pack_rows(*maps, 0.5 / sample.pitch_m, first, last, grid, skin), rows)
    fine = np.empty((*((n - 2) // (1 << FINE_SHIFT) + 1 for n in top_m.shape), 2), np.float32)
    in_bands(lambda first, last: bound_cells(grid, 1 << FINE_SHIFT, first, last, fine), len(fine))
    middle = _join(fine, 1 << (MIDDLE_SHIFT - FINE_SHIFT))
    coarse = _join(middle, 1 << (COARSE_SHIFT - MIDDLE_SHIFT))
    levels = (fine, middle, coarse)
    starts = np.cumsum([0, *(level.size for level in levels)])
    level_layout = [n for level, start in zip(levels, starts, strict=False) for n in (start, level.shape[1])]
    return Solid(
        grid=grid,
        skin=skin,
        bounds=np.concatenate([level.ravel() for level in levels]),
        layout=np.array([columns, rows, *level_layout], np.int64),
        rim_m=float(np.median(np.concatenate([top_m[0], top_m[-1], top_m[:, 0], top_m[:, -1]]))),
    )


@kernel
def pack_rows(
    top_m: Any,
    bottom_m: Any,
    coating_m: Any,
    material: Any,
    scale_per_m: float,
    first_row: int,
    last_row: int,
    grid: Any,
    skin: Any,
) -> None:
    """Fill rows of ``grid`` and ``skin``; slopes are central differences, on the border those beside it."""
    rows, columns = top_m.shape
    for row in range(first_row, last_row):
        j = min(max(row, 1), rows - 2)
        for column in range(columns):
            i = min(max(column, 1), columns - 2)
            grid[row, column, 0] = top_m[row, column]
            grid[row, column, 1] = bottom_m[row, column]
            skin[row, column, 0] = coating_m[row, column]
            skin[row, column, 1] = (top_m[row, i + 1] - top_m[row, i - 1]) * scale_per_m
            skin[row, column, 2] = (top_m[j + 1, column] - top_m[j - 1, column]) * scale_per_m
            skin[row, column, 3] = material[row, column]


@kernel
def bound_cells(grid: Any, block: int, first_row: int, last_row: int, bounds: Any) -> None:
    """Fill rows of (highest top, lowest bottom) of every ``block x block`` cells, border samples included."""
    for row in range(first_row, last_row):
        for column in range(bounds.shape[1]):
            highest = np.float32(-np.inf)
            lowest = np.float32(np.inf)
            for j in range(row * block, min((row + 1) * block + 1, grid.shape[0])):
                for i in range(column * block, min((column + 1) * block + 1, grid.shape[1])):
                    highest = max(highest, grid[j, i, 0])
                    lowest = min(lowest, grid[j, i, 1])
            bounds[row, column, 0] = highest
            bounds[row, column, 1] = lowest


def _join(bounds: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Return the bounds of ``step x step`` blocks, which already share their borders."""
    rows, columns, _ = bounds.shape
    padded = np.pad(bounds, ((0, -rows % step), (0, -columns % step), (0, 0)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step, 2)
    joined = np.empty((blocks.shape[0], blocks.shape[2], 2), np.float32)
    joined[..., 0] = blocks[..., 0].max(axis=(1, 3))
    joined[..., 1] = blocks[..., 1].min(axis=(1, 3))
    return joined


def pack_cuts(cuts: list[Cut], hole_areas_m2: Sequence[float]) -> PackedCuts:
    """Return cuts laid end to end, in their order, with the areas of the holes that they belong to."""
    sizes: list[list[int]] = []
    end = 0
    for cut in cuts:
        rows, columns = cut.front_m.shape
        fine, coarse = (((rows - 2 >> n) + 1, (columns - 2 >> n) + 1) for n in (CUT_FINE_SHIFT, CUT_COARSE_SHIFT))
        starts = np.cumsum([end, rows * columns, fine[0] * fine[1], coarse[0] * coarse[1]]).tolist()
        sizes.append([columns, rows, starts[0], starts[1], fine[1], starts[2], coarse[1]])
        end = starts[3]
    size = np.array(sizes, np.int64).reshape(-1, 7)
    frame = np.array([_frame(c, a) for c, a in zip(cuts, hole_areas_m2, strict=True)], np.float64).reshape(-1, 18)
    fronts = np.empty(max(end, 1), np.float32)

    def lay(first: int, last: int) -> None:
        for k in range(first, last):
            lay_cut(np.ascontiguousarray(cuts[k].front_m, np.float32), UNTOUCHED_M, k, size, frame, fronts)

    in_bands(lay, len(cuts), band=1)
    return PackedCuts(frame=frame, size=size, fronts=fronts)


@kernel
def lay_cut(front_m: Any, untouched_m: float, k: int, size: Any, frame: Any, fronts: Any) -> None:
    """Write the front of cut ``k`` and the bounds of its blocks to ``fronts``, its largest front to ``frame``."""
    rows, columns = front_m.shape
    start = size[k, 2]
    largest = np.float32(untouched_m)
    for j in range(rows):
        for i in range(columns):
            value = max(front_m[j, i], np.float32(untouched_m))
            fronts[start + j * columns + i] = value
            largest = max(largest, value)
    frame[k, 16] = largest
    fine_rows, fine_columns, step = (rows - 2 >> CUT_FINE_SHIFT) + 1, size[k, 4], CUT_COARSE_SHIFT - CUT_FINE_SHIFT
    bound_fronts(fronts, start, rows, columns, CUT_FINE_SHIFT, 1, size[k, 3], fine_columns)
    bound_fronts(fronts, size[k, 3], fine_rows, fine_columns, step, 0, size[k, 5], size[k, 6])


@kernel
def bound_fronts(
    fronts: Any, start: int, rows: int, columns: int, shift: int, border: int, target: int, target_columns: int
) -> None:
    """Write the lowest value of every block of the samples at ``start`` to ``target``, ``border`` samples included."""
    for row in range((rows - 1 - border >> shift) + 1):
        for column in range(target_columns):
            lowest = np.float32(np.inf)
            for j in range(row << shift, min((row + 1 << shift) + border, rows)):
                for i in range(column << shift, min((column + 1 << shift) + border, columns)):
                    lowest = min(lowest, fronts[start + j * columns + i])
            fronts[target + row * target_columns + column] = lowest


def _frame(cut: Cut, hole_area_m2: float) -> list[float]:
    place = [*map(float, cut.origin), *map(float, cut.axes.ravel())]
    return [*place, cut.u0_m, cut.du_m, cut.v0_m, cut.dv_m, 0.0, hole_area_m2 / math.pi]
