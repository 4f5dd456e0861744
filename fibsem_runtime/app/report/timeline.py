"""When which step of which lamella ran, as parts of the whole time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fibsem_runtime.events import AnyDocument, StepFinished, StepStarted

_TICKS_S: Final = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400, 604800)
_MAX_TICK_COUNT: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One attempt of a step; start and width are fractions of the whole time."""

    lamella: str
    step: str
    status: str
    attempt: int
    duration_s: float
    start_fraction: float
    width_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All attempts of an experiment; ``ticks_s`` are times after the start, each with its fraction of the span."""

    started_at: datetime | None
    span_s: float
    bars: Sequence[Bar]
    ticks_s: Sequence[tuple[float, float]]


def make_timeline(documents: Sequence[AnyDocument]) -> Timeline:
    """Place the attempts of all steps between the first and the last document."""
    if not documents:
        return Timeline(started_at=None, span_s=0.0, bars=(), ticks_s=())
    start = min(d.wall_time for d in documents)
    span_s = max((max(d.wall_time for d in documents) - start).total_seconds(), 1e-9)
    last_word = {document.run_id: document.wall_time for document in documents}
    return Timeline(
        started_at=start,
        span_s=span_s,
        bars=[_bar(begun, ended, last_word[begun.run_id], (start, span_s)) for begun, ended in _attempts(documents)],
        ticks_s=_ticks(span_s),
    )


def _attempts(documents: Sequence[AnyDocument]) -> list[tuple[StepStarted, StepFinished | None]]:
    """Return each start with its end, None for what was cut off."""
    running: dict[tuple[str, str], StepStarted] = {}
    attempts: list[tuple[StepStarted, StepFinished | None]] = []
    for document in documents:
        key = (document.lamella, document.step)
        if isinstance(document, StepStarted):
            if key in running:
                attempts.append((running[key], None))
            running[key] = document
        elif isinstance(document, StepFinished) and key in running:
            attempts.append((running.pop(key), document))
    return attempts + [(begun, None) for begun in running.values()]


def _bar(begun: StepStarted, ended: StepFinished | None, cut_off_at: datetime, whole: tuple[datetime, float]) -> Bar:
    start, span_s = whole
    until = ended.wall_time if ended else cut_off_at
    duration_s = max((until - begun.wall_time).total_seconds(), 0.0)
    return Bar(
        lamella=begun.lamella,
        step=begun.step,
        status=ended.status if ended else "unfinished",
        attempt=begun.attempt,
        duration_s=duration_s,
        start_fraction=(begun.wall_time - start).total_seconds() / span_s,
        width_fraction=duration_s / span_s,
    )


def _ticks(span_s: float) -> list[tuple[float, float]]:
    interval_s = next((tick for tick in _TICKS_S if span_s / tick <= _MAX_TICK_COUNT), span_s / 4)
    return [(number * interval_s, number * interval_s / span_s) for number in range(int(span_s // interval_s) + 1)]
