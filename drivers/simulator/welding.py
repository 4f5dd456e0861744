"""Joints that beam and gas make and cut: redeposition and deposits in a gap, and what is milled away at a joint."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bodies import NEEDLE, Body, BodyKind, Carrier, Floats, Pose
from drivers.simulator.body_state import JointKind
from drivers.simulator.contact import skin, stands
from drivers.simulator.joints import is_bridged, join, part
from drivers.simulator.machine import Machine
from drivers.simulator.materials import UM3_PER_NC
from drivers.simulator.state import DrawingState
from fibsem_runtime.core import BeamType
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal.shapes import Shape

Mask: TypeAlias = NDArray[np.bool_]

_REACH_M: Final = 0.5 * UM
"""How far beside a pattern its redeposition joins (assumed)."""

_DIRECTIONS: Final = np.array([np.array(d) / np.linalg.norm(d) for d in product((-1.0, 0.0, 1.0), repeat=3) if any(d)])

_SHARES: Final = (0.25, 0.5, 0.75, 1.0)
"""Parts of a gap at which another body is looked for (numerical)."""


def rejoin(machine: Machine, drawing: DrawingState) -> None:
    """Part the joints that a pattern has milled away and make those that it has welded."""
    part(machine, [joint for joint in machine.state.world.joints if not is_bridged(machine, joint)])
    for one, two in _pairs(machine):
        _weld(machine, drawing, one, two)


def deposit_joins(machine: Machine, thickness_m: float) -> None:
    """Join what lies nearer together than a deposit of a thickness will grow on the two faces of the gap between."""
    gap_m = 2 * machine.settings.processes.deposition.face_fraction * thickness_m
    for one, two in _pairs(machine):
        near, cell_m2 = _near(machine, one, two, gap_m)
        if len(near):
            _join_at(machine, one, two, near, area_m2=len(near) * cell_m2, gap_m=gap_m)


def _pairs(machine: Machine) -> Iterator[tuple[Body, Body]]:
    """Yield what can be joined: two bodies of which one is on the needle, or a piece and what it lies against."""
    for one, two in combinations(machine.world.near(machine.base), 2):
        is_of_needle = [b.carrier is Carrier.MANIPULATOR and b.number < 2 * NEEDLE for b in (one, two)]
        if not all(is_of_needle) and (any(is_of_needle) or BodyKind.PIECE in (one.kind, two.kind)):
            yield (one, two) if two.kind is not BodyKind.PIECE and one.kind is BodyKind.PIECE else (two, one)


def _weld(machine: Machine, drawing: DrawingState, one: Body, two: Body) -> None:
    """Join two bodies where a pattern has removed enough within reach of the gap between them."""
    view, settings = machine.view(BeamType.ION), machine.settings.handling
    gap_m = settings.weld_gap_um * UM
    near, _ = _near(machine, one, two, gap_m)
    if not len(near):
        return
    away = near - view.origin
    at = np.stack([away @ view.right, away @ view.up], axis=1)
    share = min(1.0, drawing.milled_s / drawing.total_s)
    done = [
        (shape, inside)
        for shape in drawing.shapes
        if (inside := _within(shape, at)).any()
        and share * _removed_um3(machine, drawing, shape) >= settings.weld_volume_um3
    ]
    if not done:
        return
    mask = np.any([inside for _, inside in done], axis=0)
    area_m2 = float(sum(_area_m2(shape) for shape, _ in done))
    _join_at(machine, one, two, near[mask], area_m2=area_m2, gap_m=gap_m)


def _join_at(machine: Machine, one: Body, two: Body, near: Floats, *, area_m2: float, gap_m: float) -> None:
    """Weld two bodies at that of some points of the specimen frame, (n, 3), which is nearest to their middle."""
    point_m = near[np.linalg.norm(near - near.mean(axis=0), axis=1).argmin()]
    in_chamber_m = machine.chamber().inward(point_m)
    join(machine, JointKind.WELD, one, two, in_chamber_m, area_m2=area_m2, gap_m=gap_m)


def _near(machine: Machine, one: Body, two: Body, gap_m: float) -> tuple[Floats, float]:
    """Return (n, 3) where in the specimen frame one body is within a gap of another, and the area for each, m²."""
    chamber, tip_m = machine.chamber(), machine.tip_m()
    places = [machine.world.place_of(body, chamber, tip_m) for body in (one, two)]
    points, cell_m2 = skin(one)
    outside = places[0].outward(points)
    return outside[_is_near(outside, two, places[1], gap_m)], cell_m2


def _is_near(points: Floats, other: Body, there: Pose, gap_m: float) -> Mask:
    """Tell which points have material of another body within a distance."""
    at = there.inward(points)
    low, high = other.extent_m
    found = np.zeros(len(points), np.bool_)
    close = np.flatnonzero(((at >= low - gap_m) & (at <= high + gap_m)).all(axis=1))
    found[close] = stands(other.sample, at[close])
    for share, direction in product(_SHARES, _DIRECTIONS):
        open_to = close[~found[close]]
        found[open_to] = stands(other.sample, at[open_to] + share * gap_m * direction)
    return found


def _within(shape: Shape, at: Floats) -> Mask:
    box = shape.box
    centre = np.array([box.centre.x_m, box.centre.y_m])
    half = np.array([box.half_width_m, box.half_height_m]) + _REACH_M
    return np.asarray((np.abs(at - centre) <= half).all(axis=1))


def _removed_um3(machine: Machine, drawing: DrawingState, shape: Shape) -> float:
    """Return how much ice the charge of a shape removes."""
    charge_c = shape.area_m2 * shape.depth_m * drawing.settings.dose_c_per_m3
    return charge_c * machine.settings.removal.ice_um3_per_nc * UM3_PER_NC / UM**3


def _area_m2(shape: Shape) -> float:
    """Return the cross-section of a weld: the pattern's shorter side times its depth (assumed)."""
    return 2 * min(shape.box.half_width_m, shape.box.half_height_m) * shape.depth_m
