"""First hit of a ray with the solid: between two surfaces and not removed by any cut.

A cut removes everything on the ray between entering and leaving it, so a ray that meets the solid inside a cut goes on
where that cut ends. Surfaces and fronts are bilinear patches and are hit exactly (a quadratic equation a cell), so that
an edge is where the truth has it at any magnification. Beyond the map lies a plane at the height of its rim: the bar.

All rays of a frame are parallel, so what only depends on the direction is computed once (`aim.Aim`). A ray is given by
its pixel, ``across`` and ``down``; s is the distance along it in metres. ``grid``, ``bounds``, ``layout`` are those of
`Solid`, ``size`` and ``fronts`` those of `PackedCuts`, ``course`` and ``paths`` those of `Aim`.
"""

from __future__ import annotations

import math
from typing import Any, Final

from drivers.simulator.kernels import kernel
from drivers.simulator.removal import find_cut, leave_cut
from drivers.simulator.solid import MIDDLE_SHIFT
from drivers.simulator.stepping import FAR_M, STEP_PAST_M
from drivers.simulator.surface import NOTHING, SURROUNDINGS, WALL, enter_solid, is_inside

_LID_RIM_M: Final = 1e-9
_MAX_EVENTS: Final = 400
"""Entries into a cut after which a ray is given up; a run has some tens of cuts."""


@kernel
def clip_to_sample(course: Any, lid_m: float, gx0: float, gy0: float, z0: float) -> Any:
    """Return the stretch of the ray inside the box around the sample and, when it descends, below ``lid_m``.

    The stretch is empty when its end is before its start.
    """
    start, end = -FAR_M, FAR_M
    if course[3, 2] < 0.0:
        start = (lid_m - z0) * course[4, 2]
    for axis in range(3):
        p = gx0 if axis == 0 else gy0 if axis == 1 else z0
        one, two = (course[5, axis] - p) * course[4, axis], (course[6, axis] - p) * course[4, axis]
        start, end = max(start, min(one, two)), min(end, max(one, two))
    return start + STEP_PAST_M, end - STEP_PAST_M


@kernel
def trace_map(
    grid: Any,
    bounds: Any,
    layout: Any,
    size: Any,
    fronts: Any,
    tiles: Any,
    course: Any,
    paths: Any,
    first: int,
    last: int,
    lid_m: float,
    across: float,
    down: float,
    gx0: float,
    gy0: float,
    z0: float,
) -> Any:
    """Return (s, what was hit, cut) of the first remaining material on a ray; cut is -1 unless a wall was hit."""
    s, s_end = clip_to_sample(course, lid_m, gx0, gy0, z0)
    cut = -1
    inside = False
    surface = NOTHING
    for _ in range(_MAX_EVENTS):
        if not inside:
            s, surface = enter_solid(grid, bounds, layout, course, gx0, gy0, z0, s, s_end)
            cut = -1
            if surface == NOTHING:
                return s, NOTHING, -1
        c = find_cut(size, fronts, paths, tiles, first, last, across, down, s, cut)
        if c < 0:
            return s, (surface if cut < 0 else WALL), cut
        cut = c
        s = leave_cut(size, fronts, paths, c, across, down, s, s_end)
        if s >= s_end:
            return s, NOTHING, -1
        inside = is_inside(grid, gx0 + s * course[3, 0], gy0 + s * course[3, 1], z0 + s * course[3, 2])
    return s, NOTHING, -1


@kernel
def trace(
    grid: Any,
    bounds: Any,
    layout: Any,
    size: Any,
    fronts: Any,
    tiles: Any,
    course: Any,
    paths: Any,
    first: int,
    last: int,
    lid_m: float,
    across: float,
    down: float,
) -> Any:
    """Return (gx, gy, z, what was hit, cut) of the first material on a ray, in the map or on the plane around it."""
    gx0 = course[0, 0] + across * course[1, 0] + down * course[2, 0]
    gy0 = course[0, 1] + across * course[1, 1] + down * course[2, 1]
    z0 = course[0, 2] + across * course[1, 2] + down * course[2, 2]
    s, kind, cut = trace_map(
        grid, bounds, layout, size, fronts, tiles, course, paths, first, last, lid_m, across, down, gx0, gy0, z0
    )
    if course[3, 2] < 0.0:
        s_plane = (course[9, 2] - z0) * course[4, 2]
        gx, gy = gx0 + s_plane * course[3, 0], gy0 + s_plane * course[3, 1]
        is_outside = gx < course[7, 0] or gy < course[7, 1] or gx > course[8, 0] or gy > course[8, 1]
        if is_outside and (kind == NOTHING or s_plane < s):
            s, kind, cut = s_plane, SURROUNDINGS, -1
    return gx0 + s * course[3, 0], gy0 + s * course[3, 1], z0 + s * course[3, 2], kind, cut


@kernel
def find_lids(bounds: Any, layout: Any, course: Any, raster: Any, lids: Any) -> None:
    """Fill ``lids`` with the highest point that the rays of each tile can meet, -inf where they miss the part."""
    across_blocks = layout[7]
    down_blocks = (layout[8] - layout[6]) // (2 * across_blocks)
    for tile in range(lids.shape[0]):
        left = raster[0] + ((tile % raster[3]) << raster[2])
        top = raster[1] + ((tile // raster[3]) << raster[2])
        lid_m = course[6, 2]
        for _ in range(2):
            x_low, x_high, y_low, y_high = FAR_M, -FAR_M, FAR_M, -FAR_M
            for corner in range(8):
                across = left + (corner & 1) * (1 << raster[2])
                down = top + ((corner >> 1) & 1) * (1 << raster[2])
                z0 = course[0, 2] + across * course[1, 2] + down * course[2, 2]
                s = ((lid_m if corner & 4 else course[5, 2]) - z0) * course[4, 2]
                gx = course[0, 0] + across * course[1, 0] + down * course[2, 0] + s * course[3, 0]
                gy = course[0, 1] + across * course[1, 1] + down * course[2, 1] + s * course[3, 1]
                x_low, x_high = min(x_low, gx), max(x_high, gx)
                y_low, y_high = min(y_low, gy), max(y_high, gy)
            first_i = int(max(min(x_low, 1e8), 0.0)) >> MIDDLE_SHIFT
            first_j = int(max(min(y_low, 1e8), 0.0)) >> MIDDLE_SHIFT
            last_i = min(int(max(min(x_high, 1e8), -1.0)) >> MIDDLE_SHIFT, across_blocks - 1)
            last_j = min(int(max(min(y_high, 1e8), -1.0)) >> MIDDLE_SHIFT, down_blocks - 1)
            lid_m = -math.inf
            for j in range(first_j, last_j + 1):
                for i in range(first_i, last_i + 1):
                    lid_m = max(lid_m, bounds[layout[6] + 2 * (j * across_blocks + i)])
            if lid_m == -math.inf:
                break
        lids[tile] = lid_m + _LID_RIM_M
