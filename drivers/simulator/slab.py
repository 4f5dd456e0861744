"""Find the slab between two trenches, as the beam that milled them sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.rays import OtherCuts, lay_out_cuts, lay_out_terrain
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.survey import FIRST_LEFT, FIRST_UNCUT, LAST_UNCUT, REMOVED_UNTIL, survey_rays
from drivers.simulator.view import View
from fibsem_runtime.core import SpecimenPosition
from fibsem_runtime.core.units import NM, UM

Floats: TypeAlias = NDArray[np.float64]

SEARCH_FINE_M: Final = 1.5 * UM
SEARCH_FAR_M: Final = 6 * UM
"""How far above and below the target a slab is looked for, in steps of 25 nm and, beyond, of 100 nm."""

COLUMN_OFFSETS_M: Final = (0.0, 0.7 * UM, -0.7 * UM, 1.6 * UM, -1.6 * UM)
"""Where across the width a slab is looked for, in this order; a hole in its middle does not hide it."""

MAX_HALF_WIDTH_M: Final = 20 * UM
COLUMN_STEP_M: Final = 0.25 * UM

DUG_M: Final = 1 * UM
"""Removal along the beam from which a ray counts as lying in a trench that is not through yet."""

BEHIND_M: Final = 2 * UM
"""How far behind the slab a trench must be clear to count as cut through: the film right under it, not what is far off."""

SHOULDER_M: Final = 0.05 * UM
MAX_SHOULDER_M: Final = 0.4 * UM
"""The lamella ends where the slab reaches beyond its face by its own half thickness plus this, or at most by that."""

MIN_WIDTH_M: Final = 1 * UM
"""Narrower remains are no lamella."""

THROUGH_FRACTION: Final = 0.75
"""Part of the central half along which the trenches must be cut through; a crystal's remains do not spoil a lamella."""

STANDING: Final = 0
DUG: Final = 1
THROUGH: Final = 2
"""State of a ray."""

_HALVING_COUNT: Final = 12
_CENTRAL_COUNT: Final = 17


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Slab:
    """The slab between two trenches in the frame of ``view``: x right, y up, metres.

    ``left_m``, ``right_m``: where it ends; ``bottom_m``, ``top_m``: its lower and upper edge in the middle of its width,
    as the ion beam sees them. ``is_through`` when both trenches are cut through. ``entry_m``, ``limit_m``: where the beam
    meets the slab and where it has left it for sure, from the view's origin. ``view`` is the ion view that was asked in,
    turned along the beam that milled the trenches where that differs.
    """

    view: View
    left_m: float
    right_m: float
    bottom_m: float
    top_m: float
    entry_m: float
    limit_m: float
    is_through: bool

    @property
    def reach_m(self) -> float:
        """Return the distance from the middle at which a trench must be for the lamella not to have ended."""
        return _reach_m((self.bottom_m, self.top_m))

    def point(self, x_m: float, y_m: float) -> Floats:
        """Return a point of the plane in which the beam enters the slab, in the specimen frame."""
        view = self.view
        return np.asarray(view.origin + x_m * view.right + y_m * view.up + self.entry_m * view.direction)

    def key_points(self) -> dict[str, tuple[float, float]]:
        """Return the centre and the top, bottom, left and right edge as (x, y) of ``view``, metres."""
        x_m, y_m = (self.left_m + self.right_m) / 2, (self.bottom_m + self.top_m) / 2
        return {
            "centre": (x_m, y_m),
            "top": (x_m, self.top_m),
            "bottom": (x_m, self.bottom_m),
            "left": (self.left_m, y_m),
            "right": (self.right_m, y_m),
        }


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Site:
    """A target seen along the beam that milled around it: ``target_m`` is its (x, y, distance) in ``view``."""

    sample: Sample
    view: View
    target_m: Floats
    cuts: OtherCuts

    def points(self, u: Floats, v: Floats, w: Floats | float = 0.0) -> Floats:
        """Return (n, 3) points of the specimen frame for coordinates of the view."""
        view = self.view
        along = np.broadcast_to(np.asarray(w, np.float64), np.shape(u))
        flat = np.multiply.outer(u, view.right) + np.multiply.outer(v, view.up)
        return np.ascontiguousarray(view.origin + flat + np.multiply.outer(along, view.direction))

    def survey(self, u: Floats, v: Floats, until_m: Floats | float) -> Floats:
        """Return (n, 6) what the rays at (u, v) meet, see `drivers.simulator.survey`."""
        until = np.ascontiguousarray(np.broadcast_to(np.asarray(until_m, np.float64), np.shape(u)))
        cells = np.zeros((len(u), 0), np.bool_)
        terrain = lay_out_terrain(self.sample)
        found = survey_rays(self.points(u, v), self.view.direction, until, terrain, self.cuts, 0.0, 1.0, cells)
        return np.asarray(found, np.float64)

    def states(self, u: Floats, v: Floats, until_m: Floats | float) -> NDArray[np.int64]:
        """Return for rays at (u, v) whether they meet something standing, a trench that is dug or one cut through."""
        rays = self.survey(u, v, until_m)
        first, last, removed = rays[:, FIRST_UNCUT], rays[:, LAST_UNCUT], rays[:, REMOVED_UNTIL]
        # A ray beside the sample counts as cut only where a beam has passed the film's plane, not where it is just sky.
        last = np.where(np.isfinite(last), last, self._film_plane_m(u, v) + DUG_M)
        needed_m = np.where((first < until_m) & (until_m < last), until_m, last)
        through = ~np.isfinite(rays[:, FIRST_LEFT]) & (removed >= needed_m - 1 * NM)
        dug = np.isfinite(first) & (removed - first >= DUG_M)
        return np.where(through, THROUGH, np.where(dug, DUG, STANDING))

    def _film_plane_m(self, u: Floats, v: Floats) -> Floats:
        return np.asarray(-self.points(u, v)[:, 2] / self.view.direction[2])


