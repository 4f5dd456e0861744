"""Documents that are only true together are on disk together, or none of them is."""

from __future__ import annotations

import pytest
from documents import document
from pytest_mock import MockerFixture
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from fibsem_runtime.core.errors import StorageError
from fibsem_runtime.events import StepStarted
from fibsem_runtime.experiment import Experiment


def test_documents_of_one_call_are_numbered_in_their_order(experiment: Experiment) -> None:
    written = experiment.record_together([document(StepStarted, attempt=n) for n in (1, 2, 3)])
    assert [d.sequence for d in written] == [1, 2, 3]
    with Experiment.open(experiment.directory) as reader:
        assert reader.documents() == written


def test_a_disk_that_refuses_the_last_one_keeps_none(experiment: Experiment, mocker: MockerFixture) -> None:
    flush, calls = Session.flush, []

    def refuse_the_third(session: Session) -> None:
        calls.append(session)
        if len(calls) == 3:
            raise OperationalError("insert", {}, OSError("database or disk is full"))
        flush(session)

    mocker.patch.object(Session, "flush", refuse_the_third)
    with pytest.raises(StorageError, match="disk is full"):
        experiment.record_together([document(StepStarted, attempt=n) for n in (1, 2, 3)])
    mocker.stopall()
    assert experiment.documents() == []
    with Experiment.open(experiment.directory) as reader:
        assert reader.documents() == []
    assert experiment.record(document(StepStarted)).sequence == 1
