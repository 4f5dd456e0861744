"""One invented night, made once, and its report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fake_experiment import make_experiment

from fibsem_runtime.app.report import render_report
from fibsem_runtime.app.result import RunResult
from fibsem_runtime.experiment import Experiment


@pytest.fixture(scope="session")
def finished_night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResult]:
    directory = tmp_path_factory.mktemp("night") / "2026-11-24"
    return directory, make_experiment(directory)


@pytest.fixture(scope="session")
def page(finished_night: tuple[Path, RunResult]) -> str:
    directory, result = finished_night
    with Experiment.open(directory) as experiment:
        return render_report(experiment, result=result)


@pytest.fixture
def night(finished_night: tuple[Path, RunResult], tmp_path: Path) -> tuple[Path, RunResult]:
    """Return a copy of the night that a test may change."""
    directory, result = finished_night
    return Path(shutil.copytree(directory, tmp_path / "night")), result
