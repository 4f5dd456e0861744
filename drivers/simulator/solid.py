"""The sample packed for the ray tracer: plain arrays, block bounds for skipping, and the cuts laid end to end."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from drivers.simulator.sample import Cut, Sample

FINE_BLOCK: Final = 4
MIDDLE_BLOCK: Final = 16
COARSE_BLOCK: Final = 64
"""Cells a side of the blocks whose highest top and lowest bottom let a ray skip empty space."""

CUT_FINE_BLOCK: Final = 8
CUT_COARSE_BLOCK: Final = 64
"""Cells a side of the blocks whose lowest front lets a ray skip removed material."""

UNTOUCHED_M: Final = -1.0
"""Stands for a front of ``-inf``: far above any sample, yet safe to interpolate with."""


class Solid(NamedTuple):
    """Height field between two surfaces; lengths in metres, x and y of the sample counted in cells of ``pitch_m``."""

    x0_m: float
    y0_m: float
    pitch_m: float
    z_low_m: float
    z_high_m: float
    top_m: NDArray[np.float32]
    bottom_m: NDArray[np.float32]
    coating_m: NDArray[np.float32]
    material: NDArray[np.uint8]
    top_fine_m: NDArray[np.float32]
    bottom_fine_m: NDArray[np.float32]
    top_middle_m: NDArray[np.float32]
    bottom_middle_m: NDArray[np.float32]
    top_coarse_m: NDArray[np.float32]
    bottom_coarse_m: NDArray[np.float32]


class PackedCuts(NamedTuple):
    """All cuts in flat arrays.

    ``frame``: (cuts, 16) float64, origin, axes row by row, u0, du, v0, dv. ``size``: (cuts, 7) int64, samples in u and
    v, start in ``front_m``, start in ``fine_m`` and blocks in u, start in ``coarse_m`` and blocks in u. ``highest_m``:
    (cuts,) float64, the largest front.
    """

    frame: NDArray[np.float64]
    size: NDArray[np.int64]
    highest_m: NDArray[np.float64]
    front_m: NDArray[np.float32]
    fine_m: NDArray[np.float32]
    coarse_m: NDArray[np.float32]


def pack_solid(sample: Sample) -> Solid:
    """Return the height field with the bounds of its blocks."""
    top_m = np.ascontiguousarray(sample.top_m, np.float32)
    bottom_m = np.ascontiguousarray(sample.bottom_m, np.float32)
    top_fine_m, bottom_fine_m = bound_cells(top_m, bottom_m, FINE_BLOCK)
    step = MIDDLE_BLOCK // FINE_BLOCK
    top_middle_m, bottom_middle_m = _bound_blocks(top_fine_m, bottom_fine_m, step)
    top_coarse_m, bottom_coarse_m = _bound_blocks(top_middle_m, bottom_middle_m, COARSE_BLOCK // MIDDLE_BLOCK)
    return Solid(
        x0_m=float(sample.x0_m),
        y0_m=float(sample.y0_m),
        pitch_m=float(sample.pitch_m),
        z_low_m=float(bottom_coarse_m.min()),
        z_high_m=float(top_coarse_m.max()),
        top_m=top_m,
        bottom_m=bottom_m,
        coating_m=np.ascontiguousarray(sample.coating_m, np.float32),
        material=np.ascontiguousarray(sample.material, np.uint8),
        top_fine_m=top_fine_m,
        bottom_fine_m=bottom_fine_m,
        top_middle_m=top_middle_m,
        bottom_middle_m=bottom_middle_m,
        top_coarse_m=top_coarse_m,
        bottom_coarse_m=bottom_coarse_m,
    )


@njit(cache=True, nogil=True)
def bound_cells(top_m: Any, bottom_m: Any, block: int) -> Any:
    """Return the highest top and the lowest bottom of every ``block x block`` cells, border samples included."""
    rows, columns = (top_m.shape[0] - 2) // block + 1, (top_m.shape[1] - 2) // block + 1
    high = np.empty((rows, columns), np.float32)
    low = np.empty((rows, columns), np.float32)
    for row in range(rows):
        for column in range(columns):
            highest = np.float32(-np.inf)
            lowest = np.float32(np.inf)
            for j in range(row * block, min((row + 1) * block + 1, top_m.shape[0])):
                for i in range(column * block, min((column + 1) * block + 1, top_m.shape[1])):
                    highest = max(highest, top_m[j, i])
                    lowest = min(lowest, bottom_m[j, i])
            high[row, column] = highest
            low[row, column] = lowest
    return high, low


def _bound_blocks(
    high: NDArray[np.float32], low: NDArray[np.float32], step: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the bounds of ``step x step`` blocks, which already share their borders."""
    rows, columns = high.shape
    pad = ((0, -rows % step), (0, -columns % step))
    blocks = (-(-rows // step), step, -(-columns // step), step)
    highest = np.pad(high, pad, mode="edge").reshape(blocks).max(axis=(1, 3))
    lowest = np.pad(low, pad, mode="edge").reshape(blocks).min(axis=(1, 3))
    return np.ascontiguousarray(highest), np.ascontiguousarray(lowest)


def pack_cuts(cuts: list[Cut]) -> PackedCuts:
    """Return the cuts that have removed anything, the widest first, because most rays end in one of those."""
    real = [c for c in cuts if min(c.front_m.shape) >= 2 and bool((c.front_m > -np.inf).any())]
    real.sort(key=lambda c: -(c.front_m.shape[0] * c.dv_m * c.front_m.shape[1] * c.du_m))
    fronts = [np.maximum(c.front_m, np.float32(UNTOUCHED_M)) for c in real]
    fine = [lowest_fronts(f, CUT_FINE_BLOCK) for f in fronts]
    step = CUT_COARSE_BLOCK // CUT_FINE_BLOCK
    coarse = [_bound_blocks(f, f, step)[1] for f in fine]
    sizes = [
        [f.shape[1], f.shape[0], start, fine_start, a.shape[1], coarse_start, b.shape[1]]
        for f, a, b, start, fine_start, coarse_start in zip(
            fronts, fine, coarse, _starts(fronts), _starts(fine), _starts(coarse), strict=True
        )
    ]
    return PackedCuts(
        frame=np.array([_frame(c) for c in real], np.float64).reshape(-1, 16),
        size=np.array(sizes, np.int64).reshape(-1, 7),
        highest_m=np.array([f.max() for f in fronts], np.float64),
        front_m=_concatenate(fronts),
        fine_m=_concatenate(fine),
        coarse_m=_concatenate(coarse),
    )


@njit(cache=True, nogil=True)
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


def _frame(cut: Cut) -> list[float]:
    return [*map(float, cut.origin), *map(float, cut.axes.ravel()), cut.u0_m, cut.du_m, cut.v0_m, cut.dv_m]


def _starts(arrays: list[NDArray[np.float32]]) -> list[int]:
    return [0, *np.cumsum([a.size for a in arrays], dtype=int).tolist()][: len(arrays)]


def _concatenate(arrays: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    if not arrays:
        return np.zeros(1, np.float32)
    return np.concatenate([a.ravel() for a in arrays])
