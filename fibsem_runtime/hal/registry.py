"""Find drivers through entry points; nothing here imports a driver by name."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.hal.coverage import Coverage
from fibsem_runtime.hal.microscope import Microscope
from fibsem_runtime.hal.truth import Truth

GROUP = "fibsem_runtime.drivers"


class DriverPlugin(Protocol):
    """What a driver package exports under its entry point."""

    @property
    def settings_model(self) -> type[BaseModel]:
        """Return the model of the driver's section of ``config.yaml``."""

    @property
    def coverage(self) -> Coverage:
        """Say of every HAL function with what it is carried out and where that was verified, or why it is absent."""

    def open(self, settings: Any, *, seed: int, state_directory: Path | None) -> Microscope:
        """Connect with validated ``settings``; ``state_directory`` is where a simulator keeps its sample between runs.

        Drivers of real instruments ignore ``seed`` and ``state_directory``.
        """

    def truth(self, microscope: Microscope) -> Truth | None:
        """Return what a simulator knows, or None on an instrument."""

    def diagnose(self) -> list[str]:
        """Return what is missing on this computer to use the driver, one line each; empty when ready."""


def available_drivers() -> list[str]:
    """Return the names of the installed drivers."""
    return sorted(point.name for point in entry_points(group=GROUP))


def find_driver(name: str) -> DriverPlugin:
    """Load one driver's plug-in; raise `ConfigError` naming the installed ones when it is unknown."""
    for point in entry_points(group=GROUP, name=name):
        plugin: DriverPlugin = point.load()
        return plugin
    raise ConfigError(f"no driver named {name!r} is installed; available: {', '.join(available_drivers()) or 'none'}")
