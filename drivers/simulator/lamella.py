"""What stands at a target: the slab between two trenches, its thickness, its place and what holds it."""

from __future__ import annotations

from typing import Final

import numpy as np

from drivers.simulator.attachment import attached_sides
from drivers.simulator.lamella_site import Floats, Site, open_site
from drivers.simulator.sample import Sample
from drivers.simulator.slab import Slab, find_slab, slab_at
from drivers.simulator.survey import FIRST_LEFT, LAST_BODY, standing
from drivers.simulator.view import View
from fibsem_runtime.core import ImagePoint, SpecimenPosition
from fibsem_runtime.hal.truth import LamellaTruth

__all__ = ["Slab", "find_slab", "measure_lamella"]

COLUMN_COUNT: Final = 33
LEVEL_COUNT: Final = 17
"""Places across the width and along the beam at which the thickness is measured."""

LEAST_STANDING_FRACTION: Final = 0.5
"""With more than half of the places milled away there is no lamella any more."""

_PROBE_COUNT: Final = 65
_HALVING_COUNT: Final = 12

_NOTHING: Final = LamellaTruth(
    thickness_m=None, thickness_min_m=None, thickness_max_m=None, offset=None, attached_to=()
)


def measure_lamella(
    sample: Sample, target: SpecimenPosition, ion_view: View, *, held_by: tuple[str, ...] | None = None
) -> LamellaTruth:
    """Measure the lamella whose centre should be at ``target``.

    Thickness: across the beam that milled it (the normal of the slab), over the central half of its width and of its
    length along the beam, where the thinned leading edge and the foot are left out; median of what stands, least (0
    where there is a hole) and greatest. No thickness is given while a trench is not cut through, and nothing at all
    where no slab stands.
    Offset: centre of the slab from the target, in the axes of ``ion_view``. ``held_by``: what holds a piece that was
    cut free; without it the sides of the slab that hang together with the rest of the sample are named.
    """
    site = open_site(sample, target, ion_view)
    slab = slab_at(site) if site is not None else None
    if site is None or slab is None:
        return _NOTHING
    lower_m, upper_m = _edges(site, slab)
    thickness_m = upper_m - lower_m
    stands = thickness_m > 0
    if stands.mean() < LEAST_STANDING_FRACTION:
        return _NOTHING
    median_m = float(np.median(thickness_m[stands]))
    middle = (lower_m + upper_m)[stands] / 2
    offset = ImagePoint(
        (slab.left_m + slab.right_m) / 2 - float(site.target_m[0]), float(middle.mean() - site.target_m[1])
    )
    attached = attached_sides(site, slab) if held_by is None else held_by
    if not slab.is_through:
        return LamellaTruth(
            thickness_m=None, thickness_min_m=None, thickness_max_m=None, offset=offset, attached_to=attached
        )
    return LamellaTruth(
        thickness_m=median_m,
        thickness_min_m=float(thickness_m.min()),
        thickness_max_m=float(thickness_m.max()),
        offset=offset,
        attached_to=attached,
    )


def _edges(site: Site, slab: Slab) -> tuple[Floats, Floats]:
    """Return (places,) lower and upper edge of the slab in its central half; equal where nothing stands."""
    width_m = slab.right_m - slab.left_m
    u = np.linspace(slab.left_m + width_m / 4, slab.right_m - width_m / 4, COLUMN_COUNT)
    middle_m = (slab.bottom_m + slab.top_m) / 2
    rays = site.survey(u, np.full_like(u, middle_m), slab.limit_m)
    begin_m, end_m = rays[:, FIRST_LEFT], rays[:, LAST_BODY]
    held = np.isfinite(begin_m) & np.isfinite(end_m)
    if not held.any():
        return np.zeros(1), np.zeros(1)
    # Where the middle is milled away the neighbours say how long the slab is.
    begin_m, end_m = (np.where(held, a, np.median(a[held])) for a in (begin_m, end_m))
    fractions = np.linspace(0.25, 0.75, LEVEL_COUNT)
    w = (begin_m[:, np.newaxis] + fractions * (end_m - begin_m)[:, np.newaxis]).ravel()
    u = np.repeat(u, LEVEL_COUNT)
    return _cross(site, u, w, (middle_m - slab.reach_m, middle_m + slab.reach_m))


def _cross(site: Site, u: Floats, w: Floats, limits_m: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return the lower and upper edge of what stands between two limits in v, at each (u, w)."""

    def stands(v: Floats) -> Floats:
        return np.asarray(standing(site.points(u, v, w), site.terrain, site.cuts))

    probes_m = np.linspace(*limits_m, _PROBE_COUNT)
    hit = np.array([stands(np.full_like(u, v_m)) for v_m in probes_m])
    any_hit = hit.any(axis=0)
    first, last = hit.argmax(axis=0), _PROBE_COUNT - 1 - hit[::-1].argmax(axis=0)
    edges = []
    for inside, outward in ((first, -1), (last, 1)):
        inner_m = probes_m[inside]
        outer_m = probes_m[np.clip(inside + outward, 0, _PROBE_COUNT - 1)]
        for _ in range(_HALVING_COUNT):
            between_m = (inner_m + outer_m) / 2
            on = stands(between_m)
            inner_m, outer_m = np.where(on, between_m, inner_m), np.where(on, outer_m, between_m)
        edges.append((inner_m + outer_m) / 2)
    return np.where(any_hit, edges[0], 0.0), np.where(any_hit, edges[1], 0.0)
