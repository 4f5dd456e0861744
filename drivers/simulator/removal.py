"""Which cut has removed a point, and where a ray leaves that cut.

Arguments as in `drivers.simulator.tracing`.
"""

from __future__ import annotations

from typing import Any

from drivers.simulator.kernels import kernel
from drivers.simulator.solid import CUT_COARSE_SHIFT, CUT_FINE_SHIFT
from drivers.simulator.stepping import STEP_PAST_M, first_root, to_exit


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
            s += length + STEP_PAST_M
            if s >= climb_at:
                level, climb_at = 1, s
            continue
        low = fronts[size[c, 1 + 2 * level] + bv * size[c, 2 + 2 * level] + bu]
        if w < low and w + length * dw <= low:
            s += length + STEP_PAST_M
            if s >= climb_at:
                level, climb_at = min(level + 1, 2), s
        else:
            climb_at = s + length
            if w < low:
                s += (low - w) * p[14]
            level -= 1
    return s
