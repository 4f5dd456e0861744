"""What is kept of pieces, joints and the needle: part of the state on the disk."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from drivers.simulator.bodies import BodyKind, Carrier

Triple: TypeAlias = tuple[float, float, float]


class BodyPart(BaseModel):
    """Part of the state; unknown keys forbidden, changed in place."""

    model_config = ConfigDict(extra="forbid")


class PieceState(BodyPart):
    """A piece that milling has freed; ``file`` holds its height field, `state.CutFile` its cuts."""

    number: int
    kind: BodyKind
    parent: int
    file: str
    box_m: tuple[Triple, Triple]
    rotation: tuple[Triple, Triple, Triple]
    shift_m: Triple
    carrier: Carrier
    is_lost: bool = False


class JointKind(StrEnum):
    """Name what holds two bodies together."""

    WELD = "weld"
    STUCK = "stuck"


class JointState(BodyPart):
    """Two bodies that hold each other at a point, given in the frame of each, over a gap of at most ``gap_m``."""

    kind: JointKind
    bodies: tuple[int, int]
    points_m: tuple[Triple, Triple]
    area_m2: float
    gap_m: float


class EventKind(StrEnum):
    """Name what has happened to a body."""

    FREED = "freed"
    LOST = "lost"
    CONTACT = "contact"
    STUCK = "stuck"
    WELDED = "welded"
    PARTED = "parted"
    CRASH = "crash"


class BodyEvent(BodyPart):
    """Something that has happened to a body; for the truth, never for the workflow."""

    kind: EventKind
    elapsed_s: float
    body: int
    other: int | None = None


class NeedleState(BodyPart):
    """The manipulator: its encoders, what they do not know, and its fate.

    The tip is at ``position_m + bias_m + lag_m`` of the chamber: the error of the last insertion, and how far the tip
    stays behind since it was at ``contact_m``. ``touches`` is the body that it is in contact with, ``is_held`` what the
    client has said of it.
    """

    position_m: Triple
    is_inserted: bool = False
    is_held: bool = False
    insert_count: int = 0
    bias_m: Triple = (0.0, 0.0, 0.0)
    lag_m: Triple = (0.0, 0.0, 0.0)
    contact_m: Triple | None = None
    touches: int | None = None
    is_damaged: bool = False


class WorldState(BodyPart):
    """Everything that is not given by the scene."""

    pieces: list[PieceState] = Field(default_factory=list)
    joints: list[JointState] = Field(default_factory=list)
    events: list[BodyEvent] = Field(default_factory=list)
    needle: NeedleState | None = None
