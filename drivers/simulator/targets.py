"""Which bodies a drawn pattern meets, and milling all of them: what lies behind another is in its shadow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bodies import Body
from drivers.simulator.columns import lay_out_terrain
from drivers.simulator.ion_probe import IonProbe
from drivers.simulator.machine import Machine
from drivers.simulator.milling import mill, open_cuts
from drivers.simulator.pattern import DrawnPattern
from drivers.simulator.rays import lay_out_cuts
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.spans import find_begins
from drivers.simulator.state import DrawingState, DrawnCuts
from drivers.simulator.view import View
from drivers.simulator.world import BodySight
from fibsem_runtime.core import BeamType
from fibsem_runtime.core.units import UM

_SHADOW_PITCH_M: Final = 0.1 * UM
"""Distance of the rays on which shadows are looked for (numerical): bodies are much larger."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Target:
    """A body and the cuts of the drawn pattern in it."""

    body: Body
    cuts: list[Cut]


def open_targets(machine: Machine, drawing: DrawingState, pattern: DrawnPattern, probe: IonProbe) -> list[Target]:
    """Return what the drawn pattern mills; cuts are opened in every body that it meets for the first time.

    Raises `MillingError` when the beam does not come from above one of them; nothing is opened then.
    """
    known = {drawn.body: drawn for drawn in drawing.cuts}
    sights = machine.sights(BeamType.ION)
    met = [s for n, s in enumerate(sights) if n == 0 or _is_met(s, pattern, probe)]
    fresh = [s for s in met if s.body.number not in known]
    trial = [open_cuts(_copy_without_cuts(s.body.sample), pattern, s.view, probe=probe) for s in fresh]
    for sight, cuts in zip(fresh, trial, strict=True):
        first_cut = len(sight.body.sample.cuts)
        sight.body.sample.cuts.extend(cuts)
        drawing.cuts.append(DrawnCuts(body=sight.body.number, first_cut=first_cut, cut_count=len(cuts)))
    return [
        Target(body=machine.world.bodies[d.body], cuts=cuts_of(machine.world.bodies[d.body], d))
        for d in drawing.cuts
        if not machine.world.bodies[d.body].is_lost
    ]


def cuts_of(body: Body, drawn: DrawnCuts) -> list[Cut]:
    """Return the cuts of a drawn pattern in one body."""
    return body.sample.cuts[drawn.first_cut : drawn.first_cut + drawn.cut_count]


def _copy_without_cuts(sample: Sample) -> Sample:
    return Sample(
        x0_m=sample.x0_m,
        y0_m=sample.y0_m,
        pitch_m=sample.pitch_m,
        top_m=sample.top_m,
        bottom_m=sample.bottom_m,
        coating_m=sample.coating_m,
        material=sample.material,
    )


def _is_met(sight: BodySight, pattern: DrawnPattern, probe: IonProbe) -> bool:
    """Tell whether the pattern, with the probe's tails, overlaps what the body fills in the image."""
    away = sight.body.outline_m() - sight.view.origin
    hull = _hull(np.stack([away @ sight.view.right, away @ sight.view.up], axis=1) / UM)
    for shape in pattern.shapes:
        box = shape.box
        half = np.array([box.half_width_m, box.half_height_m]) + probe.reach_m
        corners = np.array([box.centre.x_m, box.centre.y_m]) + half * [[-1, -1], [1, -1], [1, 1], [-1, 1]]
        area, _ = cv2.intersectConvexConvex(hull, _hull(corners / UM))
        if area > 0:
            return True
    return False


