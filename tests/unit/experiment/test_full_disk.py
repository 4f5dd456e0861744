"""A disk that refuses: one line, nothing half-written, and everything goes on once there is room again."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from documents import document, one_of_each
from frames import make_image
from pytest_mock import MockerFixture

from fibsem_runtime.core.errors import StorageError
from fibsem_runtime.events import Correction, StepStarted
from fibsem_runtime.experiment import Experiment
from fibsem_runtime.experiment.rows import correction_row
from fibsem_runtime.experiment.schema import CorrectionRow

if sys.platform == "win32":
    pytest.skip("limits of the file size are POSIX", allow_module_level=True)

import resource

BULK = "a long message " * 2000


@contextmanager
def no_file_may_grow_beyond(size_bytes: int) -> Iterator[None]:
    """Let the operating system refuse every write beyond a size, in C code as in Python."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refuse(mocker: MockerFixture, call: str) -> None:
    mocker.patch(call, side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def one_line(error: pytest.ExceptionInfo[StorageError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def assert_is_sound(directory: Path, document_count: int) -> None:
    """Check the whole database and that the sequence has no gap."""
    connection = sqlite3.connect(directory / "experiment.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with Experiment.open(directory) as reader:
        assert [d.sequence for d in reader.documents()] == list(range(1, document_count + 1))


def test_a_document_that_finds_no_room_is_not_recorded_at_all(experiment: Experiment) -> None:
    experiment.record(document(StepStarted))
    wal = experiment.directory / "experiment.sqlite-wal"
    with no_file_may_grow_beyond(wal.stat().st_size + 5000), pytest.raises(StorageError) as caught:
        experiment.record(document(StepStarted, step=BULK))
    assert "the step_started document was not written" in one_line(caught)
    assert len(experiment.documents()) == 1
    experiment.record(document(StepStarted))
    experiment.close()
    assert_is_sound(experiment.directory, 2)


def test_a_database_that_is_full_says_so(experiment: Experiment) -> None:
    experiment.record(document(StepStarted))
    with experiment._database._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError) as caught:
        experiment.record(document(StepStarted, step=BULK))
    assert "database or disk is full; free disk space, then resume" in one_line(caught)
    experiment.close()
    assert_is_sound(experiment.directory, 1)


def test_a_correction_is_written_with_its_document_or_not_at_all(experiment: Experiment, mocker: MockerFixture) -> None:
    (correction,) = [d for d in one_of_each() if d.kind == "correction"]
    mocker.patch("fibsem_runtime.experiment.experiment.correction_row", side_effect=_row_without_its_document)
    with pytest.raises(StorageError, match="FOREIGN KEY constraint failed"):
        experiment.record(correction)
    assert experiment.documents() == []
    experiment.close()
    assert_is_sound(experiment.directory, 0)


def _row_without_its_document(experiment_id: str, correction: Correction) -> CorrectionRow:
    return correction_row(experiment_id, correction.model_copy(update={"sequence": 99}))


def test_an_image_that_finds_no_room_leaves_nothing(experiment: Experiment) -> None:
    """A size of which header and some pixels fit is the one that a careless writer does not notice."""
    with no_file_may_grow_beyond(2000), pytest.raises(StorageError) as caught:
        experiment.save_image(make_image(), name="frame")
    assert "cannot write the image" in one_line(caught)
    assert os.listdir(experiment.directory / "images") == []
    experiment.load_image(experiment.save_image(make_image(), name="frame"))


def test_an_image_that_cannot_be_registered_is_removed_again(experiment: Experiment, mocker: MockerFixture) -> None:
    mocker.patch.object(experiment._database, "add", side_effect=StorageError("database or disk is full"))
    with pytest.raises(StorageError, match="full"):
        experiment.save_image(make_image(), name="frame")
    assert os.listdir(experiment.directory / "images") == []


@pytest.mark.parametrize("call", ["os.fsync", "os.replace"])
def test_an_image_is_not_there_when_its_last_step_fails(
    experiment: Experiment, mocker: MockerFixture, call: str
) -> None:
    refuse(mocker, call)
    with pytest.raises(StorageError, match="No space left on device"):
        experiment.save_image(make_image(), name="frame")
    assert os.listdir(experiment.directory / "images") == []


@pytest.mark.parametrize("size_bytes", [3, 2000, 20000])
def test_an_experiment_that_finds_no_room_is_not_created(tmp_path: Path, size_bytes: int) -> None:
    with no_file_may_grow_beyond(size_bytes), pytest.raises(StorageError) as caught:
        Experiment.create(tmp_path / "experiment", files={"config.yaml": "seed: 7\n"})
    one_line(caught)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", ["os.fsync", "os.mkdir"])
def test_a_failure_at_any_moment_leaves_no_experiment(tmp_path: Path, mocker: MockerFixture, call: str) -> None:
    refuse(mocker, call)
    with pytest.raises(StorageError, match="No space left on device"):
        Experiment.create(tmp_path / "experiment", files={"config.yaml": "seed: 7\n"})
    assert os.listdir(tmp_path) == []
