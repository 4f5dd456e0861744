"""Which bodies hold a lamella: connectivity on a raster around it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.rays import lay_out_terrain
from drivers.simulator.slab import Site, Slab
from drivers.simulator.survey import LAST_LEFT, reach_from_border, survey_rays
from fibsem_runtime.core.units import UM

BEYOND_SIDES_M: Final = 6 * UM
BEYOND_FACES_M: Final = 8 * UM
BEFORE_M: Final = 12 * UM
BEHIND_M: Final = 20 * UM
"""How far around the slab the raster reaches: what hangs together with its border is the rest of the sample."""

CELL_U_M: Final = 0.2 * UM
CELL_V_M: Final = 0.08 * UM
"""Distance of the rays; along the beam a cell is as long as needed for the film to pass from ray to ray without a gap."""


def attached_sides(site: Site, slab: Slab) -> tuple[str, ...]:
    """Name what holds the slab: ``left``, ``right`` (bodies beyond its ends) and ``bottom`` (uncut material between).

    A body counts only when it hangs together with the rest of the sample other than through the slab.
    """
    u = np.arange(slab.left_m - BEYOND_SIDES_M, slab.right_m + BEYOND_SIDES_M, CELL_U_M)
    v = np.arange(slab.bottom_m - BEYOND_FACES_M, slab.top_m + BEYOND_FACES_M, CELL_V_M)
    occupied, last_m, cell_m, start_m = _raster(site, slab, u, v)
    across = (u >= slab.left_m) & (u <= slab.right_m)
    along = (v >= slab.bottom_m) & (v <= slab.top_m)
    inside = np.ix_(across, along)
    reaches_m = last_m[inside][np.isfinite(last_m[inside])]
    if not reaches_m.size:
        return ()
    occupied[inside] = False
    held = reach_from_border(occupied)
    depth = slice(0, max(1, math.ceil((reaches_m.max() - start_m) / cell_m)))
    sides = _neighbours(held, np.flatnonzero(across), np.flatnonzero(along), depth)
    return tuple(name for name, is_held in sides.items() if is_held)


def _raster(
    site: Site, slab: Slab, u: NDArray[np.float64], v: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64], float, float]:
    """Return (u, v, cells) where material is left, (u, v) where it ends before the limit, cell length and start."""
    view = site.view
    steepness = abs(view.direction[2]) / max(math.hypot(view.direction[0], view.direction[1]), 1e-9)
    cell_m = max(0.1 * UM, CELL_V_M / steepness)
    start_m = slab.entry_m - BEFORE_M
    flat_u, flat_v = (a.ravel() for a in np.meshgrid(u, v, indexing="ij"))
    occupied = np.zeros((flat_u.size, math.ceil((slab.limit_m + BEHIND_M - start_m) / cell_m)), np.bool_)
    found = survey_rays(
        site.points(flat_u, flat_v),
        view.direction,
        np.full(flat_u.size, slab.limit_m),
        lay_out_terrain(site.sample),
        site.cuts,
        start_m,
        cell_m,
        occupied,
    )
    shape = (u.size, v.size)
    return occupied.reshape(*shape, -1), found[:, LAST_LEFT].reshape(shape), cell_m, start_m


def _neighbours(
    held: NDArray[np.bool_], across: NDArray[np.int64], along: NDArray[np.int64], depth: slice
) -> dict[str, bool]:
    """Tell on which sides of the box of the slab there are held cells, within its depth."""
    rows = slice(along[0], along[-1] + 1) if along.size else slice(0, 0)
    # The trenches' round corners belong to the sides, not to the bottom.
    margin = max(1, across.size // 10)
    middle = slice(across[0] + margin, across[-1] + 1 - margin)
    faces = (along[0] - 2, along[-1] + 2) if along.size else ()
    return {
        "left": bool(held[across[0] - 1, rows, depth].any()),
        "right": bool(held[across[-1] + 1, rows, depth].any()),
        "bottom": any(bool(held[middle, row, depth].any()) for row in faces),
    }
