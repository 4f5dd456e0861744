"""Which bodies hold a lamella: connectivity on a raster around it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.lamella_site import Site
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


def attached_sides(site: Site, slab: Slab) -> tuple[str, ...]:
    """Name what holds the slab: ``left``, ``right`` (bodies beyond its ends) and ``bottom`` (uncut material between).

    A body counts only when it hangs together with the rest of the sample other than through the slab.
    """
    u = np.arange(slab.left_m - BEYOND_SIDES_M, slab.right_m + BEYOND_SIDES_M, CELL_U_M)
    v = np.arange(slab.bottom_m - BEYOND_FACES_M, slab.top_m + BEYOND_FACES_M, CELL_V_M)
    occupied, end_cell = _raster(site, slab, u, v)
    # One row more on both faces: the slab is not equally thick everywhere.
    box = (_span(u, slab.left_m, slab.right_m, extra=0), _span(v, slab.bottom_m, slab.top_m, extra=1))
    within = np.zeros_like(occupied)
    within[*box, :end_cell] = occupied[*box, :end_cell]
    occupied[box] = False
    rest = reach_from_border(occupied)
    body = reach_from(within, _central_part(within, box))
    touching = {
        "left": _touch(body[box[0].start], rest[box[0].start - 1]),
        "right": _touch(body[box[0].stop - 1], rest[box[0].stop]),
        "bottom": _faces_touch(body, rest, box),
    }
    return tuple(name for name, is_held in touching.items() if is_held)


def _span(at_m: NDArray[np.float64], low_m: float, high_m: float, *, extra: int) -> slice:
    """Return the samples between two places, at least one, and ``extra`` more on both sides."""
    first, last = np.searchsorted(at_m, (low_m, high_m))
    return slice(int(first) - extra, max(int(last), int(first) + 1) + extra)


def _central_part(within: Raster, box: tuple[slice, slice]) -> Raster:
    """Return the cells of the slab in the middle half of its width."""
    quarter = (box[0].stop - box[0].start) // 4
    part = np.zeros_like(within)
    middle = slice(box[0].start + quarter, box[0].stop - quarter)
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


def _faces_touch(body: Raster, rest: Raster, box: tuple[slice, slice]) -> bool:
    """Tell whether there is something uncut above or below the slab; the round corners of trenches are the sides'."""
    margin = max(1, (box[0].stop - box[0].start) // 10)
    middle = slice(box[0].start + margin, box[0].stop - margin)
    pairs = ((box[1].start, box[1].start - 1), (box[1].stop - 1, box[1].stop))
    return any(_touch(body[middle, inner], rest[middle, outer]) for inner, outer in pairs)


def _raster(site: Site, slab: Slab, u: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[Raster, int]:
    """Return (u, v, cells along the beam) where material is left, and the cell in which the slab has ended for sure."""
    view = site.view
    steepness = abs(view.direction[2]) / max(math.hypot(view.direction[0], view.direction[1]), 1e-9)
    cell_m = max(CELL_W_M, CELL_V_M / steepness)
    start_m = slab.entry_m - BEFORE_M
    count = math.ceil((slab.limit_m + BEHIND_M - start_m) / cell_m)
    flat_u, flat_v = (a.ravel() for a in np.meshgrid(u, v, indexing="ij"))
    occupied = np.zeros((flat_u.size, count), np.bool_)
    until_m = np.full(flat_u.size, slab.limit_m)
    points = site.points(flat_u, flat_v)
    found = survey_rays(points, view.direction, until_m, site.terrain, site.cuts, start_m, cell_m, occupied)
    ends_m = found[:, LAST_LEFT].reshape(u.size, v.size)
    inside_m = ends_m[_span(u, slab.left_m, slab.right_m, extra=0), _span(v, slab.bottom_m, slab.top_m, extra=0)]
    end_cell = math.ceil((max(inside_m.max(), slab.entry_m) - start_m) / cell_m)
    return occupied.reshape(u.size, v.size, count), end_cell
