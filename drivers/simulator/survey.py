"""Ask what is left of the sample along rays and at points: the compiled inner loops of the truth."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from drivers.simulator.rays import (
    STEP_M,
    column_at,
    is_removed,
    layer_of,
    next_crossing,
    removed_until,
)
from drivers.simulator.sample import Material

FIRST_UNCUT: Final = 0
LAST_UNCUT: Final = 1
REMOVED_UNTIL: Final = 2
FIRST_LEFT: Final = 3
LAST_LEFT: Final = 4
LAST_BODY: Final = 5
"""Columns of `survey_rays`: distances along the ray, infinite where there is nothing of the kind.

Where the uncut sample begins and ends, up to where the cuts of this direction have removed everything, where what is
left begins and ends, and where the last of it that is more than film ends.
"""

_VACUUM: Final = int(Material.VACUUM)
_FILM: Final = int(Material.FILM)


@njit(cache=True, nogil=True)
def survey_rays(
    points: Any, direction: Any, until: Any, terrain: Any, cuts: Any, start: float, cell: float, occupied: Any
) -> Any:
    """Return (rays, 6) float64, see `FIRST_UNCUT` and following, of the rays from ``points`` along ``direction``.

    Material that begins beyond ``until`` does not count as left. ``occupied``: (rays, cells) bool, filled with where
    material is left in cells of length ``cell`` from ``start`` on; without cells it is not.
    """
    found = np.empty((points.shape[0], 6))
    dx, dy, dz = direction[0], direction[1], direction[2]
    for n in range(points.shape[0]):
        px, py, pz = points[n, 0], points[n, 1], points[n, 2]
        removed = removed_until(cuts, px, py, pz)
        first_uncut, last_uncut, first_left, last_left, last_body = np.inf, -np.inf, np.inf, -np.inf, -np.inf
        s = (terrain.high_m + STEP_M - pz) / dz
        x, y, z = px + s * dx, py + s * dy, pz + s * dz
        top, under_coating, bottom, material = column_at(terrain, x, y)
        while z > terrain.low_m and not (z < bottom and top > bottom):
            x1, y1, z1 = x + STEP_M * dx, y + STEP_M * dy, z + STEP_M * dz
            top1, under_coating1, bottom1, material1 = column_at(terrain, x1, y1)
            if z1 < max(top, top1):
                a = (top - z, under_coating - z, -z, z - bottom)
                b = (top1 - z1, under_coating1 - z1, -z1, z1 - bottom1)
                t = 0.0
                while t < 1.0:
                    end = next_crossing(t, a, b)
                    m = 0.5 * (t + end)
                    layer = layer_of(
                        a[0] + m * (b[0] - a[0]),
                        a[1] + m * (b[1] - a[1]),
                        a[2] + m * (b[2] - a[2]),
                        a[3] + m * (b[3] - a[3]),
                        min(bottom, bottom1),
                        material1 if m > 0.5 else material,
                    )
                    if layer != _VACUUM:
                        first_uncut = min(first_uncut, s + t * STEP_M)
                        last_uncut = s + end * STEP_M
                        left = max(s + t * STEP_M, removed)
                        if left < last_uncut and not is_removed(
                            cuts, x + m * (x1 - x), y + m * (y1 - y), z + m * (z1 - z)
                        ):
                            if left < until[n]:
                                first_left, last_left = min(first_left, left), last_uncut
                                if layer != _FILM:
                                    last_body = last_uncut
                            low = max(0, int((left - start) / cell))
                            for k in range(low, min(occupied.shape[1], int((last_uncut - start) / cell) + 1)):
                                occupied[n, k] = True
                    t = end
            s += STEP_M
            x, y, z = x1, y1, z1
            top, under_coating, bottom, material = top1, under_coating1, bottom1, material1
        found[n, 0], found[n, 1], found[n, 2] = first_uncut, last_uncut, removed
        found[n, 3], found[n, 4], found[n, 5] = first_left, last_left, last_body
    return found


@njit(cache=True, nogil=True)
def standing(points: Any, terrain: Any, cuts: Any) -> Any:
    """Tell for each of (n, 3) ``points`` whether there is still material."""
    found = np.empty(points.shape[0], np.bool_)
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        top, _, bottom, _ = column_at(terrain, x, y)
        found[n] = bottom < z < top and removed_until(cuts, x, y, z) <= 0.0 and not is_removed(cuts, x, y, z)
    return found


@njit(cache=True, nogil=True)
def reach_from_border(occupied: Any) -> Any:
    """Return which occupied cells of a (i, j, k) raster hang together with one on its border, over faces and edges."""
    size_i, size_j, size_k = occupied.shape
    reached = np.zeros_like(occupied)
    waiting = [(0, 0, 0)]
    waiting.pop()
    for i in range(size_i):
        for j in range(size_j):
            for k in range(size_k):
                inside = 0 < i < size_i - 1 and 0 < j < size_j - 1 and 0 < k < size_k - 1
                if occupied[i, j, k] and not inside:
                    reached[i, j, k] = True
                    waiting.append((i, j, k))
    while len(waiting) > 0:
        i, j, k = waiting.pop()
        for di in range(-1, 2):
            for dj in range(-1, 2):
                for dk in range(-1, 2):
                    a, b, c = i + di, j + dj, k + dk
                    if abs(di) + abs(dj) + abs(dk) > 2 or not (0 <= a < size_i and 0 <= b < size_j and 0 <= c < size_k):
                        continue
                    if occupied[a, b, c] and not reached[a, b, c]:
                        reached[a, b, c] = True
                        waiting.append((a, b, c))
    return reached
