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
from drivers.simulator.solid import COARSE_SHIFT, CUT_COARSE_SHIFT, CUT_FINE_SHIFT, FINE_SHIFT, MIDDLE_SHIFT

NOTHING: Final = 0
TOP: Final = 1
BOTTOM: Final = 2
WALL: Final = 3
SURROUNDINGS: Final = 4
"""What a ray hit: nothing, the upper or lower surface, the face that a cut has left, or the plane around the map."""

_STEP_PAST_M: Final = 1e-13
_LID_RIM_M: Final = 1e-9
_MAX_EVENTS: Final = 400
_FAR_M: Final = 1e9


@kernel
def to_exit(position: float, rate: float, inverse: float, cell: int, shift: int) -> float:
    """Return the distance along the ray to the far side of a block; ``rate`` cells a metre."""
    if rate > 0.0:
        return (((cell + 1) << shift) - position) * inverse
    return ((cell << shift) - position) * inverse


@kernel
def first_root(start: float, slope: float, bend: float) -> float:
    """Return the first root at 0 or later of ``start + slope t + bend t^2``, a large number when there is none."""
    root = slope * slope - 4.0 * bend * start
    if root < 0.0:
        return _FAR_M
    root = math.sqrt(root)
    mean = -0.5 * (slope + root) if slope > 0.0 else -0.5 * (slope - root)
    one = start / mean if mean != 0.0 else -1.0
    two = mean / bend if bend != 0.0 else -1.0
    if one < 0.0:
        one = _FAR_M
    if two < 0.0:
        two = _FAR_M
    return min(one, two)


@kernel
def surface_at(grid: Any, layer: int, gx: float, gy: float) -> float:
    """Return the bilinear height of a layer at (gx, gy) in cells of the part; the caller keeps inside."""
    i = min(int(gx), grid.shape[1] - 2)
    j = min(int(gy), grid.shape[0] - 2)
    fx = gx - i
    fy = gy - j
    low = grid[j, i, layer] + fx * (grid[j, i + 1, layer] - grid[j, i, layer])
    high = grid[j + 1, i, layer] + fx * (grid[j + 1, i + 1, layer] - grid[j + 1, i, layer])
    return float(low + fy * (high - low))


@kernel
def is_inside(grid: Any, gx: float, gy: float, z: float) -> bool:
    """Tell whether a point lies between the two surfaces."""
    if gx < 0.0 or gy < 0.0 or gx >= grid.shape[1] - 1 or gy >= grid.shape[0] - 1:
        return False
    return z < surface_at(grid, 0, gx, gy) and z > surface_at(grid, 1, gx, gy)


@kernel
def cross_patch(
    grid: Any, layer: int, i: int, j: int, fx: float, fy: float, z: float, dx: float, dy: float, dz: float
) -> Any:
    """Return value, slope and bend of ``z - surface`` along a ray that starts at (fx, fy) in cell (i, j)."""
    a = float(grid[j, i, layer])
    b = grid[j, i + 1, layer] - a
    c = grid[j + 1, i, layer] - a
    d = grid[j + 1, i + 1, layer] - a - b - c
    start = z - (a + b * fx + c * fy + d * fx * fy)
    slope = dz - (b * dx + c * dy + d * (fx * dy + fy * dx))
    return start, slope, -d * dx * dy


