"""First hit of a ray with the solid: between two surfaces and not removed by any cut.

A cut removes everything on the ray between entering and leaving it, so a ray that meets the solid inside a cut goes on
where that cut ends. Surfaces and fronts are bilinear patches and are hit exactly (a quadratic equation a cell), so that
an edge is where the truth has it at any magnification.
"""

from __future__ import annotations

import math
from typing import Any, Final

from numba import njit

from drivers.simulator.solid import COARSE_BLOCK, CUT_COARSE_BLOCK, CUT_FINE_BLOCK, FINE_BLOCK, MIDDLE_BLOCK

NOTHING: Final = 0
TOP: Final = 1
BOTTOM: Final = 2
WALL: Final = 3
"""What a ray hit: nothing, the upper or the lower surface of the sample, or the face that a cut has left."""

_STEP_PAST_M: Final = 1e-13
_MAX_EVENTS: Final = 400
_FAR_M: Final = 1e9


@njit(cache=True, nogil=True)
def to_exit(position: float, rate: float, cell: float, size: float) -> float:
    """Return the distance along the ray to the far side of a cell, in units of 1 / rate."""
    if rate > 1e-12:
        return ((cell + 1.0) * size - position) / rate
    if rate < -1e-12:
        return (cell * size - position) / rate
    return _FAR_M


@njit(cache=True, nogil=True)
def first_root(start: float, slope: float, bend: float) -> float:
    """Return the first positive root of ``start + slope t + bend t^2``, a large number when there is none."""
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


@njit(cache=True, nogil=True)
def interpolate(grid: Any, gx: float, gy: float) -> float:
    """Return the bilinear value of ``grid`` at (gx, gy) in cells; the caller keeps inside."""
    i = min(int(gx), grid.shape[1] - 2)
    j = min(int(gy), grid.shape[0] - 2)
    fx = gx - i
    fy = gy - j
    low = grid[j, i] + fx * (grid[j, i + 1] - grid[j, i])
    high = grid[j + 1, i] + fx * (grid[j + 1, i + 1] - grid[j + 1, i])
    return low + fy * (high - low)


@njit(cache=True, nogil=True)
def is_inside(solid: Any, x: float, y: float, z: float) -> bool:
    """Tell whether a point lies between the two surfaces."""
    gx = (x - solid.x0_m) / solid.pitch_m
    gy = (y - solid.y0_m) / solid.pitch_m
    if gx < 0.0 or gy < 0.0 or gx >= solid.top_m.shape[1] - 1 or gy >= solid.top_m.shape[0] - 1:
        return False
    return z < interpolate(solid.top_m, gx, gy) and z > interpolate(solid.bottom_m, gx, gy)


@njit(cache=True, nogil=True)
def cross_patch(grid: Any, i: int, j: int, fx: float, fy: float, z: float, dx: float, dy: float, dz: float) -> Any:
    """Return value, slope and bend of ``z - surface`` along a ray that starts at (fx, fy) in cell (i, j)."""
    a = float(grid[j, i])
    b = grid[j, i + 1] - a
    c = grid[j + 1, i] - a
    d = grid[j + 1, i + 1] - a - b - c
    start = z - (a + b * fx + c * fy + d * fx * fy)
    slope = dz - (b * dx + c * dy + d * (fx * dy + fy * dx))
    return start, slope, -d * dx * dy


@njit(cache=True, nogil=True)
def enter_cell(
    solid: Any, i: int, j: int, fx: float, fy: float, z: float, dx: float, dy: float, dz: float, end: float
) -> Any:
    """Return (distance, surface) of the first entry into the solid within one cell; `NOTHING` when there is none."""
    top_0, top_1, top_2 = cross_patch(solid.top_m, i, j, fx, fy, z, dx, dy, dz)
    low_0, low_1, low_2 = cross_patch(solid.bottom_m, i, j, fx, fy, z, dx, dy, dz)
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