def find_slab(sample: Sample, target: SpecimenPosition, ion_view: View) -> Slab | None:
    """Find the slab that stands at or nearest to ``target`` between an upper and a lower trench; None without one."""
    site = open_site(sample, target, ion_view)
    return slab_at(site) if site is not None else None


def open_site(sample: Sample, target: SpecimenPosition, ion_view: View) -> Site | None:
    """Look at a target along the beam that milled it last; None where no cut has come near."""
    place = np.array([target.x_m, target.y_m, target.z_m])
    near = [c for c in sample.cuts if _is_near(c, place)]
    if not near:
        return None
    view = _turned_along(ion_view, near[-1].axes[2])
    away = place - view.origin
    target_m = np.array([away @ view.right, away @ view.up, away @ view.direction])
    bundle = _bundle(view, target_m)
    return Site(
        sample=sample, view=view, target_m=target_m, cuts=lay_out_cuts(sample.cuts, bundle, lay_out_terrain(sample))
    )


def _is_near(cut: Cut, place: Floats) -> bool:
    u, v, _ = cut.axes @ (place - cut.origin)
    rows, columns = cut.front_m.shape
    u_high, v_high = cut.u0_m + (columns - 1) * cut.du_m, cut.v0_m + (rows - 1) * cut.dv_m
    near = cut.u0_m <= u <= u_high and cut.v0_m - SEARCH_FAR_M <= v <= v_high + SEARCH_FAR_M
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
    reach_m = 2 * MAX_HALF_WIDTH_M
    return Cut(
        origin=view.origin + target_m[0] * view.right + target_m[1] * view.up,
        axes=np.array([view.right, view.up, view.direction]),
        u0_m=-reach_m,
        du_m=2 * reach_m,
        v0_m=-reach_m,
        dv_m=2 * reach_m,
        front_m=np.full((2, 2), -np.inf, np.float32),
    )


def slab_at(site: Site) -> Slab | None:
    """Find the slab at or nearest to the site's target."""
    for offset_m in COLUMN_OFFSETS_M:
        u_m = float(site.target_m[0]) + offset_m
        limit_m = _limit_m(site, u_m)
        for threshold in (THROUGH, DUG):
            edges_m = _interval(site, u_m, limit_m, threshold)
            slab = _complete(site, u_m, edges_m, limit_m) if edges_m is not None else None
            if slab is not None:
                return slab
    return None


def _limit_m(site: Site, u_m: float) -> float:
    """Return how far along the beam a trench must be clear: a bit more than the uncut sample at the target."""
    last_m = site.survey(np.array([u_m]), site.target_m[1:2], np.inf)[0, LAST_UNCUT]
    return float(max(last_m, site.target_m[2])) + BEHIND_M


