"""The pytest plug-in of the contract suite: its options, and the hook by which a test suite offers rehearsals.

Name it in the ``conftest.py`` beside your tests: ``pytest_plugins = ["fibsem_runtime.contract.plugin"]``.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from fibsem_runtime.contract.participants import Rehearsal, add_options


class ContractHooks:
    """Hooks that a ``conftest.py`` may implement."""

    def pytest_fibsem_rehearsals(self) -> Mapping[str, Rehearsal]:  # type: ignore[empty-body]
        """Return the drivers that need no hardware by name, and how each is made ready."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make the hook known."""
    pluginmanager.add_hookspecs(ContractHooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--driver`` and ``--host``."""
    add_options(parser)