@njit(cache=True, nogil=True)
def enter_solid(
    solid: Any, px: float, py: float, pz: float, dx: float, dy: float, dz: float, s: float, s_end: float
) -> Any:
    """Return (s, surface) where the ray enters the solid after ``s``; `NOTHING` when it leaves the sample first."""
    pitch = solid.pitch_m
    gx0, gy0 = (px - solid.x0_m) / pitch, (py - solid.y0_m) / pitch
    dgx, dgy = dx / pitch, dy / pitch
    level = 3
    while s < s_end:
        gx, gy, z = gx0 + s * dgx, gy0 + s * dgy, pz + s * dz
        size = COARSE_BLOCK if level == 3 else MIDDLE_BLOCK if level == 2 else FINE_BLOCK if level == 1 else 1
        bx, by = int(gx) // size, int(gy) // size
        length = min(to_exit(gx, dgx, bx, size), to_exit(gy, dgy, by, size))
        length = max(min(length, s_end - s), 0.0)
        if level == 0:
            if bx >= 0 and by >= 0 and bx < solid.top_m.shape[1] - 1 and by < solid.top_m.shape[0] - 1:
                t, surface = enter_cell(solid, bx, by, gx - bx, gy - by, z, dx / pitch, dy / pitch, dz, length)
                if surface != NOTHING:
                    return s + t, surface
            s += length + _STEP_PAST_M
            level = 1
            continue
        if level == 3:
            high, low = solid.top_coarse_m[by, bx], solid.bottom_coarse_m[by, bx]
        elif level == 2:
            high, low = solid.top_middle_m[by, bx], solid.bottom_middle_m[by, bx]
        else:
            high, low = solid.top_fine_m[by, bx], solid.bottom_fine_m[by, bx]
        z_end = z + length * dz
        if min(z, z_end) > high or max(z, z_end) < low:
            s += length + _STEP_PAST_M
            level = min(level + 1, 3)
        else:
            if dz < 0.0 and z > high:
                s += (high - z) / dz
            level -= 1
    return s, NOTHING


@njit(cache=True, nogil=True)
def find_cut(cuts: Any, tiles: Any, first: int, last: int, x: float, y: float, z: float, left: int) -> int:
    """Return the first cut of ``tiles[first:last]`` that has removed the point, except ``left``; -1 when none has."""
    for k in range(first, last):
        c = tiles[k]
        if c == left:
            continue
        f = cuts.frame[c]
        qx, qy, qz = x - f[0], y - f[1], z - f[2]
        gv = (f[6] * qx + f[7] * qy + f[8] * qz - f[14]) / f[15]
        if gv < 0.0 or gv >= cuts.size[c, 1] - 1:
            continue
        gu = (f[3] * qx + f[4] * qy + f[5] * qz - f[12]) / f[13]
        if gu < 0.0 or gu >= cuts.size[c, 0] - 1:
            continue
        w = f[9] * qx + f[10] * qy + f[11] * qz
        if w < cuts.highest_m[c] and w < front_at(cuts, c, gu, gv):
            return c
    return -1


@njit(cache=True, nogil=True)
def front_at(cuts: Any, c: int, gu: float, gv: float) -> float:
    """Return the interpolated front of a cut at (gu, gv) in its cells."""
    i, j = int(gu), int(gv)
    width = cuts.size[c, 0]
    k = cuts.size[c, 2] + j * width + i
    fu, fv = gu - i, gv - j
    low = cuts.front_m[k] + fu * (cuts.front_m[k + 1] - cuts.front_m[k])
    high = cuts.front_m[k + width] + fu * (cuts.front_m[k + width + 1] - cuts.front_m[k + width])
    return low + fv * (high - low)


@njit(cache=True, nogil=True)
def leave_cut_cell(
    cuts: Any, c: int, gu: float, gv: float, w: float, du: float, dv: float, dw: float, end: float
) -> float:
    """Return where within one cell of a cut the ray meets the front; more than ``end`` when it does not."""
    i, j = int(gu), int(gv)
    width = cuts.size[c, 0]
    k = cuts.size[c, 2] + j * width + i
    fu, fv = gu - i, gv - j
    a = float(cuts.front_m[k])
    b = cuts.front_m[k + 1] - a
    e = cuts.front_m[k + width] - a
    d = cuts.front_m[k + width + 1] - a - b - e
    start = w - (a + b * fu + e * fv + d * fu * fv)
    if start >= 0.0:
        return 0.0
    slope = dw - (b * du + e * dv + d * (fu * dv + fv * du))
    return first_root(start, slope, -d * du * dv)


