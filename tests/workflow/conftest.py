"""One finished run that several tests look at."""

from __future__ import annotations

import pytest
from runs import Finished, run


@pytest.fixture(scope="session")
def autonomous_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One lamella prepared with every disturbance on and nobody watching."""
    return run(tmp_path_factory.mktemp("autonomous") / "experiment")
