"""The chamber: its vacuum and its camera."""

from __future__ import annotations

from typing import Protocol

from fibsem_runtime.core import CancelToken, Image


class Vacuum(Protocol):
    """Chamber state."""

    def is_pumped(self) -> bool:
        """Read whether the chamber is at working pressure."""

    def pressure_pa(self) -> float:
        """Read the chamber pressure."""


class Pump(Protocol):
    """Pumping and venting by command; both take minutes."""

    def pump(self, *, cancel: CancelToken) -> None:
        """Pump and wait until the chamber is at working pressure; raise `VacuumError` when it does not get there."""

    def vent(self, *, cancel: CancelToken) -> None:
        """Vent and wait until the chamber can be opened; raise `VacuumError` when it does not get there."""


class ChamberCamera(Protocol):
    """Camera that looks into the chamber."""

    def acquire(self, *, cancel: CancelToken) -> Image:
        """Take one picture; gray, without a pixel size."""
