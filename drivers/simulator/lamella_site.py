"""One target seen along the beam that milled around it, and what the rays there meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.columns import Terrain, lay_out_terrain
from drivers.simulator.rays import OtherCuts, lay_out_cuts
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.survey import FIRST_LEFT, FIRST_UNCUT, LAST_UNCUT, REMOVED_UNTIL, survey_rays
from drivers.simulator.view import View
from fibsem_runtime.core import SpecimenPosition
from fibsem_runtime.core.units import NM, UM

Floats: TypeAlias = NDArray[np.float64]

NEAR_M: Final = 6 * UM
"""A cut counts as made at a target when it lies no farther above or below it, in the ion image."""

REACH_M: Final = 40 * UM
"""Half the width and height of the field around a target that can be asked about."""

DUG_M: Final = 1 * UM
"""Removal along the beam from which a ray counts as lying in a trench that is not through yet."""

STANDING: Final = 0
DUG: Final = 1
THROUGH: Final = 2
"""State of a ray."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Site:
    """A target seen along the beam that milled around it: ``target_m`` is its (x, y, distance) in ``view``."""

    terrain: Terrain
    cuts: OtherCuts
    view: View
    target_m: Floats

    def points(self, u: Floats, v: Floats, w_m: Floats | float = 0.0) -> Floats:
        """Return (n, 3) points of the specimen frame for coordinates of the view."""
        view = self.view
        along = np.broadcast_to(np.asarray(w_m, np.float64), np.shape(u))
        flat = np.multiply.outer(u, view.right) + np.multiply.outer(v, view.up)
        return np.ascontiguousarray(view.origin + flat + np.multiply.outer(along, view.direction))

    def survey(self, u: Floats, v: Floats, until_m: Floats | float) -> Floats:
        """Return (n, 6) what the rays at (u, v) meet, see `drivers.simulator.survey`."""
        until = np.ascontiguousarray(np.broadcast_to(np.asarray(until_m, np.float64), np.shape(u)))
        cells = np.zeros((len(u), 0), np.bool_)
        found = survey_rays(self.points(u, v), self.view.direction, until, self.terrain, self.cuts, 0.0, 1.0, cells)
        return np.asarray(found, np.float64)

    def states(self, u: Floats, v: Floats, until_m: Floats | float) -> NDArray[np.int64]:
        """Return for rays at (u, v) whether they meet something standing, a trench that is dug or one cut through."""
        return self.states_of(self.survey(u, v, until_m), u, v, until_m)

    def states_of(self, rays: Floats, u: Floats, v: Floats, until_m: Floats | float) -> NDArray[np.int64]:
        """Return `states` of rays that have been surveyed until there already."""
        first, last, removed = rays[:, FIRST_UNCUT], rays[:, LAST_UNCUT], rays[:, REMOVED_UNTIL]
        # A ray beside the sample counts as cut only where a beam has passed the film's plane, not where it is just sky.
        last = np.where(np.isfinite(last), last, self._film_plane_m(u, v) + DUG_M)
        needed_m = np.where((first < until_m) & (until_m < last), until_m, last)
        through = ~np.isfinite(rays[:, FIRST_LEFT]) & (removed >= needed_m - 1 * NM)
        dug = np.isfinite(first) & (removed - first >= DUG_M)
        return np.where(through, THROUGH, np.where(dug, DUG, STANDING))

    def _film_plane_m(self, u: Floats, v: Floats) -> Floats:
        return np.asarray(-self.points(u, v)[:, 2] / self.view.direction[2])


def open_site(sample: Sample, target: SpecimenPosition, ion_view: View) -> Site | None:
    """Look at a target along the beam that milled it last; None where no cut has come near."""
    place = np.array([target.x_m, target.y_m, target.z_m])
    near = [c for c in sample.cuts if c.is_milled and _is_near(c, place)]
    if not near:
        return None
    view = _turned_along(ion_view, near[-1].axes[2])
    away = place - view.origin
    target_m = np.array([away @ view.right, away @ view.up, away @ view.direction])
    terrain = lay_out_terrain(sample)
    cuts = lay_out_cuts(sample.cuts, _bundle(view, target_m), terrain)
    return Site(terrain=terrain, cuts=cuts, view=view, target_m=target_m)


def _is_near(cut: Cut, place: Floats) -> bool:
    u, v, _ = cut.axes @ (place - cut.origin)
    rows, columns = cut.front_m.shape
    u_high, v_high = cut.u0_m + (columns - 1) * cut.du_m, cut.v0_m + (rows - 1) * cut.dv_m
    near = cut.u0_m <= u <= u_high and cut.v0_m - NEAR_M <= v <= v_high + NEAR_M
    return near and bool(np.isfinite(cut.front_m).any())


def _turned_along(view: View, direction: Floats) -> View:
    """Return the view itself where it looks along ``direction``, else the view turned there with its right kept."""
    if np.abs(view.direction - direction).max() < 1e-9:
        return view
    right = view.right - (view.right @ direction) * direction
    right /= np.linalg.norm(right)
    return View(origin=view.origin, right=right, up=np.cross(right, direction), direction=direction)


def _bundle(view: View, target_m: Floats) -> Cut:
    """Return an empty cut whose rays cover everything that is asked about a target."""
    return Cut(
        origin=view.origin + target_m[0] * view.right + target_m[1] * view.up,
        axes=np.array([view.right, view.up, view.direction]),
        u0_m=-REACH_M,
        du_m=2 * REACH_M,
        v0_m=-REACH_M,
        dv_m=2 * REACH_M,
        front_m=np.full((2, 2), -np.inf, np.float32),
    )
