"""The sample packed for the ray tracer: a part of the height field, bounds for skipping, and the cuts laid end to end.

Compiled code gets few flat arrays, because every array handed from function to function costs more than a ray's step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bands import in_bands
from drivers.simulator.kernels import kernel, with_memory
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
"""First row, first column, rows and columns of the part of the height field that a view can see."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Solid:
    """Part of the height field and the bounds of its blocks.

    ``grid``: (rows, columns, 4) float32, top, bottom, coating and signal
    of what lies above the film. ``bounds``: flat float32, (highest top,
    lowest bottom) of the fine, middle and coarse blocks. ``place``: x0, y0, pitch of the whole sample, its columns and
    rows, lowest and highest point of the part, height of the surroundings. ``layout``: first column and row of the
    part, its columns and rows, then start and blocks a row of each level.
    """

    grid: NDArray[np.float32]
    bounds: NDArray[np.float32]
    place: NDArray[np.float64]
    layout: NDArray[np.int64]
    has_surroundings: bool


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PackedCuts:
    """All cuts in flat arrays.

    ``frame``: (cuts, 17) float64, origin, axes row by row, u0, du, v0, dv, largest front. ``size``: (cuts, 7) int64,
    samples in u and v, start of the front, start and blocks a row of the fine and coarse bounds, all in ``fronts``.
    """

    frame: NDArray[np.float64]
    size: NDArray[np.int64]
    fronts: NDArray[np.float32]


def pack_solid(sample: Sample, window: Window, yields: NDArray[np.float32]) -> Solid:
    """Return a part of the height field with the bounds of its blocks; the window starts on coarse blocks.

    ``yields``: (materials,) float32, signal of a column of each material above the film.
    """
    row, column, rows, columns = window
    grid = np.empty((rows, columns, 4), np.float32)

    def fill(first: int, last: int) -> None:
        part = (slice(row + first, row + last), slice(column, column + columns))
        for layer, field in enumerate((sample.top_m, sample.bottom_m, sample.coating_m)):
            grid[first:last, :, layer] = np.asarray(field)[part]
        grid[first:last, :, 3] = yields[sample.material[part]]

    in_bands(fill, rows)
    fine = _bound_cells(grid)
    middle = _join(fine, 1 << (MIDDLE_SHIFT - FINE_SHIFT))
    coarse = _join(middle, 1 << (COARSE_SHIFT - MIDDLE_SHIFT))
    levels = (fine, middle, coarse)
    starts = np.cumsum([0, *(level.size for level in levels)])
    rim_m = np.concatenate([sample.top_m[0], sample.top_m[-1], sample.top_m[:, 0], sample.top_m[:, -1]])
    low_m, high_m = float(coarse[..., 1].min()), float(coarse[..., 0].max())
    size = (sample.top_m.shape[1], sample.top_m.shape[0])
    place = [sample.x0_m, sample.y0_m, sample.pitch_m, *size, low_m, high_m, float(np.median(rim_m))]
    level_layout = [n for level, start in zip(levels, starts, strict=False) for n in (start, level.shape[1])]
    return Solid(
        grid=grid,
        bounds=np.concatenate([level.ravel() for level in levels]),
        place=np.array(place, np.float64),
        layout=np.array([column, row, columns, rows, *level_layout], np.int64),
        has_surroundings=sample.has_surroundings,
    )


def _bound_cells(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = ((n - 2) // (1 << FINE_SHIFT) + 1 for n in grid.shape[:2])
    bounds = np.empty((rows, columns, 2), np.float32)
    in_bands(lambda first, last: bound_cells(grid, 1 << FINE_SHIFT, first, last, bounds), rows)
    return bounds


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


def pack_cuts(cuts: list[Cut]) -> PackedCuts:
    """Return cuts that have removed something, in their order."""
    parts: list[NDArray[np.float32]] = []
    sizes: list[list[int]] = []
    start = 0
    for cut in cuts:
        front = np.maximum(cut.front_m, np.float32(UNTOUCHED_M))
        fine = lowest_fronts(front, 1 << CUT_FINE_SHIFT)
        coarse = _lowest(fine, 1 << (CUT_COARSE_SHIFT - CUT_FINE_SHIFT))
        fine_start = start + front.size
        sizes.append(
            [front.shape[1], front.shape[0], start, fine_start, fine.shape[1], fine_start + fine.size, coarse.shape[1]]
        )
        parts += [front.ravel(), fine.ravel(), coarse.ravel()]
        start = fine_start + fine.size + coarse.size
    return PackedCuts(
        frame=np.array([_frame(c) for c in cuts], np.float64).reshape(-1, 17),
        size=np.array(sizes, np.int64).reshape(-1, 7),
        fronts=np.concatenate(parts) if parts else np.zeros(1, np.float32),
    )


@with_memory
def lowest_fronts(front_m: Any, block: int) -> Any:
    """Return the lowest front of every ``block x block`` cells, border samples included."""
    rows, columns = (front_m.shape[0] - 2) // block + 1, (front_m.shape[1] - 2) // block + 1
    low = np.empty((rows, columns), np.float32)
    for row in range(rows):
        for column in range(columns):
            lowest = np.float32(np.inf)
            for j in range(row * block, min((row + 1) * block + 1, front_m.shape[0])):
                for i in range(column * block, min((column + 1) * block + 1, front_m.shape[1])):
                    lowest = min(lowest, front_m[j, i])
            low[row, column] = lowest
    return low


def _lowest(low: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    rows, columns = low.shape
    padded = np.pad(low, ((0, -rows % step), (0, -columns % step)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    return np.ascontiguousarray(blocks.min(axis=(1, 3)))


def _frame(cut: Cut) -> list[float]:
    ends = [cut.u0_m, cut.du_m, cut.v0_m, cut.dv_m, float(cut.front_m.max())]
    return [*map(float, cut.origin), *map(float, cut.axes.ravel()), *ends]
