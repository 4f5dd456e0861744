"""Let the contract suite of fibsem-runtime run on this driver."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

pytest_plugins = ["fibsem_runtime.contract.plugin"]


def pytest_fibsem_rehearsals() -> dict[str, Callable[[], AbstractContextManager[dict[str, Any]]]]:
    """Offer the driver without hardware: the context gives its settings, and may start a fake server before."""
    return {"acme": lambda: nullcontext({"host": "memory"})}
