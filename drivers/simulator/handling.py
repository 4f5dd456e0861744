"""What the needle does: it touches, sticks, pushes until something gives, carries, tears a weld, and crashes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bodies import NEEDLE, Body, Carrier, Floats, Pose
from drivers.simulator.body_state import EventKind, JointKind, NeedleState, Triple
from drivers.simulator.contact import skin, stands
from drivers.simulator.dents import dent
from drivers.simulator.handling_settings import HandlingSettings
from drivers.simulator.joints import join, place_in_chamber, tear
from drivers.simulator.machine import Machine, as_triple
from fibsem_runtime.core.units import UM

COARSE_STEP_M: Final = 0.5 * UM
FINE_STEP_M: Final = 0.02 * UM
"""Steps along a move at which contact is looked for (numerical): the tip is blunter than the coarse one."""

STEPS_AT_ONCE: Final = 24
LEAST_POINTS: Final = 3
"""Points of a body's skin that must be in another for a contact; fewer are grains of the raster (numerical)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Hit:
    """Where the tip was when something was met, what it was and, in the chamber, where."""

    tip_m: Floats
    body: Body
    point_m: Floats
    mover: Body


class Hands:
    """The needle of one machine and what it does."""

    def __init__(self, machine: Machine, settings: HandlingSettings) -> None:
        """Serve one machine."""
        self._machine = machine
        self._settings = settings

    @property
    def needle(self) -> NeedleState:
        """Return the state of the needle."""
        needle = self._machine.state.world.needle
        assert needle is not None  # only a machine with a manipulator has hands
        return needle

    def move(self, encoders_m: Triple) -> None:
        """Move the inserted needle in a straight line; the encoders arrive, the tip only as far as it can."""
        machine, needle = self._machine, self.needle
        start_m = machine.tip_m()
        goal_m = np.add(encoders_m, needle.bias_m)
        hit = self._first_hit(start_m, goal_m)
        needle.position_m = encoders_m
        if hit is None:
            needle.lag_m, needle.contact_m = (0.0, 0.0, 0.0), None
        else:
            self._push(hit, goal_m)
        self._after_move(hit)

    def settle_in(self) -> None:
        """Look at what an insertion has run into."""
        here = self._machine.tip_m()
        hit = self._first_hit(here + np.array([0.0, 0.0, 2 * self._settings.crash_um * UM]), here)
        if hit is not None:
            self._crash(hit)
        self._after_move(hit)

    def _push(self, hit: _Hit, goal_m: Floats) -> None:
        """Leave the tip where it ends when it is commanded beyond a contact."""
        needle = self.needle
        if needle.contact_m is None:
            # Both bodies are joined as they are at the contact, before the tip pushes on.
            needle.contact_m = as_triple(hit.tip_m)
            needle.lag_m = as_triple(hit.tip_m - goal_m)
            self._log(EventKind.CONTACT, hit.body, other=hit.mover)
            gap_m = self._settings.weld_gap_um * UM
            join(self._machine, JointKind.STUCK, hit.mover, hit.body, hit.point_m, area_m2=0.0, gap_m=gap_m)
        beyond_m = goal_m - np.array(needle.contact_m)
        needle.lag_m = as_triple((self._settings.follow_fraction - 1) * beyond_m)
        if np.linalg.norm(beyond_m) > self._settings.crash_um * UM:
            self._crash(hit)

    def _crash(self, hit: _Hit) -> None:
        """Damage the needle, and dent what its tip has run into: as deep as it stands in it."""
        machine, body = self._machine, hit.body
        self.needle.is_damaged = True
        self._log(EventKind.CRASH, body, other=hit.mover)
        settings = machine.settings.needle
        if hit.mover.number == NEEDLE and settings is not None:
            along = -hit.mover.pose.rotation[:, 0]
            dent(body, place_in_chamber(machine, body), machine.tip_m(), along, settings.tip_radius_um * UM)
            machine.save_cuts(body.number, len(body.sample.cuts) - 1, 1)

    def _after_move(self, hit: _Hit | None) -> None:
        """Tear what is overstretched, let fall what nothing holds, and let each piece move with what holds it."""
        machine, needle = self._machine, self.needle
        needle.touches = None if hit is None else hit.body.number
        tear(machine)
        machine.world.choose_carriers(machine.chamber(), machine.tip_m())
        machine.world.drop_unheld(elapsed_s=machine.clock.monotonic_s())

    def _first_hit(self, start_m: Floats, goal_m: Floats) -> _Hit | None:
        """Return the first contact on the way of the tip; None when there is none."""
        movers = [(body, body.pose.outward(skin(body)[0])) for body in self._carried()]
        obstacles = self._machine.near_stage_bodies()
        length_m = float(np.linalg.norm(goal_m - start_m))
        if length_m == 0.0 or not obstacles:
            return None
        coarse = np.linspace(0.0, 1.0, max(2, math.ceil(length_m / COARSE_STEP_M) + 1))
        best: tuple[float, Body, Body, Floats] | None = None
        for mover, points in movers:
            for obstacle in obstacles:
                found = self._meet(points, obstacle, start_m, goal_m, coarse)
                if found is not None and (best is None or found[0] < best[0]):
                    best = (found[0], mover, obstacle, found[1])
        if best is None:
            return None
        fraction, mover, body, point_m = best
        return _Hit(tip_m=start_m + fraction * (goal_m - start_m), body=body, point_m=point_m, mover=mover)

    def _meet(
        self, points: Floats, obstacle: Body, start_m: Floats, goal_m: Floats, coarse: Floats
    ) -> tuple[float, Floats] | None:
        """Return at which fraction of the way points first enter an obstacle, and where."""
        place = place_in_chamber(self._machine, obstacle)
        coarse = coarse[: _last_near(points, obstacle, place, start_m, goal_m, coarse) + 1]
        least, before = math.inf, 0.0
        for part in np.array_split(coarse, math.ceil(len(coarse) / STEPS_AT_ONCE)):
            counts = _inside(points, obstacle, place, start_m, goal_m, part).sum(axis=1)
            for fraction, count in zip(part, counts, strict=True):
                if count > least + LEAST_POINTS:
                    between = (float(before), float(fraction))
                    return _refine(points, obstacle, place, (start_m, goal_m), between, least)
                least, before = min(least, int(count)), fraction
        return None

    def _carried(self) -> list[Body]:
        return [body for body in self._machine.world.present() if body.carrier is Carrier.MANIPULATOR]

    def _log(self, kind: EventKind, body: Body, *, other: Body) -> None:
        self._machine.world.log(kind, body, self._machine.clock.monotonic_s(), other=other.number)


