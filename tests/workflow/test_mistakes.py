"""What goes wrong on an instrument goes wrong here: a beam that trips, and a polish at a current that burns."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from runs import Finished, assert_no_beam_time_twice, run

from fibsem_runtime.events import CheckMade, MillingFinished, MillingStarted, RunStopped
from fibsem_runtime.experiment import Experiment

TRIP = {"kind": "beam_trip", "when": {"at": "milling", "current_pa": 60, "number": 3}, "after_s": 10}


def configuration(path: Path, **changes: Any) -> list[str]:
    """Write a configuration with an operator who accepts every doubtful proposal, and return its option."""
    operator = {"kind": "scripted", "correct_every": 1000}
    path.write_text(yaml.safe_dump({"supervision": {"mode": "uncertain", "operator": operator}} | changes), "utf-8")
    return ["--config", str(path)]


def polish_step(finished: Finished) -> dict[str, Any]:
    (lamella,) = finished.report["lamellae"]
    (step,) = [step for step in lamella["steps"] if step["name"] == "polish"]
    return dict(step)


def assert_parked(experiment: Path) -> None:
    """Check that the simulated instrument was left in its safe state."""
    machine = json.loads((experiment / "simulator" / "machine.json").read_text("utf-8"))["machine"]
    assert machine["drawing"] is None
    assert machine["electron_beam"]["is_blanked"] and machine["ion_beam"]["is_blanked"]


def test_a_beam_trip_while_polishing_stops_the_run_safely_and_a_resumed_one_finishes(tmp_path: Path) -> None:
    path = tmp_path / "experiment"
    settings = {"driver": {"name": "simulator", "settings": {"faults": [TRIP]}}}
    tripped = run(path, *configuration(tmp_path / "config.yaml", **settings))

    assert tripped.returncode == 8
    assert polish_step(tripped)["status"] == "failed"
    assert "ion beam went off" in polish_step(tripped)["message"]
    assert "ion beam went off" in (path / "report.html").read_text("utf-8")
    assert_parked(path)
    before_resuming = milled(path)
    assert before_resuming[-1].milled_s < before_resuming[-1].total_s

    resumed = run(path, "--resume")

    assert resumed.returncode == 0, resumed.stderr
    (lamella,) = resumed.report["lamellae"]
    assert lamella["status"] == "completed"
    assert 150 <= lamella["truth"]["thickness_nm"] <= 250
    assert_no_beam_time_twice(path)
    assert first_start_of_second_run(path).from_s == before_resuming[-1].milled_s


def milled(path: Path) -> list[MillingFinished]:
    """Return the intervals of milling that an experiment has on record."""
    with Experiment.open(path) as experiment:
        return [d for d in experiment.documents(kind="milling_finished") if isinstance(d, MillingFinished)]


def first_start_of_second_run(path: Path) -> MillingStarted:
    """Return the first milling after the first run had stopped."""
    with Experiment.open(path) as experiment:
        documents = list(experiment.documents())
    stopped = next(number for number, document in enumerate(documents) if isinstance(document, RunStopped))
    return next(document for document in documents[stopped:] if isinstance(document, MillingStarted))


def test_a_polish_at_far_too_high_a_current_burns_the_lamella_and_is_refused(tmp_path: Path) -> None:
    method = yaml.safe_load((files("fibsem_runtime.workflow") / "presets" / "on-grid.yaml").read_text("utf-8"))
    (polish,) = [step for step in method["steps"] if step["step"] == "mill_polish"]
    for stage in polish["stages"]:
        stage["current_pa"] = 7000
    (tmp_path / "method.yaml").write_text(yaml.safe_dump(method), "utf-8")
    path = tmp_path / "experiment"
    burnt = run(path, *configuration(tmp_path / "config.yaml", method=str(tmp_path / "method.yaml")))

    (lamella,) = burnt.report["lamellae"]
    assert lamella["truth"]["thickness_nm"] is None
    assert lamella["thickness_nm"] is None
    assert lamella["status"] == "failed"
    assert polish_step(burnt)["status"] == "failed"
    with Experiment.open(path) as experiment:
        checks = [d for d in experiment.documents(kind="check_made") if isinstance(d, CheckMade)]
    assert not [check for check in checks if check.check == "C13" and check.passed]
    assert_parked(path)
