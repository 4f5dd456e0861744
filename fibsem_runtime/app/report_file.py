"""The command ``report``: write the HTML report of an experiment that exists."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from fibsem_runtime.app.report import write_report
from fibsem_runtime.app.result import RESULT_FILE, RunResult
from fibsem_runtime.app.run import REPORT_FILE
from fibsem_runtime.experiment import Experiment


def write_experiment_report(directory: Path, output: Path | None) -> Path:
    """Write the report, with the simulator's truth when the run has left it, and return its path."""
    with Experiment.open(directory) as experiment:
        return write_report(experiment, output or directory / REPORT_FILE, result=read_result(directory))


def read_result(directory: Path) -> RunResult | None:
    """Return what the last run of an experiment wrote; None when it was cut off before that."""
    try:
        return RunResult.model_validate_json((directory / RESULT_FILE).read_text("utf-8"))
    except (OSError, ValidationError):
        return None
