"""The main job: a lamella prepared by one command, and what it is worth without detection and alignment."""

from __future__ import annotations

from pathlib import Path

from runs import Finished, run

from fibsem_runtime.experiment import Experiment


def test_a_lamella_is_prepared_without_a_person(autonomous_run: Finished) -> None:
    assert autonomous_run.returncode == 0, autonomous_run.stderr
    (lamella,) = autonomous_run.report["lamellae"]
    assert lamella["status"] == "completed"
    assert [step["status"] for step in lamella["steps"]] == ["completed"] * len(lamella["steps"])


def test_the_lamella_is_as_thick_and_where_it_was_asked_for(autonomous_run: Finished) -> None:
    (lamella,) = autonomous_run.report["lamellae"]
    assert 150 <= lamella["truth"]["thickness_nm"] <= 250
    assert lamella["truth"]["position_error_nm"] <= 500
    assert {"left", "right"} <= set(lamella["truth"]["attached_to"])


def test_the_measured_thickness_is_close_to_the_truth(autonomous_run: Finished) -> None:
    (lamella,) = autonomous_run.report["lamellae"]
    assert abs(lamella["thickness_nm"] - lamella["truth"]["thickness_nm"]) <= 50


def test_every_image_on_disk_is_the_one_that_was_recorded(autonomous_run: Finished) -> None:
    with Experiment.open(autonomous_run.experiment) as experiment:
        documents = list(experiment.documents(kind="image_acquired"))
        assert len(documents) > 20
        for document in documents:
            experiment.load_image(document.image)


def test_without_detection_and_alignment_the_same_seed_fails(tmp_path: Path) -> None:
    blind = run(tmp_path / "experiment", "--no-detection", "--no-alignment")
    (lamella,) = blind.report["lamellae"]
    truth = lamella["truth"]
    good = truth["thickness_nm"] is not None and 150 <= truth["thickness_nm"] <= 250
    placed = truth["position_error_nm"] is not None and truth["position_error_nm"] <= 500
    assert not (good and placed)
    assert lamella["status"] != "completed"
    assert blind.returncode != 0
