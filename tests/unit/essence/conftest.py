"""Every test here runs through both drivers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from essence_rigs import NAMES, Rig, rig

from fibsem_runtime.core import CancelToken


@pytest.fixture(params=NAMES, name="rig")
def the_rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as found:
        yield found


@pytest.fixture
def cancel() -> CancelToken:
    return CancelToken()
