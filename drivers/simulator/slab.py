"""Find the slab between two trenches, as the beam that milled them sees it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.lamella_site import DUG, THROUGH, Floats, Site, open_site
from drivers.simulator.sample import Sample
from drivers.simulator.survey import FIRST_LEFT, LAST_UNCUT
from drivers.simulator.view import View
from fibsem_runtime.core import SpecimenPosition
from fibsem_runtime.core.units import NM, UM

SEARCH_FINE_M: Final = 1.5 * UM
SEARCH_FAR_M: Final = 6 * UM
"""How far above and below the target a slab is looked for, in steps of 25 nm and, beyond, of 100 nm."""

COLUMN_OFFSETS_M: Final = (0.0, 0.7 * UM, -0.7 * UM, 1.6 * UM, -1.6 * UM)
"""Where across the width a slab is looked for, in this order; a hole in its middle does not hide it."""

MAX_HALF_WIDTH_M: Final = 20 * UM
COLUMN_STEP_M: Final = 0.25 * UM

BEHIND_M: Final = 2 * UM
"""How far behind the slab a trench must be clear to be cut through: the film right under it, not what is far off."""

SHOULDER_M: Final = 0.05 * UM
MAX_SHOULDER_M: Final = 0.4 * UM
"""The lamella ends where the slab reaches beyond its face by its own half thickness plus this, or at most by that."""

MIN_WIDTH_M: Final = 1 * UM
"""Narrower remains are no lamella."""

THROUGH_FRACTION: Final = 0.75
"""Part of the central half along which the trenches must be cut through; a crystal's remains do not spoil a lamella."""

_HALVING_COUNT: Final = 12
_CENTRAL_COUNT: Final = 17


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Slab:
    """The slab between two trenches in the frame of ``view``: x right, y up, metres.

    ``left_m``, ``right_m``: where it ends; ``bottom_m``, ``top_m``: its lower and upper edge in the middle of its
    width, as the ion beam sees them. ``is_through`` when both trenches are cut through. ``entry_m``, ``limit_m``: where
    the beam meets the slab and where it has left it for sure, from the view's origin. ``view`` is the ion view that was
    asked in, turned along the beam that milled the trenches where that differs.
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


def find_slab(sample: Sample, target: SpecimenPosition, ion_view: View) -> Slab | None:
    """Find the slab that stands at or nearest to ``target`` between an upper and a lower trench; None without one."""
    site = open_site(sample, target, ion_view)
    return slab_at(site) if site is not None else None


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
    """Return the edges of the run of rays below ``threshold`` nearest to the target, bounded on both sides."""
    fine = np.arange(-SEARCH_FINE_M, SEARCH_FINE_M, 25 * NM)
    far = np.arange(SEARCH_FINE_M, SEARCH_FAR_M, 100 * NM)
    v = site.target_m[1] + np.concatenate([-far[::-1], fine, far])
    stands = site.states(np.full_like(v, u_m), v, limit_m) < threshold
    steps = np.flatnonzero(np.diff(stands.astype(np.int8)))
    runs = [(a, b) for a, b in pairwise(steps) if stands[a + 1]]
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
    left_m, right_m = _trimmed(
        site, middle_m, limit_m, [_end(site, u_m, beside_m, limit_m, side=side) for side in (-1, 1)]
    )
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


def _trimmed(site: Site, v_m: float, limit_m: float, ends_m: Sequence[float]) -> tuple[float, float]:
    """Return the ends without what lies beyond the last of the slab on either side, where it ends inside its trenches.

    A hole in its middle does not end it.
    """

    def stands(u: Floats) -> NDArray[np.bool_]:
        return np.isfinite(site.survey(u, np.full_like(u, v_m), limit_m)[:, FIRST_LEFT])

    u = np.linspace(ends_m[0], ends_m[1], max(2, math.ceil((ends_m[1] - ends_m[0]) / COLUMN_STEP_M) + 1))
    held = np.flatnonzero(stands(u))
    if not len(held):
        return ends_m[0], ends_m[0]
    inner = u[held[[0, -1]]]
    outer = u[np.clip([held[0] - 1, held[-1] + 1], 0, len(u) - 1)]
    for _ in range(_HALVING_COUNT):
        middle = (inner + outer) / 2
        on = stands(middle)
        inner, outer = np.where(on, middle, inner), np.where(on, outer, middle)
    return float(inner[0]), float(inner[1])


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