def _hull(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return (n, 1, 2) the convex hull of (points, 2)."""
    return np.asarray(cv2.convexHull(points.astype(np.float32)))


def mill_targets(
    machine: Machine,
    targets: Sequence[Target],
    pattern: DrawnPattern,
    probe: IonProbe,
    *,
    from_s: float,
    until_s: float,
) -> None:
    """Mill every target between two moments of the beam time, as they are seen now."""
    sights = {sight.body.number: sight for sight in machine.sights(BeamType.ION)}
    for target in targets:
        sight = sights[target.body.number]
        before = [sights[t.body.number] for t in targets if t is not target]
        mill(
            target.body.sample,
            target.cuts,
            pattern,
            probe,
            sight.view,
            from_s=from_s,
            until_s=until_s,
            removal=machine.settings.removal,
            shadow=_Shadow(own=sight, others=before) if before else None,
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Shadow:
    """What other bodies keep from a cut: they still stand before the body where the ions come from."""

    own: BodySight
    others: Sequence[BodySight]

    def __call__(self, cut: Cut, is_asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return (v, u) whether the beam reaches the body where that ``is_asked``, (v, u), and is not in a shadow."""
        steps = [max(1, int(_SHADOW_PITCH_M / pitch_m)) for pitch_m in (cut.dv_m, cut.du_m)]
        coarse = replace(
            cut, dv_m=cut.dv_m * steps[0], du_m=cut.du_m * steps[1], front_m=cut.front_m[:: steps[0], :: steps[1]]
        )
        is_free = self._is_free(coarse, _any_of_blocks(is_asked, steps))
        rows, columns = cut.front_m.shape
        return np.asarray(is_free.repeat(steps[0], axis=0).repeat(steps[1], axis=1)[:rows, :columns])

    def _is_free(self, cut: Cut, is_asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        grids = [_moved(cut, self.own.view, other.view) for other in self.others]
        overs = [is_asked & _is_over(grid, other.body) for grid, other in zip(grids, self.others, strict=True)]
        is_near = np.any(overs, axis=0) & _is_over(cut, self.own.body)
        own_m = _begin_m(self.own.body.sample, cut, is_near)
        is_free = np.ones(cut.front_m.shape, np.bool_)
        for grid, other, over in zip(grids, self.others, overs, strict=True):
            is_free &= ~(_begin_m(other.body.sample, grid, over & np.isfinite(own_m)) < own_m)
        return is_free


def _any_of_blocks(values: NDArray[np.bool_], steps: Sequence[int]) -> NDArray[np.bool_]:
    """Return (v, u) whether any value is true in blocks of so many rows and columns."""
    for axis, step in enumerate(steps):
        values = np.logical_or.reduceat(values, np.arange(0, values.shape[axis], step), axis=axis)
    return values


def _moved(cut: Cut, here: View, there: View) -> Cut:
    """Return a cut's grid in the frame of another body that the same beam sees."""
    turn = np.array([there.right, there.up, there.direction]).T @ np.array([here.right, here.up, here.direction])
    return Cut(
        origin=there.origin + turn @ (cut.origin - here.origin),
        axes=np.ascontiguousarray(cut.axes @ turn.T),
        u0_m=cut.u0_m,
        du_m=cut.du_m,
        v0_m=cut.v0_m,
        dv_m=cut.dv_m,
        front_m=cut.front_m,
    )


def _is_over(grid: Cut, body: Body) -> NDArray[np.bool_]:
    """Tell (v, u) on which rays of a grid, along the beam, a body can lie."""
    at = (body.outline_m() - grid.origin) @ grid.axes[:2].T
    cells = (at - [grid.u0_m, grid.v0_m]) / [grid.du_m, grid.dv_m]
    mask = np.zeros(grid.front_m.shape, np.uint8)
    cv2.fillConvexPoly(mask, np.rint(_hull(cells)).astype(np.int32), 1)
    return np.asarray(cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0)


def _axes_m(grid: Cut) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, columns = grid.front_m.shape
    u_m, v_m = grid.u0_m + grid.du_m * np.arange(columns), grid.v0_m + grid.dv_m * np.arange(rows)
    return np.asarray(u_m, np.float64), np.asarray(v_m, np.float64)


def _begin_m(sample: Sample, grid: Cut, is_asked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (v, u) how far along the rays of a grid the first of what is left of a sample lies."""
    u, v = np.meshgrid(*_axes_m(grid))
    points = grid.origin + np.multiply.outer(u.ravel(), grid.axes[0]) + np.multiply.outer(v.ravel(), grid.axes[1])
    terrain = lay_out_terrain(sample)
    cuts = lay_out_cuts(sample.cuts, grid, terrain)
    direction = np.ascontiguousarray(grid.axes[2])
    begins_m = find_begins(np.ascontiguousarray(points), is_asked.ravel(), direction, terrain, cuts)
    return np.asarray(begins_m.reshape(grid.front_m.shape))
