"""An experiment that cannot be used is refused in one line that says what to do; nothing is touched."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from documents import document

from fibsem_runtime.core.errors import ExperimentError, FibsemError, StorageError
from fibsem_runtime.events import StepStarted
from fibsem_runtime.experiment import Experiment

OPENERS = [Experiment.open, Experiment.resume]


def refusal(call: object, path: Path, kind: type[FibsemError] = ExperimentError) -> str:
    with pytest.raises(kind) as caught:
        call(path)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(directory: Path, statement: str) -> None:
    connection = sqlite3.connect(directory / "experiment.sqlite")
    with connection:
        connection.execute(statement)
    connection.close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("finished") / "experiment"
    with Experiment.create(directory) as experiment:
        for _ in range(40):
            experiment.record(document(StepStarted))
    return directory


@pytest.fixture
def closed(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished experiment that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "experiment"))


@pytest.mark.parametrize("opener", OPENERS)
def test_a_folder_that_does_not_exist(tmp_path: Path, opener: object) -> None:
    assert "there is no experiment" in refusal(opener, tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("opener", OPENERS)
def test_a_folder_that_is_no_experiment(tmp_path: Path, opener: object) -> None:
    assert "has no experiment.sqlite" in refusal(opener, tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("opener", OPENERS)
def test_a_file_that_is_no_database(closed: Path, opener: object) -> None:
    (closed / "experiment.sqlite").write_bytes(b"not a database at all" * 500)
    assert "file is not a database; restore it from a copy" in refusal(opener, closed)


@pytest.mark.parametrize("opener", OPENERS)
def test_an_empty_database(closed: Path, opener: object) -> None:
    (closed / "experiment.sqlite").write_bytes(b"")
    assert "no such table: experiments" in refusal(opener, closed)


@pytest.mark.parametrize("opener", OPENERS)
def test_a_database_that_is_cut_off(closed: Path, opener: object) -> None:
    database = closed / "experiment.sqlite"
    database.write_bytes(database.read_bytes()[:-5000])
    assert "restore it from a copy" in refusal(opener, closed)


def test_damaged_pages_are_refused_or_harmless(closed: Path) -> None:
    whole = (closed / "experiment.sqlite").read_bytes()
    refused = 0
    for start in range(0, len(whole), 4096):
        (closed / "experiment.sqlite").write_bytes(whole[:start] + b"\xa5" * 512 + whole[start + 512 :])
        try:
            with Experiment.open(closed) as reader:
                assert len(reader.documents()) == 40
        except ExperimentError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > len(whole) // 4096 // 2


@pytest.mark.parametrize("opener", OPENERS)
def test_a_newer_schema(closed: Path, opener: object) -> None:
    change(closed, "update experiments set schema_version = 99")
    assert "has schema 99, this program knows up to 1" in refusal(opener, closed)


@pytest.mark.parametrize("opener", OPENERS)
def test_a_document_of_a_newer_program(closed: Path, opener: object) -> None:
    change(closed, """update documents set json = '{"kind": "teleported"}' where sequence = 7""")
    assert "a document that this program does not know" in refusal(opener, closed)


def test_a_database_without_its_experiment(closed: Path) -> None:
    change(closed, "delete from experiments")
    assert "holds 0 experiments" in refusal(Experiment.open, closed)


def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    assert "exists already; continue it with --resume" in refusal(Experiment.create, tmp_path / "mine")
    (tmp_path / "file").write_text("x")
    assert "exists already" in refusal(Experiment.create, tmp_path / "file")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_an_experiment_below_a_file_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "was not created: Not a directory" in refusal(Experiment.create, tmp_path / "file" / "e", StorageError)


def test_a_failed_opening_lets_the_next_one_in(closed: Path) -> None:
    change(closed, "update experiments set schema_version = 99")
    refusal(Experiment.resume, closed)
    change(closed, "update experiments set schema_version = 1")
    Experiment.resume(closed).close()


HOLDER = """
import sys
from pathlib import Path
from fibsem_runtime.experiment import Experiment
with Experiment.resume(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_told_who_writes(closed: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(closed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        message = refusal(Experiment.resume, closed)
        with Experiment.open(closed) as reader:
            assert len(reader.documents()) == 40
        holder.kill()
    assert f"in use by another run (process {holder.pid})" in message
    Experiment.resume(closed).close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write into any folder")
def test_an_archive_that_cannot_be_written_to_can_be_read(closed: Path) -> None:
    closed.chmod(0o555)
    try:
        with Experiment.open(closed) as reader:
            assert len(reader.documents()) == 40
    finally:
        closed.chmod(0o755)


def test_an_archive_is_opened_as_a_database_that_does_not_change(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with Experiment.open(closed) as reader:
        assert len(reader.documents()) == 40
        assert sorted(path.name for path in closed.glob("experiment.sqlite*")) == ["experiment.sqlite"]
