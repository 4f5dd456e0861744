"""Which bodies hold a lamella: connectivity on a raster around it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.lamella_site import DUG, THROUGH, Site
from drivers.simulator.slab import Slab
from drivers.simulator.survey import LAST_LEFT, Raster, reach_from, reach_from_border, survey_rays
from fibsem_runtime.core.units import UM

BEYOND_SIDES_M: Final = 6 * UM
BEYOND_FACES_M: Final = 8 * UM
BEFORE_M: Final = 12 * UM
BEHIND_M: Final = 20 * UM
"""How far around the slab the raster reaches: what hangs together with its border is the rest of the sample."""

CELL_U_M: Final = 0.2 * UM
CELL_V_M: Final = 0.08 * UM
CELL_W_M: Final = 0.25 * UM
"""Distance of the rays; along the beam a cell is at least so long that the film passes from ray to ray."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Strip:
    """The rays of a slab in a raster: its columns along u and for each the first and the last row along v.

    It follows the slab, which may be bent: a straight box would leave its own ends to what holds it.
    """

    columns: slice
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return (u, v) where the strip is."""
        rows = np.arange(shape[1])
        found = np.zeros(shape, np.bool_)
        found[self.columns] = (rows >= self.first[:, np.newaxis]) & (rows <= self.last[:, np.newaxis])
        return found


def attached_sides(site: Site, slab: Slab) -> tuple[str, ...]:
    """Name what holds the slab: ``left``, ``right`` (bodies beyond its ends) and ``bottom`` (uncut material between).

    A body counts only when it hangs together with the rest of the sample other than through the slab.
    """
    u = np.arange(slab.left_m - BEYOND_SIDES_M, slab.right_m + BEYOND_SIDES_M, CELL_U_M)
    v = np.arange(slab.bottom_m - BEYOND_FACES_M, slab.top_m + BEYOND_FACES_M, CELL_V_M)
    occupied, strip, end_cell = _raster(site, slab, u, v)
    mask = strip.mask(occupied.shape[:2])
    within = np.zeros_like(occupied)
    within[mask, :end_cell] = occupied[mask, :end_cell]
    occupied[mask] = False
    rest = reach_from_border(occupied)
    body = reach_from(within, _central_part(within, strip.columns))
    start, stop = strip.columns.start, strip.columns.stop
    touching = {
        "left": _touch(body[start], rest[start - 1]),
        "right": _touch(body[stop - 1], rest[stop]),
        "bottom": _faces_touch(body, rest, strip),
    }
    return tuple(name for name, is_held in touching.items() if is_held)


def _follow(slab: Slab, u: NDArray[np.float64], v: NDArray[np.float64], stands: NDArray[np.bool_]) -> _Strip:
    """Follow a slab from its middle to both ends; ``stands``: (u, v) the rays that lie in no trench.

    It ends where what stands becomes so high that there is no trench beside it, and within its own width where it has
    a hole it goes on as it was. One row more on both faces: the slab is not equally thick everywhere.
    """
    low, high = (int(n) for n in np.searchsorted(u, (slab.left_m, slab.right_m)))
    start = (low + max(high, low + 1) - 1) // 2
    rows = [int(n) for n in np.searchsorted(v, (slab.bottom_m, slab.top_m))]
    middle = (rows[0], max(rows[1] - 1, rows[0]))
    found = {start: _run(stands[start], middle) or middle}
    highest = math.ceil(2 * slab.reach_m / CELL_V_M)
    for side, limit in ((-1, low), (1, max(high, low + 1) - 1)):
        column, run = start + side, found[start]
        while 1 <= column < len(u) - 1:
            following = _run(stands[column], run)
            is_within = (limit - column) * side >= 0
            if not is_within and (following is None or following[1] - following[0] + 1 > highest):
                break
            if following is not None and following[1] - following[0] + 1 <= highest:
                run = following
            found[column] = run
            column += side
    columns = sorted(found)
    edges = np.array([found[n] for n in columns])
    return _Strip(columns=slice(columns[0], columns[-1] + 1), first=edges[:, 0] - 1, last=edges[:, 1] + 1)


def _run(stands: NDArray[np.bool_], near: tuple[int, int]) -> tuple[int, int] | None:
    """Return the first and the last of the rows that stand without a gap and touch a run in the neighbouring column."""
    touching = np.flatnonzero(stands[max(near[0] - 1, 0) : near[1] + 2])
    if len(touching) == 0:
        return None
    one = max(near[0] - 1, 0) + int(touching[len(touching) // 2])
    below, above = np.flatnonzero(~stands[:one]), np.flatnonzero(~stands[one:])
    return (
        int(below[-1]) + 1 if len(below) else 1,
        one + int(above[0]) - 1 if len(above) else len(stands) - 2,
    )


def _central_part(within: Raster, columns: slice) -> Raster:
    """Return the cells of the slab in the middle half of its width."""
    quarter = (columns.stop - columns.start) // 4
    part = np.zeros_like(within)
    middle = slice(columns.start + quarter, columns.stop - quarter)
    part[middle] = within[middle]
    return part


def _touch(body: Raster, rest: Raster) -> bool:
    """Tell whether two neighbouring layers of cells touch, faces or edges."""
    near = body.copy()
    near[1:] |= body[:-1]
    near[:-1] |= body[1:]
    near[:, 1:] |= body[:, :-1]
    near[:, :-1] |= body[:, 1:]
    return bool((near & rest).any())


def _faces_touch(body: Raster, rest: Raster, strip: _Strip) -> bool:
    """Tell whether there is something uncut above or below the slab; the round corners of trenches are the sides'."""
    columns = np.arange(strip.columns.start, strip.columns.stop)
    margin = max(1, len(columns) // 10)
    middle = slice(margin, len(columns) - margin)
    pairs = ((strip.first, strip.first - 1), (strip.last, strip.last + 1))
    return any(
        _touch(body[columns[middle], inner[middle]], rest[columns[middle], outer[middle]]) for inner, outer in pairs
    )


def _raster(site: Site, slab: Slab, u: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[Raster, _Strip, int]:
    """Return (u, v, cells along the beam) where material is left, the slab in it, and the cell in which it has ended.

    Beyond that cell there is nothing of the slab for sure.
    """
    view = site.view
    steepness = abs(view.direction[2]) / max(math.hypot(view.direction[0], view.direction[1]), 1e-9)
    cell_m = max(CELL_W_M, CELL_V_M / steepness)
    start_m = slab.entry_m - BEFORE_M
    count = math.ceil((slab.limit_m + BEHIND_M - start_m) / cell_m)
    flat_u, flat_v = (a.ravel() for a in np.meshgrid(u, v, indexing="ij"))
    occupied = np.zeros((flat_u.size, count), np.bool_)
    until_m = np.full(flat_u.size, slab.limit_m)
    points = site.points(flat_u, flat_v)
    rays = survey_rays(points, view.direction, until_m, site.terrain, site.cuts, start_m, cell_m, occupied)
    stands = site.states_of(rays, flat_u, flat_v, until_m) < (THROUGH if slab.is_through else DUG)
    strip = _follow(slab, u, v, stands.reshape(u.size, v.size))
    ends_m = rays[:, LAST_LEFT].reshape(u.size, v.size)[strip.mask((u.size, v.size))]
    end_cell = math.ceil((max(ends_m.max(), slab.entry_m) - start_m) / cell_m)
    return occupied.reshape(u.size, v.size, count), strip, end_cell
