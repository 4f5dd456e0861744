"""The active view and its device, which the whole connection shares."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.thermofisher.connection import Client
from fibsem_runtime.core import BeamType
from fibsem_runtime.core.errors import HardwareError


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Where AutoScript keeps one column: its view (a quadrant of the screen), imaging device and name of the beam."""

    beam_type: BeamType
    view: int
    device: int
    attribute: str

    @property
    def name(self) -> str:
        """Return how messages call the beam."""
        return self.beam_type.value.lower()


def select(client: Client, column: Column) -> None:
    """Make a column's view and device the active ones, and verify it; only ever inside one job of the connection.

    What is active already is not set again, because setting it flips the view on the operator's screen.
    """
    imaging = client.imaging
    if imaging.get_active_view() != column.view:
        imaging.set_active_view(column.view)
    if imaging.get_active_device() != column.device:
        imaging.set_active_device(column.device)
    verify(client, column)


def verify(client: Client, column: Column) -> None:
    """Raise `HardwareError` when the active view is not the column's (another client may have changed it)."""
    imaging = client.imaging
    view, device = imaging.get_active_view(), imaging.get_active_device()
    if (view, device) != (column.view, column.device):
        raise HardwareError(
            f"the {column.name} view ({column.view}, device {column.device}) was selected, active is view {view}, "
            f"device {device}; close other programs that use AutoScript"
        )
