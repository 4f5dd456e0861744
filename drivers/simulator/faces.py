"""Move the faces that cuts have left: sideways when a slab bends, into the open when something grows on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.columns import lay_out_terrain
from drivers.simulator.kernels import with_memory
from drivers.simulator.rays import lay_out_cuts, removed_until
from drivers.simulator.sample import Cut, Sample

Floats: TypeAlias = NDArray[np.float64]

U_AXIS: Final = 1
V_AXIS: Final = 0
"""Axes of a front's array."""


def displaced(front_m: Floats, by_count: Floats | float, axis: int) -> Floats:
    """Return the front with every sample taken from ``by_count`` samples farther along ``axis``.

    ``by_count``: broadcast to the front. Interpolated linearly; beyond the grid and beside what is untouched it is
    ``-inf``.
    """
    count = front_m.shape[axis]
    at = np.arange(count).reshape((-1, 1) if axis == V_AXIS else (1, -1)) + np.broadcast_to(by_count, front_m.shape)
    first = np.floor(at)
    part = at - first
    low = first.astype(np.int64)
    # Two samples at each end that are untouched stand for everything beyond the grid.
    padded = np.pad(front_m, [(1, 1) if n == axis else (0, 0) for n in range(2)], constant_values=-np.inf)
    one = np.take_along_axis(padded, np.clip(low + 1, 0, count + 1), axis)
    two = np.take_along_axis(padded, np.clip(low + 2, 0, count + 1), axis)
    with np.errstate(invalid="ignore"):
        between = one + part * (two - one)
    return np.where(part == 0, one, np.where(np.isfinite(one) & np.isfinite(two), between, -np.inf))


def widen(cut: Cut, by_m: float) -> None:
    """Enlarge the grid of a cut by untouched samples on all sides, at least ``by_m``."""
    columns, rows = (int(np.ceil(by_m / pitch_m)) for pitch_m in (cut.du_m, cut.dv_m))
    cut.front_m = np.pad(cut.front_m, ((rows, rows), (columns, columns)), constant_values=-np.inf)
    cut.u0_m -= columns * cut.du_m
    cut.v0_m -= rows * cut.dv_m


def open_fronts(sample: Sample, cut: Cut) -> Floats:
    """Return (v, u): how far all cuts of its direction together have removed everything on the rays of ``cut``."""
    others = lay_out_cuts([c for c in sample.cuts if c is not cut], cut, lay_out_terrain(sample))
    grid = np.array([*cut.origin, *cut.axes.ravel(), cut.u0_m, cut.du_m, cut.v0_m, cut.dv_m])
    return np.asarray(join_fronts(cut.front_m, grid, others), np.float64)


def grow_on_faces(sample: Sample, thickness_m: Sequence[Floats | float]) -> None:
    """Let a layer grow into the open on the faces that cuts have left.

    ``thickness_m``: for each cut of ``sample.cuts`` how thick, one number or (v, u); it moves fronts, never what is
    above them; a cut that only says where a body ends stays. Faces shared by several cuts of one direction grow once;
    a cut of another direction does not count as open (assumed away: undercuts keep a rim).
    """
    given = zip(sample.cuts, thickness_m, strict=True)
    touched = [(cut, grown_m) for cut, grown_m in given if cut.is_milled and np.any(grown_m)]
    opened = [open_fronts(sample, cut) for cut, _ in touched]
    for (cut, grown_m), open_m in zip(touched, opened, strict=True):
        nearest_m = np.minimum(open_m, cut.front_m) - grown_m
        for axis, pitch_m in ((U_AXIS, cut.du_m), (V_AXIS, cut.dv_m)):
            for side in (-1, 1):
                np.minimum(nearest_m, displaced(open_m, side * np.asarray(grown_m) / pitch_m, axis), out=nearest_m)
        cut.front_m = np.minimum(nearest_m, cut.front_m).astype(np.float32)


@with_memory
def join_fronts(front_m: Any, grid: Any, others: Any) -> Any:
    """Return the front of one cut joined with those of ``others`` that have its direction."""
    joined = np.empty(front_m.shape, np.float64)
    for j in range(front_m.shape[0]):
        v = grid[14] + j * grid[15]
        for i in range(front_m.shape[1]):
            u = grid[12] + i * grid[13]
            x = grid[0] + u * grid[3] + v * grid[6]
            y = grid[1] + u * grid[4] + v * grid[7]
            z = grid[2] + u * grid[5] + v * grid[8]
            joined[j, i] = max(float(front_m[j, i]), removed_until(others, x, y, z))
    return joined
