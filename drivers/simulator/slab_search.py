"""Find every slab that stands between two trenches, whoever milled them and wherever they were aimed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.sample import Cut, Sample
from drivers.simulator.slab import Slab, find_slab
from drivers.simulator.view import View
from fibsem_runtime.core import SpecimenPosition
from fibsem_runtime.core.units import UM

MAX_GAP_M: Final = 6 * UM
"""Farther apart two trenches are not those of one lamella: published rough lamellae are up to 5 µm (milling.md)."""

MIN_OVERLAP_M: Final = 1 * UM
"""Along their length two trenches of one lamella lie beside each other at least so far: `slab.MIN_WIDTH_M`."""

SAME_DIRECTION: Final = 1e-3
"""Largest difference of two cuts' axes that still were milled in one pose, radians."""

HALF_DUG_FRACTION: Final = 0.5
"""Part of a cut's greatest depth from which it counts as trench and not as the tail beside it (assumed)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Gap:
    """What lies between two trenches, in the axes of the lower one; ``width_m`` is negative where they overlap."""

    cut: Cut
    other: Cut
    u_m: float
    v_m: float
    reach_u_m: float
    width_m: float

    def view(self) -> View:
        """Look at it along the beam that milled the trenches."""
        right, up, direction = self.cut.axes
        return View(origin=self.cut.origin, right=right, up=up, direction=direction)

    def target(self) -> SpecimenPosition:
        """Return its middle, in the plane of the cut's origin."""
        x_m, y_m, z_m = map(float, self.cut.origin + self.u_m * self.cut.axes[0] + self.v_m * self.cut.axes[1])
        return SpecimenPosition(x_m=x_m, y_m=y_m, z_m=z_m)

    def holds(self, slab: Slab) -> bool:
        """Tell whether a slab that was found stands in this gap, milled in the same pose."""
        is_parallel = bool(np.abs(slab.view.direction - self.cut.axes[2]).max() < SAME_DIRECTION)
        return is_parallel and self.surrounds(slab)

    def surrounds(self, slab: Slab) -> bool:
        """Tell whether the middle of a slab lies between the trenches, whichever way it was milled."""
        return self._has(slab.point((slab.left_m + slab.right_m) / 2, (slab.bottom_m + slab.top_m) / 2))

    def overlaps(self, other: Gap) -> bool:
        """Tell whether the middle of one of two gaps lies in the other."""
        middles = [gap.cut.origin + gap.u_m * gap.cut.axes[0] + gap.v_m * gap.cut.axes[1] for gap in (self, other)]
        return self._has(middles[1]) or other._has(middles[0])

    def is_emptied(self, cuts: Sequence[Cut]) -> bool:
        """Tell whether a piece was taken out of it: such a piece is hidden by a cut that no beam has milled."""
        return any(self._has(_middle(cut)) for cut in cuts if not cut.is_milled)

    def _has(self, point: NDArray[np.float64]) -> bool:
        u, v, _ = self.cut.axes @ (point - self.cut.origin)
        return bool(abs(u - self.u_m) <= self.reach_u_m and abs(v - self.v_m) <= max(self.width_m, 1 * UM))


def find_slabs(sample: Sample) -> list[Slab]:
    """Return the slabs between any two trenches that were milled in one pose, in the order in which they were begun."""
    found: list[Slab] = []
    for gap in find_gaps(sample.cuts, widest_m=MAX_GAP_M):
        if not any(gap.holds(slab) for slab in found):
            slab = find_slab(sample, gap.target(), gap.view())
            if slab is not None and not any(_are_one(slab, other) for other in found):
                found.append(slab)
    return sorted(found, key=lambda slab: (float(slab.view.origin[0]), slab.left_m, slab.bottom_m))


def was_taken_out(slab: Slab, sample: Sample) -> bool:
    """Tell whether a piece was taken out above the middle of a slab: what is left is the ridge that it stood on."""
    middle = slab.point((slab.left_m + slab.right_m) / 2, (slab.bottom_m + slab.top_m) / 2)
    up = -slab.view.direction
    heights_m = np.arange(0.0, (float(sample.top_m.max()) - middle[2]) / up[2], 0.5 * UM)
    above = middle + np.multiply.outer(heights_m, up)
    return any(not cut.is_milled and _reaches(cut, above) for cut in sample.cuts)


