"""A new experiment that is open for writing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fibsem_runtime.experiment import Experiment


@pytest.fixture
def experiment(tmp_path: Path) -> Iterator[Experiment]:
    with Experiment.create(tmp_path / "experiment", files={"config.yaml": "seed: 7\n"}) as created:
        yield created