@kernel
def enter_cell(
    grid: Any, i: int, j: int, fx: float, fy: float, z: float, dx: float, dy: float, dz: float, end: float
) -> Any:
    """Return (distance, surface) of the first entry into the solid within one cell; `NOTHING` when there is none."""
    z_low, z_high = min(z, z + end * dz), max(z, z + end * dz)
    lowest = min(min(grid[j, i, 1], grid[j, i + 1, 1]), min(grid[j + 1, i, 1], grid[j + 1, i + 1, 1]))
    if z_high < lowest:
        return end, NOTHING
    highest = max(max(grid[j, i, 0], grid[j, i + 1, 0]), max(grid[j + 1, i, 0], grid[j + 1, i + 1, 0]))
    if z_low > highest:
        return end, NOTHING
    top_0, top_1, top_2 = cross_patch(grid, 0, i, j, fx, fy, z, dx, dy, dz)
    low_0, low_1, low_2 = cross_patch(grid, 1, i, j, fx, fy, z, dx, dy, dz)
    if top_0 <= 0.0 and low_0 >= 0.0:
        return 0.0, (TOP if -top_0 < low_0 else BOTTOM)
    best, surface = end, NOTHING
    if top_0 > 0.0:
        t = first_root(top_0, top_1, top_2)
        if t <= best and low_0 + t * (low_1 + t * low_2) > 0.0:
            best, surface = t, TOP
    if low_0 < 0.0:
        t = first_root(low_0, low_1, low_2)
        if t <= best and top_0 + t * (top_1 + t * top_2) < 0.0:
            best, surface = t, BOTTOM
    return best, surface


@kernel
def enter_solid(
    grid: Any, bounds: Any, layout: Any, course: Any, gx0: float, gy0: float, z0: float, s: float, s_end: float
) -> Any:
    """Return (s, surface) where the ray enters the solid after ``s``; `NOTHING` when it leaves the sample first."""
    dgx, dgy, dz = course[3, 0], course[3, 1], course[3, 2]
    inverse_x, inverse_y = course[4, 0], course[4, 1]
    columns, rows = layout[2] - 1, layout[3] - 1
    level, climb_at = 1, s
    while s < s_end:
        gx, gy, z = gx0 + s * dgx, gy0 + s * dgy, z0 + s * dz
        if gx < 0.0 or gy < 0.0 or gx >= columns or gy >= rows:
            return s, NOTHING
        shift = COARSE_SHIFT if level == 3 else MIDDLE_SHIFT if level == 2 else FINE_SHIFT if level == 1 else 0
        bx, by = int(gx) >> shift, int(gy) >> shift
        length = min(to_exit(gx, dgx, inverse_x, bx, shift), to_exit(gy, dgy, inverse_y, by, shift))
        length = max(min(length, s_end - s), 0.0)
        if level == 0:
            t, surface = enter_cell(grid, bx, by, gx - bx, gy - by, z, dgx, dgy, dz, length)
            if surface != NOTHING:
                return s + t, surface
            s += length + _STEP_PAST_M
            if s >= climb_at:
                level, climb_at = 1, s
            continue
        k = layout[2 + 2 * level] + 2 * (by * layout[3 + 2 * level] + bx)
        high, low = bounds[k], bounds[k + 1]
        z_end = z + length * dz
        if min(z, z_end) > high or max(z, z_end) < low:
            s += length + _STEP_PAST_M
            if s >= climb_at:
                level, climb_at = min(level + 1, 3), s
        else:
            climb_at = s + length
            if dz < 0.0 and z > high:
                s += (high - z) * course[4, 2]
            level -= 1
    return s, NOTHING


@kernel
def front_at(size: Any, fronts: Any, c: int, gu: float, gv: float) -> float:
    """Return the interpolated front of a cut at (gu, gv) in its cells."""
    i, j = int(gu), int(gv)
    width = size[c, 0]
    k = size[c, 2] + j * width + i
    fu, fv = gu - i, gv - j
    low = fronts[k] + fu * (fronts[k + 1] - fronts[k])
    high = fronts[k + width] + fu * (fronts[k + width + 1] - fronts[k + width])
    return float(low + fv * (high - low))


