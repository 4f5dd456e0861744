"""Ask what is left of the sample along rays and at points: the compiled inner loops of the truth."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.columns import FILM, STEP_M, VACUUM, column_at, depths, is_below, piece_at
from drivers.simulator.kernels import with_memory
from drivers.simulator.rays import is_removed, removed_until

Raster: TypeAlias = NDArray[np.bool_]
"""Cells along two axes across the beam and, last, along it."""

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

NEIGHBOURS: Final = np.array(
    [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if 0 < abs(i) + abs(j) + abs(k) <= 2]
)
"""The 18 cells of a raster that share a face or an edge with one cell."""


@with_memory
def mark(occupied: Any, start: float, cell: float, begin: float, end: float) -> None:
    """Mark the cells, ``cell`` long from ``start`` on, that the stretch from ``begin`` to ``end`` touches."""
    for k in range(max(0, int((begin - start) / cell)), min(occupied.shape[0], int((end - start) / cell) + 1)):
        occupied[k] = True


@with_memory
def survey_ray(
    found: Any, p: Any, d: Any, until: float, terrain: Any, cuts: Any, start: float, cell: float, occupied: Any
) -> None:
    """Fill one row of `survey_rays`."""
    removed = removed_until(cuts, p[0], p[1], p[2])
    found[:] = (np.inf, -np.inf, removed, np.inf, -np.inf, -np.inf)
    s = (terrain.high_m + STEP_M - p[2]) / d[2]
    x, y, z = p[0] + s * d[0], p[1] + s * d[1], p[2] + s * d[2]
    column = column_at(terrain, x, y)
    while not is_below(terrain, column, z):
        x1, y1, z1 = x + STEP_M * d[0], y + STEP_M * d[1], z + STEP_M * d[2]
        following = column_at(terrain, x1, y1)
        t = 0.0 if z1 < max(column[0], following[0]) else 1.0
        above, below = depths(column, z), depths(following, z1)
        while t < 1.0:
            end, layer = piece_at(t, above, below, column, following)
            if layer != VACUUM:
                m, last = 0.5 * (t + end), s + end * STEP_M
                found[0], found[1] = min(found[0], s + t * STEP_M), last
                left = max(s + t * STEP_M, removed)
                if left < last and not is_removed(cuts, x + m * (x1 - x), y + m * (y1 - y), z + m * (z1 - z)):
                    mark(occupied, start, cell, left, last)
                    if left < until:
                        found[3], found[4] = min(found[3], left), last
                        found[5] = found[5] if layer == FILM else last
            t = end
        s += STEP_M
        x, y, z, column = x1, y1, z1, following


@with_memory
def survey_rays(
    points: Any, direction: Any, until: Any, terrain: Any, cuts: Any, start: float, cell: float, occupied: Any
) -> Any:
    """Return (rays, 6) float64, see `FIRST_UNCUT` and following, of the rays from ``points`` along ``direction``.

    Material that begins beyond ``until`` does not count as left. ``occupied``: (rays, cells) bool, filled with where
    material is left in cells of length ``cell`` from ``start`` on, counted beyond ``until`` too.
    """
    found = np.empty((points.shape[0], 6))
    for n in range(points.shape[0]):
        survey_ray(found[n], points[n], direction, until[n], terrain, cuts, start, cell, occupied[n])
    return found


@with_memory
def standing(points: Any, terrain: Any, cuts: Any) -> Any:
    """Tell for each of (n, 3) ``points`` whether there is still material."""
    found = np.empty(points.shape[0], np.bool_)
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        column = column_at(terrain, x, y)
        inside = column[2] < z < column[0]
        found[n] = inside and removed_until(cuts, x, y, z) <= 0.0 and not is_removed(cuts, x, y, z)
    return found


@with_memory
def spread(occupied: Any, seeds: Any, neighbours: Any) -> Any:
    """Return which occupied cells of a (i, j, k) raster hang together with one of (n, 3) occupied ``seeds``."""
    reached = np.zeros_like(occupied)
    waiting = []
    for n in range(seeds.shape[0]):
        reached[seeds[n, 0], seeds[n, 1], seeds[n, 2]] = True
        waiting.append((seeds[n, 0], seeds[n, 1], seeds[n, 2]))
    while len(waiting) > 0:
        i, j, k = waiting.pop()
        for n in range(neighbours.shape[0]):
            a, b, c = i + neighbours[n, 0], j + neighbours[n, 1], k + neighbours[n, 2]
            inside = 0 <= a < occupied.shape[0] and 0 <= b < occupied.shape[1] and 0 <= c < occupied.shape[2]
            if inside and occupied[a, b, c] and not reached[a, b, c]:
                reached[a, b, c] = True
                waiting.append((a, b, c))
    return reached


def reach_from(occupied: Raster, seeds: Raster) -> Raster:
    """Return which occupied cells hang together with one of ``seeds``, over faces and edges."""
    return np.asarray(spread(occupied, np.argwhere(occupied & seeds), NEIGHBOURS), np.bool_)


def reach_from_border(occupied: Raster) -> Raster:
    """Return which occupied cells of a raster hang together with one on its border, over faces and edges."""
    border = np.zeros_like(occupied)
    for axis in range(3):
        across = np.moveaxis(border, axis, 0)
        across[0] = across[-1] = True
    return reach_from(occupied, border)
