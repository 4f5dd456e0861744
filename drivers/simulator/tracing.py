"""First hit of a ray with the solid: between two surfaces and not removed by any cut.

A cut removes everything on the ray between entering and leaving it, so a ray that meets the solid inside a cut goes on
where that cut ends. Surfaces and fronts are bilinear patches and are hit exactly (a quadratic equation a cell), so that
an edge is where the truth has it at any magnification. Beyond the map lies a plane at the height of its rim: the bar.

All rays of a frame are parallel, so what only depends on the direction is computed once (`aim.Aim`). A ray is given by
its pixel, ``across`` and ``down``; s is the distance along it in metres. Rays of neighbouring pixels are followed
together to just above the surface (`find_starts`), from where each is traced by itself. ``grid``, ``bounds``,
``layout`` are those of `Solid`, ``size`` and ``fronts`` those of `PackedCuts`, ``course`` and ``paths`` those of `Aim`.
"""

from __future__ import annotations

import math
from typing import Any, Final

from drivers.simulator.kernels import kernel
from drivers.simulator.removal import find_cut, leave_cut
from drivers.simulator.solid import COARSE_SHIFT, FINE_SHIFT, MIDDLE_SHIFT
from drivers.simulator.stepping import FAR_M, STEP_PAST_M
from drivers.simulator.surface import NOTHING, SURROUNDINGS, WALL, enter_solid, is_inside

_RIM_M: Final = 1e-9
"""How much higher than computed a surface may be, so that rounding cannot start a ray behind it."""
_MAX_EVENTS: Final = 400
"""Entries into a cut after which a ray is given up; a run has some tens of cuts."""


@kernel
def clip_to_sample(course: Any, start: float, gx0: float, gy0: float, z0: float) -> Any:
    """Return the stretch of the ray from ``start`` on that lies inside the box around what is seen of the sample.

    The stretch is empty when its end is before its start.
    """
    end = FAR_M
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
    start: float,
    across: float,
    down: float,
    gx0: float,
    gy0: float,
    z0: float,
) -> Any:
    """Return (s, what was hit, cut) of the first remaining material on a ray; cut is -1 unless a wall was hit."""
    s, s_end = clip_to_sample(course, start, gx0, gy0, z0)
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
    start: float,
    across: float,
    down: float,
) -> Any:
    """Return (gx, gy, z, what was hit, cut) of the first material on a ray, in the map or on the plane around it."""
    gx0 = course[0, 0] + across * course[1, 0] + down * course[2, 0]
    gy0 = course[0, 1] + across * course[1, 1] + down * course[2, 1]
    z0 = course[0, 2] + across * course[1, 2] + down * course[2, 2]
    s, kind, cut = trace_map(
        grid, bounds, layout, size, fronts, tiles, course, paths, first, last, start, across, down, gx0, gy0, z0
    )
    if course[7, 0] > 0.0 and course[3, 2] < 0.0:
        s_plane = (course[7, 2] - z0) * course[4, 2]
        gx, gy = gx0 + s_plane * course[3, 0], gy0 + s_plane * course[3, 1]
        is_outside = gx < 0.0 or gy < 0.0 or gx > course[6, 0] or gy > course[6, 1]
        if is_outside and (kind == NOTHING or s_plane < s):
            s, kind, cut = s_plane, SURROUNDINGS, -1
    return gx0 + s * course[3, 0], gy0 + s * course[3, 1], z0 + s * course[3, 2], kind, cut


@kernel
def find_starts(bounds: Any, layout: Any, course: Any, raster: Any, first_row: int, last_row: int, starts: Any) -> None:
    """Fill rows of ``starts`` with how far all rays of a patch of pixels meet nothing; past the map where none does."""
    side = 1 << raster[4]
    half = 0.5 * side
    hx = half * (abs(course[1, 0]) + abs(course[2, 0]))
    hy = half * (abs(course[1, 1]) + abs(course[2, 1]))
    hz = half * (abs(course[1, 2]) + abs(course[2, 2])) + _RIM_M
    for row in range(first_row, last_row):
        for column in range(starts.shape[1]):
            across, down = raster[0] + column * side + half, raster[1] + row * side + half
            starts[row, column] = start_of(bounds, layout, course, across, down, hx, hy, hz)


@kernel
def start_of(
    bounds: Any, layout: Any, course: Any, across: float, down: float, hx: float, hy: float, hz: float
) -> float:
    """Return how far a bundle of rays meets nothing; it reaches ``hx``, ``hy`` and ``hz`` beyond its middle ray."""
    if course[3, 2] >= 0.0:
        return -FAR_M
    x0 = course[0, 0] + across * course[1, 0] + down * course[2, 0]
    y0 = course[0, 1] + across * course[1, 1] + down * course[2, 1]
    z0 = course[0, 2] + across * course[1, 2] + down * course[2, 2] - hz
    s = (course[6, 2] - z0) * course[4, 2]
    s_end = (course[5, 2] - z0 - 2.0 * hz) * course[4, 2]
    cell_m = min(abs(course[4, 0]), abs(course[4, 1]))
    level = 3
    while s < s_end:
        shift = COARSE_SHIFT if level == 3 else MIDDLE_SHIFT if level == 2 else FINE_SHIFT
        length = min((1 << shift) * cell_m, s_end - s)
        x, y = x0 + s * course[3, 0], y0 + s * course[3, 1]
        dx, dy = length * course[3, 0], length * course[3, 1]
        high = highest_top(
            bounds,
            layout,
            level,
            x + min(dx, 0.0) - hx,
            x + max(dx, 0.0) + hx,
            y + min(dy, 0.0) - hy,
            y + max(dy, 0.0) + hy,
        )
        if z0 + (s + length) * course[3, 2] > high:
            s += length
            level = min(level + 1, 3)
        else:
            s = max(s, (high - z0) * course[4, 2])
            if level == 1:
                return float(s)
            level -= 1
    return float(s_end)


@kernel
def highest_top(
    bounds: Any, layout: Any, level: int, x_low: float, x_high: float, y_low: float, y_high: float
) -> float:
    """Return the highest top in the blocks of a level that a rectangle of cells touches; -inf beside the map."""
    highest = -math.inf
    if x_high < 0.0 or y_high < 0.0 or x_low >= layout[0] - 1.0 or y_low >= layout[1] - 1.0:
        return highest
    shift = COARSE_SHIFT if level == 3 else MIDDLE_SHIFT if level == 2 else FINE_SHIFT
    first_i, first_j = int(max(x_low, 0.0)) >> shift, int(max(y_low, 0.0)) >> shift
    last_i = min(int(x_high), layout[0] - 2) >> shift
    last_j = min(int(y_high), layout[1] - 2) >> shift
    for j in range(first_j, last_j + 1):
        k = layout[2 * level] + 2 * (j * layout[2 * level + 1])
        for i in range(first_i, last_i + 1):
            highest = max(highest, bounds[k + 2 * i])
    return highest