@kernel
def find_cut(
    size: Any,
    fronts: Any,
    paths: Any,
    tiles: Any,
    first: int,
    last: int,
    across: float,
    down: float,
    s: float,
    left: int,
) -> int:
    """Return the first cut of ``tiles[first:last]`` that has removed the point, except ``left``; -1 when none has."""
    for k in range(first, last):
        c = tiles[k]
        if c == left:
            continue
        gv = paths[c, 4] + across * paths[c, 5] + down * paths[c, 6] + s * paths[c, 7]
        if gv < 0.0 or gv >= size[c, 1] - 1:
            continue
        gu = paths[c, 0] + across * paths[c, 1] + down * paths[c, 2] + s * paths[c, 3]
        if gu < 0.0 or gu >= size[c, 0] - 1:
            continue
        w = paths[c, 8] + across * paths[c, 9] + down * paths[c, 10] + s * paths[c, 11]
        if w < paths[c, 15] and w < front_at(size, fronts, c, gu, gv):
            return int(c)
    return -1


@kernel
def leave_cut_cell(
    size: Any, fronts: Any, c: int, gu: float, gv: float, w: float, du: float, dv: float, dw: float
) -> float:
    """Return where within one cell of a cut the ray meets the front; a large number when it does not."""
    i, j = int(gu), int(gv)
    width = size[c, 0]
    k = size[c, 2] + j * width + i
    fu, fv = gu - i, gv - j
    a = float(fronts[k])
    b = fronts[k + 1] - a
    e = fronts[k + width] - a
    d = fronts[k + width + 1] - a - b - e
    start = w - (a + b * fu + e * fv + d * fu * fv)
    if start >= 0.0:
        return 0.0
    return first_root(start, dw - (b * du + e * dv + d * (fu * dv + fv * du)), -d * du * dv)


@kernel
def leave_cut(size: Any, fronts: Any, paths: Any, c: int, across: float, down: float, s: float, s_end: float) -> float:
    """Return the ``s`` at which a ray that is inside cut ``c`` leaves it."""
    p = paths[c]
    gu0, gv0 = p[0] + across * p[1] + down * p[2], p[4] + across * p[5] + down * p[6]
    w0 = p[8] + across * p[9] + down * p[10]
    du, dv, dw = p[3], p[7], p[11]
    last_u, last_v = size[c, 0] - 1, size[c, 1] - 1
    level, climb_at = 2, s
    while s < s_end:
        gu, gv, w = gu0 + s * du, gv0 + s * dv, w0 + s * dw
        if gu < 0.0 or gv < 0.0 or gu >= last_u or gv >= last_v:
            return s
        shift = CUT_COARSE_SHIFT if level == 2 else CUT_FINE_SHIFT if level == 1 else 0
        bu, bv = int(gu) >> shift, int(gv) >> shift
        length = max(min(to_exit(gu, du, p[12], bu, shift), to_exit(gv, dv, p[13], bv, shift)), 0.0)
        if level == 0:
            t = leave_cut_cell(size, fronts, c, gu, gv, w, du, dv, dw)
            if t <= length:
                return s + t
            s += length + _STEP_PAST_M
            if s >= climb_at:
                level, climb_at = 1, s
            continue
        low = fronts[size[c, 1 + 2 * level] + bv * size[c, 2 + 2 * level] + bu]
        if w < low and w + length * dw <= low:
            s += length + _STEP_PAST_M
            if s >= climb_at:
                level, climb_at = min(level + 1, 2), s
        else:
            climb_at = s + length
            if w < low:
                s += (low - w) * p[14]
            level -= 1
    return s


@kernel
def clip_to_sample(course: Any, lid_m: float, gx0: float, gy0: float, z0: float) -> Any:
    """Return the stretch of the ray inside the box around the sample and, when it descends, below ``lid_m``.

    The stretch is empty when its end is before its start.
    """
    start, end = -_FAR_M, _FAR_M
    if course[3, 2] < 0.0:
        start = (lid_m - z0) * course[4, 2]
    for axis in range(3):
        p = gx0 if axis == 0 else gy0 if axis == 1 else z0
        one, two = (course[5, axis] - p) * course[4, axis], (course[6, axis] - p) * course[4, axis]
        start, end = max(start, min(one, two)), min(end, max(one, two))
    return start + _STEP_PAST_M, end - _STEP_PAST_M


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
            x_low, x_high, y_low, y_high = _FAR_M, -_FAR_M, _FAR_M, -_FAR_M
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