def _inside(
    points: Floats, obstacle: Body, place: Pose, start_m: Floats, goal_m: Floats, fractions: Floats
) -> NDArray[np.bool_]:
    """Tell (fractions, points) which points lie in an obstacle when the tip has gone those fractions of its way."""
    tips_m = start_m + np.multiply.outer(fractions, goal_m - start_m)
    there = place.inward((points[np.newaxis] + tips_m[:, np.newaxis]).reshape(-1, 3))
    return stands(obstacle.sample, there).reshape(len(fractions), len(points))


def _last_near(points: Floats, obstacle: Body, place: Pose, start_m: Floats, goal_m: Floats, fractions: Floats) -> int:
    """Return the last place on the way at which the boxes around the points and around the obstacle overlap."""
    corners = np.array(list(product(*np.array([points.min(axis=0), points.max(axis=0)]).T)))
    tips_m = start_m + np.multiply.outer(fractions, goal_m - start_m)
    there = place.inward(corners[np.newaxis] + tips_m[:, np.newaxis])
    low, high = obstacle.extent_m
    near = ((there.min(axis=1) <= high) & (there.max(axis=1) >= low)).all(axis=1)
    return int(np.flatnonzero(near)[-1]) if near.any() else 0


def _refine(
    points: Floats,
    obstacle: Body,
    place: Pose,
    way_m: tuple[Floats, Floats],
    between_fraction: tuple[float, float],
    least_count: float,
) -> tuple[float, Floats]:
    """Return the fraction just before the contact, and the middle of the points that are in the obstacle just after."""
    length_m = float(np.linalg.norm(way_m[1] - way_m[0])) * (between_fraction[1] - between_fraction[0])
    low, high = between_fraction
    for _ in range(max(1, math.ceil(math.log2(max(length_m / FINE_STEP_M, 2))))):
        middle = (low + high) / 2
        count = _inside(points, obstacle, place, *way_m, np.array([middle])).sum()
        low, high = (low, middle) if count > least_count + LEAST_POINTS else (middle, high)
    inside = _inside(points, obstacle, place, *way_m, np.array([high]))[0]
    return low, np.asarray(points[inside].mean(axis=0) + way_m[0] + high * (way_m[1] - way_m[0]))
