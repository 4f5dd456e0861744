"""Checks and milling of a step, gathered to one row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fibsem_runtime.events import AnyDocument, CheckMade, MillingFinished, MillingStarted
from fibsem_runtime.experiment import journal

CHECK_NAMES: Final = MappingProxyType(
    {
        "C1": "reference exists",
        "C2": "alignment residual",
        "C3": "detection is valid",
        "C4": "length of a move",
        "C5": "verified after the move",
        "C6": "pose",
        "C7": "beams meet",
        "C8": "geometry before milling",
        "C9": "outcome of milling",
        "C10": "contact",
        "C11": "sever",
        "C12": "weld holds",
        "C13": "thickness",
        "C14": "attempts",
        "C15": "environment",
        "sites": "sites found",
    }
)
"""What the checks of methods.md section 3 are about, in the words of the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One kind of check in a step: how often it was made and how it came out the last time."""

    check: str
    count: int
    failed_count: int
    last: CheckMade

    @property
    def name(self) -> str:
        """Return what the check is about."""
        return CHECK_NAMES.get(self.check, self.check)


@dataclass(frozen=True, slots=True, kw_only=True)
class MillingRow:
    """One milling stage: its current, what was spent of its beam time and in how many pieces."""

    stage: str
    beam_current_a: float
    milled_s: float
    total_s: float
    piece_count: int
    finished: bool


def check_rows(documents: Sequence[AnyDocument]) -> list[CheckRow]:
    """Return one row a check in the order in which they were first made."""
    by_check: dict[str, list[CheckMade]] = {}
    for document in documents:
        if isinstance(document, CheckMade):
            by_check.setdefault(document.check, []).append(document)
    return [
        CheckRow(check=check, count=len(made), failed_count=sum(not item.passed for item in made), last=made[-1])
        for check, made in by_check.items()
    ]


def milling_rows(documents: Sequence[AnyDocument], step: str) -> list[MillingRow]:
    """Return one row a milling stage of a step."""
    by_stage: dict[str, list[MillingStarted]] = {}
    for document in documents:
        if isinstance(document, MillingStarted):
            by_stage.setdefault(document.stage, []).append(document)
    rows = []
    for stage, started in by_stage.items():
        spent = journal.milling_spent(documents, step, stage)
        rows.append(
            MillingRow(
                stage=stage,
                beam_current_a=started[-1].beam_current_a,
                milled_s=spent.milled_s,
                total_s=started[-1].total_s,
                piece_count=len(started),
                finished=_is_confirmed(documents, stage),
            )
        )
    return rows


def _is_confirmed(documents: Sequence[AnyDocument], stage: str) -> bool:
    return any(isinstance(d, MillingFinished) and d.stage == stage and d.finished for d in documents)
