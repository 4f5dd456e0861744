"""A fake instrument and the same behind guards."""

from __future__ import annotations

import pytest
from fakes import FakeInstrument

from fibsem_runtime.core import CancelToken
from fibsem_runtime.hal import GuardSettings, Microscope, guard


@pytest.fixture
def fake() -> FakeInstrument:
    return FakeInstrument()


@pytest.fixture
def guarded(fake: FakeInstrument) -> Microscope:
    return guard(fake.microscope(), GuardSettings())


@pytest.fixture
def cancel() -> CancelToken:
    return CancelToken()
