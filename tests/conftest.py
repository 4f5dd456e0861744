"""What every test shares: property tests with the same result each time, and who takes part in the contract suite."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

from hypothesis import settings

pytest_plugins = ["fibsem_runtime.contract.plugin"]

settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=50, database=None)
settings.load_profile("deterministic")

FAKES = {"thermofisher": "thermofisher_fake", "tescan": "tescan_bench", "sharksem": "sharksem_bench"}
"""The module with the fake of each vendor, loaded only when its driver takes part."""


def pytest_fibsem_rehearsals() -> dict[str, Callable[[], AbstractContextManager[dict[str, Any]]]]:
    """Offer every driver of this repository; a new one adds one line."""
    return {
        "simulator": lambda: nullcontext({}),
        **{name: lambda module=module: import_module(module).rehearse() for name, module in FAKES.items()},
    }
