"""What the documents say was done already: the ground on which a run goes on after a crash."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fibsem_runtime.events import AnyDocument, MillingFinished, MillingStarted, StepFinished

_RESOLUTION_S: Final = 1e-6
"""Beam time below this is rounding; the workflow uses the same limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamTime:
    """Beam time of one milling stage that must not be spent again; ``finished`` when nothing of it is left."""

    milled_s: float = 0.0
    finished: bool = False


def step_completed(documents: Iterable[AnyDocument], step_name: str) -> bool:
    """Tell whether a step was completed in the documents of one lamella."""
    return any(
        isinstance(document, StepFinished) and document.step == step_name and document.status == "completed"
        for document in documents
    )


def milling_spent(documents: Iterable[AnyDocument], step: str, stage: str) -> BeamTime:
    """Return the beam time spent on a milling stage in the documents of one lamella.

    An announced interval whose end is not on record counts as spent to its end: an instrument goes on patterning when
    its client dies. Too little milling is seen and repaired, milling twice is not. The time never falls.
    """
    certain_s, announced_s, total_s, finished = 0.0, 0.0, math.inf, False
    for document in documents:
        if not isinstance(document, MillingStarted | MillingFinished):
            continue
        if document.step != step or document.stage != stage:
            continue
        total_s = document.total_s
        if isinstance(document, MillingStarted):
            certain_s, announced_s = max(certain_s, announced_s), document.until_s
        else:
            certain_s, announced_s = max(certain_s, document.milled_s), 0.0
            finished = finished or document.finished
    milled_s = max(certain_s, announced_s)
    return BeamTime(milled_s=milled_s, finished=finished or milled_s >= total_s - _RESOLUTION_S)
