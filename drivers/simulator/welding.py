"""Joints that milling makes and cuts: redeposition where two bodies touch, and what is milled away at a joint."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from typing import Final

import numpy as np

from drivers.simulator.bodies import NEEDLE, Body, BodyKind, Carrier, Floats, Pose
from drivers.simulator.body_state import EventKind, JointKind
from drivers.simulator.contact import skin, stands
from drivers.simulator.handling import Hands
from drivers.simulator.machine import Machine
from drivers.simulator.materials import UM3_PER_NC
from drivers.simulator.state import DrawingState
from fibsem_runtime.core import BeamType
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal.shapes import Shape

_STILL_THERE_M: Final = 0.8 * UM
"""A joint holds while both bodies have material within this distance of it (assumed: about the size of a weld)."""

_REACH_M: Final = 0.5 * UM
"""How far beside a pattern its redeposition joins (assumed)."""

_DIRECTIONS: Final = np.array([d for d in product((-1.0, 0.0, 1.0), repeat=3) if any(d)])


def rejoin(machine: Machine, hands: Hands, drawing: DrawingState) -> None:
    """Part the joints that a pattern has milled away and make those that it has welded."""
    world = machine.state.world
    for joint in list(world.joints):
        bodies = [machine.world.bodies[number] for number in joint.bodies]
        if not all(_is_there(b, np.array(p)) for b, p in zip(bodies, joint.points_m, strict=True)):
            world.joints.remove(joint)
            machine.world.log(EventKind.PARTED, bodies[0], machine.clock.monotonic_s(), other=bodies[1].number)
    for one, two in _pairs(machine):
        _weld(machine, hands, drawing, one, two)


def _is_there(body: Body, point: Floats) -> bool:
    shells = [point + _STILL_THERE_M * share * _DIRECTIONS for share in (0.25, 0.5, 1.0)]
    return bool(stands(body.sample, np.concatenate([point[np.newaxis], *shells])).any())


def _pairs(machine: Machine) -> Iterator[tuple[Body, Body]]:
    """Yield what can be welded: two bodies of which one is on the needle, or a piece and what it lies against."""
    for one, two in combinations(machine.world.near(machine.base), 2):
        is_of_needle = [b.carrier is Carrier.MANIPULATOR and b.number < 2 * NEEDLE for b in (one, two)]
        if not all(is_of_needle) and (any(is_of_needle) or BodyKind.PIECE in (one.kind, two.kind)):
            yield (one, two) if two.kind is not BodyKind.PIECE and one.kind is BodyKind.PIECE else (two, one)


def _weld(machine: Machine, hands: Hands, drawing: DrawingState, one: Body, two: Body) -> None:
    """Join two bodies where a pattern has removed enough within reach of the gap between them."""
    view, settings = machine.view(BeamType.ION), machine.settings.handling
    chamber = machine.chamber()
    places = [machine.world.place_of(body, chamber, machine.tip_m()) for body in (one, two)]
    points = places[0].outward(skin(one))
    near = points[_is_near(points, two, places[1], settings.weld_gap_um * UM)]
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
    point_m = chamber.inward(near[mask].mean(axis=0))
    hands.join(JointKind.WELD, one, two, point_m, area_m2=area_m2)


def _is_near(points: Floats, other: Body, there: Pose, gap_m: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell which points have material of another body within a distance."""
    found = stands(other.sample, there.inward(points))
    for direction in _DIRECTIONS:
        found |= stands(other.sample, there.inward(points + gap_m * direction / np.linalg.norm(direction)))
    return np.asarray(found)


def _within(shape: Shape, at: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
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
