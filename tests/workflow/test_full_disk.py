"""A disk that fills while a run writes stops the run with one line, and everything written before it is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from runs import command

from fibsem_runtime.core.errors import StorageError
from fibsem_runtime.events import ImageAcquired, RunStopped
from fibsem_runtime.experiment import Experiment

if sys.platform == "win32":
    pytest.skip("file-size limits are the operating system's on POSIX only", allow_module_level=True)

import resource

LIMIT_BYTES = 1_000_000
"""Below the size of one 1536 x 1024 frame, above everything else that a run writes at its start."""


def test_a_frame_that_does_not_fit_on_the_disk_stops_the_run_with_one_line(tmp_path: Path) -> None:
    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))

    experiment = tmp_path / "experiment"
    done = subprocess.run(command(experiment), capture_output=True, text=True, check=False, preexec_fn=limit_files)

    assert done.returncode == StorageError.exit_code
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert "300" in line
    assert "overview" in line
    assert not list((experiment / "images").iterdir())
    with Experiment.open(experiment) as reader:
        kinds = [document.kind for document in reader.documents()]
        stopped = reader.documents(kind="run_stopped")[-1]
        assert not any(isinstance(document, ImageAcquired) for document in reader.documents())
    assert isinstance(stopped, RunStopped)
    assert stopped.status == "failed"
    assert kinds[0] == "run_started"