@njit(cache=True, nogil=True)
def leave_cut(
    cuts: Any, c: int, px: float, py: float, pz: float, dx: float, dy: float, dz: float, s: float, s_end: float
) -> float:
    """Return the ``s`` at which a ray that is inside cut ``c`` leaves it."""
    f = cuts.frame[c]
    qx, qy, qz = px - f[0], py - f[1], pz - f[2]
    gu0 = (f[3] * qx + f[4] * qy + f[5] * qz - f[12]) / f[13]
    gv0 = (f[6] * qx + f[7] * qy + f[8] * qz - f[14]) / f[15]
    w0 = f[9] * qx + f[10] * qy + f[11] * qz
    du = (f[3] * dx + f[4] * dy + f[5] * dz) / f[13]
    dv = (f[6] * dx + f[7] * dy + f[8] * dz) / f[15]
    dw = f[9] * dx + f[10] * dy + f[11] * dz
    level = 2
    while s < s_end:
        gu, gv, w = gu0 + s * du, gv0 + s * dv, w0 + s * dw
        if gu < 0.0 or gv < 0.0 or gu >= cuts.size[c, 0] - 1 or gv >= cuts.size[c, 1] - 1:
            return s
        size = CUT_COARSE_BLOCK if level == 2 else CUT_FINE_BLOCK if level == 1 else 1
        bu, bv = int(gu) // size, int(gv) // size
        length = min(to_exit(gu, du, bu, size), to_exit(gv, dv, bv, size))
        if level == 0:
            t = leave_cut_cell(cuts, c, gu, gv, w, du, dv, dw, length)
            if t <= length:
                return s + t
            s += max(length, 0.0) + _STEP_PAST_M
            level = 1
            continue
        if level == 2:
            low = cuts.coarse_m[cuts.size[c, 5] + bv * cuts.size[c, 6] + bu]
        else:
            low = cuts.fine_m[cuts.size[c, 3] + bv * cuts.size[c, 4] + bu]
        if w >= low:
            level -= 1
        elif dw > 0.0 and w + length * dw > low:
            s += (low - w) / dw + _STEP_PAST_M
            level -= 1
        else:
            s += max(length, 0.0) + _STEP_PAST_M
            level = 2
    return s


@njit(cache=True, nogil=True)
def clip_to_sample(solid: Any, px: float, py: float, pz: float, dx: float, dy: float, dz: float) -> Any:
    """Return the stretch of the ray inside the box around the sample; empty when the end is before the start."""
    start, end = -_FAR_M, _FAR_M
    x1 = solid.x0_m + (solid.top_m.shape[1] - 1) * solid.pitch_m
    y1 = solid.y0_m + (solid.top_m.shape[0] - 1) * solid.pitch_m
    for p, d, low, high in (
        (px, dx, solid.x0_m, x1),
        (py, dy, solid.y0_m, y1),
        (pz, dz, solid.z_low_m - 1e-9, solid.z_high_m + 1e-9),
    ):
        if abs(d) < 1e-12:
            if p < low or p > high:
                return 1.0, 0.0
            continue
        one, two = (low - p) / d, (high - p) / d
        start, end = max(start, min(one, two)), min(end, max(one, two))
    return start + _STEP_PAST_M, end - _STEP_PAST_M


@njit(cache=True, nogil=True)
def trace(
    solid: Any,
    cuts: Any,
    tiles: Any,
    first: int,
    last: int,
    px: float,
    py: float,
    pz: float,
    dx: float,
    dy: float,
    dz: float,
) -> Any:
    """Return (s, what was hit, cut) of the first remaining material on a ray; cut is -1 unless a wall was hit."""
    s, s_end = clip_to_sample(solid, px, py, pz, dx, dy, dz)
    cut = -1
    inside = False
    surface = NOTHING
    for _ in range(_MAX_EVENTS):
        if not inside:
            s, surface = enter_solid(solid, px, py, pz, dx, dy, dz, s, s_end)
            cut = -1
            if surface == NOTHING:
                return s, NOTHING, -1
        c = find_cut(cuts, tiles, first, last, px + s * dx, py + s * dy, pz + s * dz, cut)
        if c < 0:
            return s, (surface if cut < 0 else WALL), cut
        cut = c
        s = leave_cut(cuts, c, px, py, pz, dx, dy, dz, s, s_end)
        if s >= s_end:
            return s, NOTHING, -1
        inside = is_inside(solid, px + s * dx, py + s * dy, pz + s * dz)
    return s, NOTHING, -1
