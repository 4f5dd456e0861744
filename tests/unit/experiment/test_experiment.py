"""What an experiment says it has recorded is there when it is opened again."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from documents import document, one_of_each

from fibsem_runtime.core.errors import DataError, ExperimentError
from fibsem_runtime.events import CheckMade, LamellaAdded, StepFinished, StepStarted
from fibsem_runtime.experiment import Experiment


def test_a_new_experiment_holds_its_files_and_no_documents(experiment: Experiment) -> None:
    assert (experiment.directory / "config.yaml").read_text() == "seed: 7\n"
    assert (experiment.directory / "images").is_dir()
    assert experiment.documents() == []


def test_every_kind_of_document_comes_back_as_it_was_recorded(experiment: Experiment) -> None:
    recorded = [experiment.record(example) for example in one_of_each()]
    experiment.close()
    with Experiment.open(experiment.directory) as reader:
        assert reader.documents() == recorded


def test_the_sequence_rises_by_one_and_goes_on_after_a_resume(experiment: Experiment) -> None:
    first = [experiment.record(document(StepStarted)).sequence for _ in range(3)]
    experiment.close()
    with Experiment.resume(experiment.directory) as resumed:
        assert first == [1, 2, 3]
        assert resumed.record(document(StepStarted)).sequence == 4


def test_each_writer_is_a_run_of_its_own_and_a_reader_names_the_last(experiment: Experiment) -> None:
    first = experiment.run_id
    experiment.close()
    with Experiment.resume(experiment.directory) as resumed:
        assert resumed.run_id != first
        resumed.record(document(StepStarted, run_id=resumed.run_id))
        with Experiment.open(experiment.directory) as reader:
            assert reader.run_id == resumed.run_id


def test_documents_are_selected_by_kind_and_lamella_in_order(experiment: Experiment) -> None:
    for lamella in ("a", "b", "a", ""):
        experiment.record(document(StepStarted, lamella=lamella))
        experiment.record(document(CheckMade, lamella=lamella, check="C2", measured=1, threshold=2, passed=True))

    def numbers(**selection: str) -> list[int]:
        return [d.sequence for d in experiment.documents(**selection)]

    assert numbers() == list(range(1, 9))
    assert numbers(kind="step_started") == [1, 3, 5, 7]
    assert numbers(lamella="a") == [1, 2, 5, 6]
    assert numbers(kind="check_made", lamella="a") == [2, 6]
    assert numbers(lamella="") == [7, 8]
    assert numbers(kind="step_started", lamella="c") == []


def test_a_selection_can_be_walked_while_more_is_recorded(experiment: Experiment) -> None:
    experiment.record(document(StepStarted))
    for _ in experiment.documents(kind="step_started"):
        experiment.record(document(StepStarted))
    assert len(experiment.documents()) == 2


def test_a_reader_sees_what_a_run_records_meanwhile(experiment: Experiment) -> None:
    with Experiment.open(experiment.directory) as reader:
        assert reader.documents() == []
        recorded = experiment.record(document(StepStarted))
        assert reader.documents() == [recorded]


def test_a_document_that_cannot_be_read_back_is_refused_and_leaves_no_gap(experiment: Experiment) -> None:
    with pytest.raises(DataError, match="nothing was recorded"):
        experiment.record(document(StepFinished, status="completed", duration_s=float("nan")))
    assert experiment.record(document(StepStarted)).sequence == 1


def test_a_reader_cannot_write(experiment: Experiment) -> None:
    with (
        Experiment.open(experiment.directory) as reader,
        pytest.raises(ExperimentError, match="not open for writing; resume"),
    ):
        reader.record(document(StepStarted))


def test_a_closed_experiment_records_nothing(experiment: Experiment) -> None:
    experiment.close()
    experiment.close()
    with pytest.raises(ExperimentError, match="not open for writing"):
        experiment.record(document(StepStarted))


def test_points_of_corrections_can_be_searched_in_the_database(experiment: Experiment) -> None:
    for example in one_of_each():
        experiment.record(example)
    with sqlite3.connect(experiment.directory / "experiment.sqlite") as connection:
        rows = connection.execute(
            "select feature, classification, predicted_x_px, decided_y_px, image_path from corrections"
        ).fetchall()
    connection.close()
    assert rows == [("LamellaCentre", "adjusted", 10.5, 20.0, "images/frame.tif")]


def test_the_database_syncs_every_commit_and_lets_readers_in(experiment: Experiment) -> None:
    experiment.record(document(LamellaAdded, stage_position=one_of_each()[1].stage_position))
    with experiment._database._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_finished_experiment_is_one_database_file_without_companions(experiment: Experiment) -> None:
    experiment.record(document(StepStarted))
    experiment.close()
    assert sorted(os.listdir(experiment.directory)) == ["config.yaml", "experiment.lock", "experiment.sqlite", "images"]


def test_what_a_killed_writer_left_half_is_gone_after_a_resume(experiment: Experiment) -> None:
    experiment.close()
    leftover = experiment.directory / "images" / ".frame.tif.0123.tmp"
    leftover.write_bytes(b"half an image")
    Experiment.resume(experiment.directory).close()
    assert not leftover.exists()


def test_an_empty_folder_becomes_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    Experiment.create(tmp_path / "mine").close()
    assert (tmp_path / "mine" / "experiment.sqlite").is_file()


@pytest.mark.parametrize("name", ["night 1", "100% µm #2", "a?b=c&d", "Gitter-Nr. 5 (öffnen)"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    with Experiment.create(tmp_path / name) as experiment:
        recorded = experiment.record(document(StepStarted))
    with Experiment.open(tmp_path / name) as reader:
        assert reader.documents() == [recorded]
    assert os.listdir(tmp_path) == [name]
