"""What holds two bodies together: where it is made, whether it is still there, and what gives when it is pulled."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Final

import numpy as np

from drivers.simulator.bodies import FIRST_PIECE, NEEDLE, Body, Carrier, Floats, Pose
from drivers.simulator.body_state import EventKind, JointKind, JointState
from drivers.simulator.census import LEAST_VOLUME_M3
from drivers.simulator.contact import stands
from drivers.simulator.machine import Machine, as_triple
from fibsem_runtime.core.units import UM

_AROUND_M: Final = 0.8 * UM
"""How far around a joint, beside its gap, the material counts that it holds by (assumed: about the size of a weld)."""

_SLACK_M: Final = 0.2 * UM
"""A gap that has become wider by this is cut through (assumed; twice the raster on which it is measured)."""

_RASTER_PITCH: Final = 0.125
_RASTER: Final = np.array([d for d in product(np.arange(-1.0, 1.01, _RASTER_PITCH), repeat=3) if np.dot(d, d) <= 1.0])
"""Points in a ball of radius 1 (numerical)."""


def place_in_chamber(machine: Machine, body: Body) -> Pose:
    """Return where a body is in the chamber."""
    if body.carrier is Carrier.MANIPULATOR:
        return Pose(shift_m=machine.tip_m()).after(body.pose)
    return machine.chamber().inverse().after(body.pose)


def join(
    machine: Machine, kind: JointKind, one: Body, two: Body, point_m: Floats, *, area_m2: float, gap_m: float
) -> None:
    """Join two bodies at a point of the chamber over a gap."""
    points = [as_triple(place_in_chamber(machine, body).inward(point_m)) for body in (one, two)]
    joint = JointState(
        kind=kind, bodies=(one.number, two.number), points_m=(points[0], points[1]), area_m2=area_m2, gap_m=gap_m
    )
    machine.state.world.joints.append(joint)
    is_weld = kind is JointKind.WELD
    machine.world.log(
        EventKind.WELDED if is_weld else EventKind.STUCK, two, machine.clock.monotonic_s(), other=one.number
    )


def part(machine: Machine, joints: Iterable[JointState]) -> None:
    """Undo joints."""
    for joint in list(joints):
        machine.state.world.joints.remove(joint)
        one, two = joint.bodies
        machine.world.log(EventKind.PARTED, machine.world.bodies[one], machine.clock.monotonic_s(), other=two)


def is_bridged(machine: Machine, joint: JointState) -> bool:
    """Tell whether at a joint both bodies still have more than dust no farther apart than what it bridged."""
    reach_m = _AROUND_M + joint.gap_m
    left = []
    for number, point_m in zip(joint.bodies, joint.points_m, strict=True):
        body = machine.world.bodies[number]
        there = reach_m * _RASTER @ place_in_chamber(machine, body).rotation + np.array(point_m)
        left.append(reach_m * _RASTER[stands(body.sample, there)])
    squares = [(points**2).sum(axis=1) for points in left]
    apart_m2 = squares[0][:, np.newaxis] + squares[1] - 2 * left[0] @ left[1].T
    is_near = apart_m2 <= (joint.gap_m + _SLACK_M) ** 2
    cells_count = min(int(is_near.any(axis=axis).sum()) for axis in (0, 1))
    return cells_count * (reach_m * _RASTER_PITCH) ** 3 > LEAST_VOLUME_M3


def release(machine: Machine) -> None:
    """Part the joints that nothing bridges any more, and let fall what nothing else holds."""
    part(machine, [joint for joint in machine.state.world.joints if not is_bridged(machine, joint)])
    machine.world.choose_carriers(machine.chamber(), machine.tip_m())
    machine.world.drop_unheld(elapsed_s=machine.clock.monotonic_s())


def tear(machine: Machine) -> None:
    """Part what the needle stretches too far, each body at its weaker side.

    A piece that its needle joints hold more firmly, by their area, than the stage does comes off and follows the tip.
    Otherwise the needle's joints part and it stays where it is.
    """
    world, limit_m = machine.world, machine.settings.handling.elastic_um * UM
    for body in [b for b in world.present() if b.carrier is Carrier.STAGE]:
        joints = list(world.joints_of(body.number))
        pulling = [j for j, n in joints if world.bodies[j.bodies[1 - n]].carrier is Carrier.MANIPULATOR]
        stretches_m = [_stretch_m(machine, joint, body) for joint in pulling]
        if not any(np.linalg.norm(stretch_m) > limit_m for stretch_m in stretches_m):
            continue
        holding = [j for j, n in joints if world.bodies[j.bodies[1 - n]].carrier is Carrier.STAGE]
        if body.number >= FIRST_PIECE and _area_m2(holding) < _area_m2(pulling):
            part(machine, holding)
            strongest = max(range(len(pulling)), key=lambda n: pulling[n].area_m2)
            _follow(machine, body, stretches_m[strongest])
        else:
            part(machine, pulling)


def _stretch_m(machine: Machine, joint: JointState, body: Body) -> Floats:
    """Return the way in the chamber from a joint's point on a body to that on the other."""
    places = [
        place_in_chamber(machine, machine.world.bodies[number]).outward(np.array(point_m))
        for number, point_m in zip(joint.bodies, joint.points_m, strict=True)
    ]
    side = joint.bodies.index(body.number)
    return np.asarray(places[1 - side] - places[side])


def _area_m2(joints: list[JointState]) -> float:
    return sum(joint.area_m2 for joint in joints)


def _follow(machine: Machine, body: Body, way_m: Floats) -> None:
    """Move a piece that has come off, with the pieces that hang on it, by a way in the chamber."""
    world, turn = machine.world, machine.chamber().rotation
    for number in (body.number, *world.joined_to(body.number)):
        one = world.bodies[number]
        if number >= FIRST_PIECE and not any(other < NEEDLE for other in world.joined_to(number)):
            one.pose = Pose(rotation=one.pose.rotation, shift_m=one.pose.shift_m + turn @ way_m)
