"""Where a ray enters the body between the two surfaces of the height field.

Arguments as in `drivers.simulator.tracing`.
"""

from __future__ import annotations

from typing import Any, Final

from drivers.simulator.kernels import kernel
from drivers.simulator.solid import COARSE_SHIFT, FINE_SHIFT, MIDDLE_SHIFT
from drivers.simulator.stepping import STEP_PAST_M, first_root, to_exit

_STEEP: Final = -0.8
"""Rays that descend steeper than this mostly meet the surface in the cell in which they are started."""

NOTHING: Final = 0
TOP: Final = 1
BOTTOM: Final = 2
WALL: Final = 3
SURROUNDINGS: Final = 4
"""What a ray hit: nothing, the upper or lower surface, the face that a cut has left, or the plane around the map."""


@kernel
def surface_at(grid: Any, layer: int, gx: float, gy: float) -> float:
    """Return the bilinear value of a layer at (gx, gy) in cells of the map; the caller keeps inside."""
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
    columns, rows = layout[0] - 1, layout[1] - 1
    level, climb_at = (0 if dz < _STEEP else 1), s
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
            s += length + STEP_PAST_M
            if s >= climb_at:
                level, climb_at = 1, s
            continue
        k = layout[2 * level] + 2 * (by * layout[2 * level + 1] + bx)
        high, low = bounds[k], bounds[k + 1]
        z_end = z + length * dz
        if min(z, z_end) > high or max(z, z_end) < low:
            s += length + STEP_PAST_M
            if s >= climb_at:
                level, climb_at = min(level + 1, 3), s
        else:
            climb_at = s + length
            if dz < 0.0 and z > high:
                s += (high - z) * course[4, 2]
            level -= 1
    return s, NOTHING