def _reaches(cut: Cut, points: NDArray[np.float64]) -> bool:
    """Tell whether one of (n, 3) points lies within what a cut removes."""
    u, v, w = cut.axes @ (points - cut.origin).T
    columns, rows = np.rint((u - cut.u0_m) / cut.du_m).astype(int), np.rint((v - cut.v0_m) / cut.dv_m).astype(int)
    inside = (rows >= 0) & (rows < cut.front_m.shape[0]) & (columns >= 0) & (columns < cut.front_m.shape[1])
    return bool((w[inside] < cut.front_m[rows[inside], columns[inside]]).any())


def find_gaps(cuts: Sequence[Cut], *, widest_m: float) -> list[Gap]:
    """Return what lies between any two trenches milled in one pose, the narrowest first."""
    return sorted(_gaps(cuts, widest_m), key=lambda gap: gap.width_m)


def _gaps(cuts: Sequence[Cut], widest_m: float) -> Iterator[Gap]:
    dug = [(cut, box) for cut in cuts if cut.is_milled and (box := _dug_box(cut)) is not None]
    for (lower, below), (upper, box) in permutations(dug, 2):
        if np.abs(lower.axes - upper.axes).max() > SAME_DIRECTION:
            continue
        shift = (lower.axes @ (upper.origin - lower.origin))[:2]
        above = box + shift[np.newaxis, :]
        width_m = float(above[0, 1] - below[1, 1])
        left_m, right_m = max(above[0, 0], below[0, 0]), min(above[1, 0], below[1, 0])
        is_above = above[:, 1].mean() > below[1, 1] and below[:, 1].mean() < above[0, 1]
        if is_above and width_m < widest_m and right_m - left_m > MIN_OVERLAP_M:
            yield Gap(
                cut=lower,
                other=upper,
                u_m=float(left_m + right_m) / 2,
                v_m=float(below[1, 1] + above[0, 1]) / 2,
                reach_u_m=float(right_m - left_m) / 2,
                width_m=width_m,
            )


def _dug_box(cut: Cut) -> NDArray[np.float64] | None:
    """Return ((left, bottom), (right, top)) of where a cut is dug, in its own axes; None where it removed nothing."""
    done = np.isfinite(cut.front_m)
    if not done.any():
        return None
    lowest, greatest = cut.front_m[done].min(), cut.front_m.max()
    dug = cut.front_m >= greatest - HALF_DUG_FRACTION * (greatest - lowest)
    rows, columns = np.flatnonzero(dug.any(axis=1)), np.flatnonzero(dug.any(axis=0))
    u_m, v_m = cut.u0_m + cut.du_m * columns[[0, -1]], cut.v0_m + cut.dv_m * rows[[0, -1]]
    return np.stack([u_m, v_m], axis=1)


def _middle(cut: Cut) -> NDArray[np.float64]:
    """Return the middle of what a cut removes, across it."""
    rows, columns = np.nonzero(np.isfinite(cut.front_m))
    u_m, v_m = cut.u0_m + cut.du_m * columns.mean(), cut.v0_m + cut.dv_m * rows.mean()
    return np.asarray(cut.origin + u_m * cut.axes[0] + v_m * cut.axes[1])


def _are_one(one: Slab, other: Slab) -> bool:
    """Tell whether two slabs seen along one direction overlap by more than half of the smaller."""
    if np.abs(one.view.direction - other.view.direction).max() > SAME_DIRECTION:
        return False
    shift = other.view.origin - one.view.origin
    du_m, dv_m = float(shift @ one.view.right), float(shift @ one.view.up)
    across = min(one.right_m, other.right_m + du_m) - max(one.left_m, other.left_m + du_m)
    along = min(one.top_m, other.top_m + dv_m) - max(one.bottom_m, other.bottom_m + dv_m)
    smaller = min((s.right_m - s.left_m) * (s.top_m - s.bottom_m) for s in (one, other))
    return across > 0 and along > 0 and across * along > smaller / 2
