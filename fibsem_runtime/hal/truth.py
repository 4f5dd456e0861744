"""What a simulator knows and a workflow must not: used by tests and by the report's score only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fibsem_runtime.core import ImagePoint, PixelPoint, SpecimenPosition


@dataclass(frozen=True, slots=True, kw_only=True)
class LamellaTruth:
    """What stands at a target: ``None`` where no lamella is left.

    Thickness is along the normal of the lamella, median over its central half; ``offset`` is the lamella's centre from
    the target in the plane across the ion beam; ``attached_to`` names the bodies that hold it.
    """

    thickness_m: float | None
    thickness_min_m: float | None
    thickness_max_m: float | None
    offset: ImagePoint | None
    attached_to: tuple[str, ...]


class Truth(Protocol):
    """Answers about the simulated sample."""

    def specimen_point(self, frame_id: str, point: PixelPoint) -> SpecimenPosition:
        """Return the specimen point that a pixel of an acquired frame shows."""

    def lamella(self, target: SpecimenPosition) -> LamellaTruth:
        """Measure the lamella whose centre should be at ``target``."""
