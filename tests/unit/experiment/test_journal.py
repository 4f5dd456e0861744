"""After a crash no beam time is spent twice and no finished step is repeated."""

from __future__ import annotations

from itertools import pairwise

import pytest
from documents import document
from hypothesis import given
from hypothesis import strategies as st

from fibsem_runtime.events import AnyDocument, MillingFinished, MillingStarted, StepFinished, StepStarted
from fibsem_runtime.experiment import BeamTime, journal

TOTAL_S = 100.0


def started(from_s: float, until_s: float, *, stage: str = "rough_1", step: str = "rough") -> MillingStarted:
    facts = {"stage": stage, "step": step, "beam_current_a": 1e-9, "total_s": TOTAL_S}
    return document(MillingStarted, from_s=from_s, until_s=until_s, **facts)


def ended(milled_s: float, *, stage: str = "rough_1", finished: bool = False) -> MillingFinished:
    return document(MillingFinished, stage=stage, milled_s=milled_s, total_s=TOTAL_S, finished=finished)


def spent(*documents: AnyDocument) -> BeamTime:
    return journal.milling_spent(documents, "rough", "rough_1")


@pytest.mark.parametrize(
    ("documents", "milled_s", "finished"),
    [
        ([], 0.0, False),
        ([started(0, 40)], 40.0, False),
        ([started(0, 40), ended(40)], 40.0, False),
        ([started(0, 40), ended(25)], 25.0, False),
        ([started(0, 40), ended(40), started(40, 80)], 80.0, False),
        ([started(0, 40), started(40, 80)], 80.0, False),
        ([started(0, 40), started(40, 80), ended(50)], 50.0, False),
        ([started(0, 40), ended(40), started(40, 100), ended(100, finished=True)], 100.0, True),
        ([started(0, 40), ended(40), started(40, 100)], 100.0, True),
        ([started(0, 100), ended(99.9, finished=True)], 99.9, True),
    ],
)
def test_an_announced_interval_counts_until_its_end_is_known(
    documents: list[AnyDocument], milled_s: float, finished: bool
) -> None:
    assert spent(*documents) == BeamTime(milled_s=milled_s, finished=finished)


def test_other_stages_and_steps_do_not_count() -> None:
    assert spent(started(0, 40, stage="rough_2"), started(0, 40, step="polish")) == BeamTime()


@given(
    intervals=st.lists(st.tuples(st.floats(0.5, 30), st.floats(0, 1), st.booleans()), max_size=12),
    moments=st.sets(st.integers(0, 30)),
)
def test_however_often_a_run_dies_no_second_is_milled_twice(
    intervals: list[tuple[float, float, bool]], moments: set[int]
) -> None:
    """Play a workflow that dies before or after an interval is confirmed and goes on from the journal."""
    documents: list[AnyDocument] = []
    dose_s: list[tuple[float, float]] = []
    for number, (length_s, milled_fraction, is_confirmed) in enumerate(intervals):
        found = spent(*documents)
        if found.finished:
            break
        from_s, until_s = found.milled_s, min(found.milled_s + length_s, TOTAL_S)
        documents.append(started(from_s, until_s))
        reached_s = until_s if number in moments else from_s + milled_fraction * (until_s - from_s)
        dose_s.append((from_s, reached_s))
        if is_confirmed:
            documents.append(ended(reached_s, finished=reached_s >= TOTAL_S))
    for (_, earlier_s), (later_s, _) in pairwise(dose_s):
        assert later_s >= earlier_s


def test_a_step_is_completed_only_by_its_own_completion() -> None:
    documents = [
        document(StepStarted, step="rough"),
        document(StepFinished, step="rough", status="failed", duration_s=1.0),
        document(StepFinished, step="fiducial", status="completed", duration_s=1.0),
    ]
    assert not journal.step_completed(documents, "rough")
    assert journal.step_completed(documents, "fiducial")
    retried = document(StepFinished, step="rough", status="completed", duration_s=1.0)
    assert journal.step_completed([*documents, retried], "rough")