def _interval(site: Site, u_m: float, limit_m: float, threshold: int) -> tuple[float, float] | None:
    """Return lower and upper edge of the run of rays below ``threshold`` nearest to the target, closed on both sides."""
    fine = np.arange(-SEARCH_FINE_M, SEARCH_FINE_M, 25 * NM)
    far = np.arange(SEARCH_FINE_M, SEARCH_FAR_M, 100 * NM)
    v = site.target_m[1] + np.concatenate([-far[::-1], fine, far])
    stands = site.states(np.full_like(v, u_m), v, limit_m) < threshold
    steps = np.flatnonzero(np.diff(stands.astype(np.int8)))
    runs = [(a, b) for a, b in zip(steps[:-1], steps[1:], strict=True) if stands[a + 1]]
    if not runs:
        return None
    below, above = min(runs, key=lambda run: _distance(v[run[0] + 1], v[run[1]], float(site.target_m[1])))
    inner, outer = np.array([v[below + 1], v[above]]), np.array([v[below], v[above + 1]])
    for _ in range(_HALVING_COUNT):
        middle = (inner + outer) / 2
        on = site.states(np.full(2, u_m), middle, limit_m) < threshold
        inner, outer = np.where(on, middle, inner), np.where(on, outer, middle)
    return float(inner[0]), float(inner[1])


def _distance(low_m: float, high_m: float, place_m: float) -> float:
    return max(low_m - place_m, place_m - high_m, 0.0)


def _complete(site: Site, u_m: float, edges_m: tuple[float, float], limit_m: float) -> Slab | None:
    """Follow the slab to both sides and see what its trenches are like along its central half."""
    reach_m = _reach_m(edges_m)
    middle_m = (edges_m[0] + edges_m[1]) / 2
    beside_m = (middle_m - reach_m, middle_m + reach_m)
    left_m, right_m = (_end(site, u_m, beside_m, limit_m, side=side) for side in (-1, 1))
    if right_m - left_m < MIN_WIDTH_M:
        return None
    u = np.linspace((3 * left_m + right_m) / 4, (left_m + 3 * right_m) / 4, _CENTRAL_COUNT)
    through = [site.states(u, np.full_like(u, v_m), limit_m) == THROUGH for v_m in beside_m]
    is_through = bool(np.mean(through) >= THROUGH_FRACTION)
    centre_m = (left_m + right_m) / 2
    bottom_m, top_m = _interval(site, centre_m, limit_m, THROUGH if is_through else DUG) or edges_m
    entries_m = site.survey(u, np.full_like(u, middle_m), limit_m)[:, FIRST_LEFT]
    entries_m = entries_m[np.isfinite(entries_m)]
    return Slab(
        view=site.view,
        left_m=left_m,
        right_m=right_m,
        bottom_m=bottom_m,
        top_m=top_m,
        entry_m=float(np.median(entries_m)) if len(entries_m) else float(site.target_m[2]),
        limit_m=limit_m,
        is_through=is_through,
    )


def _reach_m(edges_m: tuple[float, float]) -> float:
    """Return how far from the middle of the slab there must be a trench."""
    half_m = (edges_m[1] - edges_m[0]) / 2
    return half_m + min(half_m + SHOULDER_M, MAX_SHOULDER_M)


def _end(site: Site, u_m: float, beside_m: tuple[float, float], limit_m: float, *, side: int) -> float:
    """Return how far, from ``u_m`` to one side, both rays beside the slab lie in its trenches."""

    def in_trenches(u: Floats) -> NDArray[np.bool_]:
        both = [site.states(u, np.full_like(u, v_m), limit_m) >= DUG for v_m in beside_m]
        return np.asarray(both[0] & both[1])

    u = u_m + side * np.arange(0, MAX_HALF_WIDTH_M, COLUMN_STEP_M)
    open_to = in_trenches(u)
    end = len(u) - 1 if open_to.all() else int(np.argmin(open_to)) - 1
    if end < 0:
        return u_m
    inner, outer = u[end : end + 1], u[end : end + 1] + side * COLUMN_STEP_M
    for _ in range(_HALVING_COUNT):
        middle = (inner + outer) / 2
        on = in_trenches(middle)
        inner, outer = np.where(on, middle, inner), np.where(on, outer, middle)
    return float(inner[0])
