"""Who answers a proposal: policy, a person at the terminal, a script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from fibsem_runtime.core import Image, ImagePoint, PixelPoint
from fibsem_runtime.core.errors import LowConfidenceError
from fibsem_runtime.events import Proposal


class SupervisionMode(StrEnum):
    """Say when a person is asked: never, below the confidence gate, or always."""

    NEVER = "never"
    UNCERTAIN = "uncertain"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a supervisor decided; ``points`` holds the chosen pixel of every feature, also of the unchanged ones."""

    action: Literal["accept", "correct", "reject"]
    points: Mapping[str, PixelPoint] = field(default_factory=dict)
    reason: str = ""


class Supervisor(Protocol):
    """Answer proposals; raise `DecisionTimeoutError` when nobody does, never a yes."""

    @property
    def name(self) -> str:
        """Return who decides, as recorded."""

    def decide(self, proposal: Proposal, image: Image | None) -> Answer:
        """Block until the proposal is answered."""


def proposed_points(proposal: Proposal) -> dict[str, PixelPoint]:
    """Return the pixel of every feature that the proposal has found."""
    return {item.feature: item.point for item in proposal.features if item.point is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedSupervisor:
    """Correct every n-th proposal by a fixed offset and accept the others: a repeatable operator for tests and demos.

    ``counter`` lists the identities of the proposals answered so far.
    """

    correct_every: int
    offset: ImagePoint
    name: str = "scripted operator"
    counter: list[str] = field(default_factory=list)

    def decide(self, proposal: Proposal, image: Image | None) -> Answer:
        """Accept, or move every point of a proposal with an image by the offset."""
        self.counter.append(proposal.proposal_id)
        points = proposed_points(proposal)
        due = len(self.counter) % self.correct_every == 0
        if not due or not points or proposal.pixel_size_m is None:
            return Answer(action="accept", points=points)
        dx_px = self.offset.x_m / proposal.pixel_size_m
        dy_px = -self.offset.y_m / proposal.pixel_size_m
        moved = {name: PixelPoint(point.x_px + dx_px, point.y_px + dy_px) for name, point in points.items()}
        return Answer(action="correct", points=moved, reason=f"every {self.correct_every}. proposal is corrected")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySupervisor:
    """Decide without a person: accept at or above the gate, refuse below it."""

    gate_fraction: float
    name: str = "policy"

    def decide(self, proposal: Proposal, image: Image | None) -> Answer:
        """Accept a confident proposal; raise `LowConfidenceError` for any other."""
        if proposal.confidence < self.gate_fraction:
            raise LowConfidenceError(
                f"{proposal.question} Confidence {proposal.confidence:.2f} is below the gate of "
                f"{self.gate_fraction:.2f} and nobody is asked; use --supervise uncertain "
                "to be asked, or improve the image"
            )
        return Answer(action="accept", points=proposed_points(proposal))
