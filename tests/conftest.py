"""What every test shares: property tests that give the same result each time, and the options of the contract suite."""

from __future__ import annotations

import pytest
from hypothesis import settings
from instruments import add_options

settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=50, database=None)
settings.load_profile("deterministic")


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)
