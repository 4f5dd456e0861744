"""The active view and its device, which the whole connection shares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from drivers.thermofisher.connection import Client
from fibsem_runtime.core import BeamType
from fibsem_runtime.core.errors import BeamError, HardwareError


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

    def beam(self, client: Client) -> Any:
        """Return the vendor's beam."""
        return getattr(client.beams, self.attribute)

    def require_beam(self, client: Client) -> None:
        """Raise `BeamError` unless the beam is on the sample."""
        beam = self.beam(client)
        if not beam.is_on or beam.is_blanked:
            found, remedy = ("blanked", "unblank it first") if beam.is_on else ("off", "switch it on first")
            raise BeamError(f"the {self.name} beam is {found}; {remedy}")


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
    require_active(client, column.name, column.view, column.device)


def require_active(client: Client, name: str, view: int, device: int) -> None:
    """Raise `HardwareError` when another view or device is active."""
    imaging = client.imaging
    found = (imaging.get_active_view(), imaging.get_active_device())
    if found != (view, device):
        raise HardwareError(
            f"the {name} view ({view}, device {device}) was selected, active is view {found[0]}, device {found[1]}; "
            "close other programs that use AutoScript"
        )


@contextmanager
def borrowed(client: Client, view: int, device: int) -> Iterator[None]:
    """Show another device for as long as the block runs; what was active comes back on every exit (FOS:2517-2535)."""
    imaging = client.imaging
    view_before = imaging.get_active_view()
    imaging.set_active_view(view)
    device_before = imaging.get_active_device()
    try:
        imaging.set_active_device(device)
        yield
    finally:
        try:
            imaging.set_active_view(view)
            imaging.set_active_device(device_before)
        finally:
            imaging.set_active_view(view_before)
