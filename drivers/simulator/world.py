"""All bodies, what joins them and what becomes of a piece that milling has cut loose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from drivers.simulator.bodies import FIRST_PIECE, NEEDLE, Body, BodyKind, Carrier, Floats, Pose
from drivers.simulator.body_state import BodyEvent, EventKind, JointState, PieceState, Triple, WorldState
from drivers.simulator.pieces import ANCHOR_REACH_M, Piece, find_pieces
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.view import View

NEAR_M: Final = 1e-3
"""Bodies of the stage farther than this from what is looked at are not drawn: they lie on another grid."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BodySight:
    """A body, a beam's rays in the body's own frame, and the numbers of the bodies that hold it."""

    body: Body
    view: View
    held_by: tuple[int, ...]


class World:
    """Bodies by their numbers; those of the scene are never lost."""

    def __init__(self, bodies: Sequence[Body], state: WorldState) -> None:
        """Take the bodies of a scene and what has happened to them."""
        self.state = state
        self.bodies = {body.number: body for body in bodies}

    def restore(self, piece: PieceState, sample: Sample) -> None:
        """Put a piece back where a saved state has it."""
        self.bodies[piece.number] = Body(
            number=piece.number,
            kind=piece.kind,
            sample=sample,
            pose=Pose(rotation=np.array(piece.rotation), shift_m=np.array(piece.shift_m)),
            carrier=piece.carrier,
            box_m=np.array(piece.box_m),
            parent=piece.parent,
            is_lost=piece.is_lost,
        )

    def file_of(self, body: Body) -> str:
        """Return the name of the file with the height field of a piece."""
        return next(piece.file for piece in self.state.pieces if piece.number == body.number)

    def base_at(self, x_m: float, y_m: float) -> Body:
        """Return the body of the scene whose middle is nearest to a place of the specimen frame."""
        bases = [b for b in self.bodies.values() if b.kind is not BodyKind.PIECE and b.carrier is Carrier.STAGE]
        return min(bases, key=lambda b: float(np.hypot(*(b.middle_m[:2] - (x_m, y_m)))))

    def place_of(self, body: Body, chamber: Pose, tip_m: Floats) -> Pose:
        """Return where a body is in the specimen frame; ``chamber`` is where the chamber is in it."""
        if body.carrier is Carrier.STAGE:
            return body.pose
        return chamber.after(Pose(shift_m=tip_m)).after(body.pose)

    def sights(self, view: View, base: Body, chamber: Pose, tip_m: Floats) -> list[BodySight]:
        """Return what rays of the specimen frame can meet: ``base`` first, then everything else that is near it."""
        return [
            BodySight(body=b, view=self.place_of(b, chamber, tip_m).look(view), held_by=self.held_by(b.number))
            for b in self.near(base)
        ]

    def near(self, base: Body) -> list[Body]:
        """Return a body of the scene and after it everything that is there and near it."""
        return [base, *(b for b in self.present() if b is not base and self._is_near(b, base))]

    def present(self) -> Iterator[Body]:
        """Yield the bodies that are there: not lost, and on the manipulator only while it is inserted."""
        needle = self.state.needle
        is_inserted = needle is not None and needle.is_inserted
        for body in self.bodies.values():
            if not body.is_lost and (body.carrier is Carrier.STAGE or is_inserted):
                yield body

    def _is_near(self, body: Body, base: Body) -> bool:
        if body.carrier is Carrier.MANIPULATOR:
            return True
        return bool(np.hypot(*(body.middle_m[:2] - base.middle_m[:2])) < NEAR_M)

    def settle(self, body: Body, near: Sequence[Cut], *, elapsed_s: float) -> list[Body]:
        """Part from a body what milling ``near`` has cut loose and return the new bodies; unheld ones are lost."""
        found = find_pieces(body.sample, near, box_m=body.box_m)
        parted = [self._part(body, piece, elapsed_s) for piece in found]
        self.drop_unheld(elapsed_s=elapsed_s)
        return parted

    def _part(self, parent: Body, piece: Piece, elapsed_s: float) -> Body:
        number = max([FIRST_PIECE - 1, *(p.number for p in self.state.pieces)]) + 1
        new = Body(
            number=number,
            kind=BodyKind.PIECE,
            sample=piece.sample,
            pose=parent.pose,
            carrier=parent.carrier,
            box_m=piece.box_m,
            parent=parent.number,
        )
        parent.sample.cuts.append(piece.hiding)
        self.bodies[number] = new
        for joint, side in list(self.joints_of(parent.number)):
            point = np.array(joint.points_m[side])
            if piece.census.number_at(point, reach_m=ANCHOR_REACH_M) == piece.number:
                joint.bodies = (number, joint.bodies[1]) if side == 0 else (joint.bodies[0], number)
        self.state.pieces.append(_piece_state(new))
        self.log(EventKind.FREED, new, elapsed_s, other=parent.number)
        return new

    def is_held(self, number: int) -> bool:
        """Tell whether joints connect a piece to the scene or to the manipulator."""
        return any(other < FIRST_PIECE for other in self.joined_to(number))

    def held_by(self, number: int) -> tuple[int, ...]:
        """Return the numbers of `joined_to` in order."""
        return tuple(sorted(self.joined_to(number)))

    def joined_to(self, number: int) -> set[int]:
        """Return the bodies that joints connect a body to, over others too."""
        reached, waiting = set(), [number]
        while waiting:
            one = waiting.pop()
            for joint, side in self.joints_of(one):
                other = joint.bodies[1 - side]
                if other not in reached and other != number:
                    reached.add(other)
                    # Not through needle or grid: what hangs on them does not hold what hangs on them too.
                    waiting += [other] if other >= FIRST_PIECE else []
        return reached

    def joints_of(self, number: int) -> Iterator[tuple[JointState, int]]:
        """Yield the joints of a body, and whether it is the first or the second of their bodies."""
        for joint in self.state.joints:
            if number in joint.bodies:
                yield joint, joint.bodies.index(number)

    def carry(self, body: Body, carrier: Carrier, chamber: Pose, tip_m: Floats) -> None:
        """Let a body move with the stage or with the needle from now on; it stays where it is."""
        if body.carrier is carrier:
            return
        place = self.place_of(body, chamber, tip_m)
        if carrier is Carrier.MANIPULATOR:
            place = chamber.after(Pose(shift_m=tip_m)).inverse().after(place)
        body.pose, body.carrier = place, carrier

    def choose_carriers(self, chamber: Pose, tip_m: Floats) -> None:
        """Let every piece move with what holds it: the stage where it is joined to it, else the needle."""
        for body in self.bodies.values():
            if body.kind is BodyKind.PIECE and not body.is_lost:
                joined = self.joined_to(body.number)
                on_stage = any(n < NEEDLE for n in joined)
                self.carry(body, Carrier.STAGE if on_stage or not joined else Carrier.MANIPULATOR, chamber, tip_m)

    def drop_unheld(self, *, elapsed_s: float) -> None:
        """Lose every piece that nothing holds any more."""
        for body in self.bodies.values():
            if body.kind is BodyKind.PIECE and not body.is_lost and not self.is_held(body.number):
                body.is_lost = True
                self.log(EventKind.LOST, body, elapsed_s)

    def log(self, kind: EventKind, body: Body, elapsed_s: float, *, other: int | None = None) -> None:
        """Remember what has happened."""
        self.state.events.append(BodyEvent(kind=kind, elapsed_s=elapsed_s, body=body.number, other=other))

    def write_back(self) -> None:
        """Put the present places of all pieces into the state."""
        for piece in self.state.pieces:
            body = self.bodies[piece.number]
            piece.rotation, piece.shift_m = _rows(body.pose.rotation), _triple(body.pose.shift_m)
            piece.carrier, piece.is_lost = body.carrier, body.is_lost


def _piece_state(body: Body) -> PieceState:
    box_m = body.box_m if body.box_m is not None else np.zeros((2, 3))
    return PieceState(
        number=body.number,
        kind=body.kind,
        parent=body.parent or 0,
        file=f"piece-{body.number:03d}.npz",
        box_m=(_triple(box_m[0]), _triple(box_m[1])),
        rotation=_rows(body.pose.rotation),
        shift_m=_triple(body.pose.shift_m),
        carrier=body.carrier,
    )


def _triple(vector: Floats) -> Triple:
    x, y, z = map(float, vector)
    return x, y, z


def _rows(matrix: Floats) -> tuple[Triple, Triple, Triple]:
    one, two, three = (_triple(row) for row in matrix)
    return one, two, three
