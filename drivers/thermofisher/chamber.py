"""The chamber: its vacuum, pumping and venting, and its camera (vendor-thermofisher.md sections 6 and 14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.thermofisher import convert
from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.settings import ThermoFisherSettings
from drivers.thermofisher.views import borrowed, require_active
from fibsem_runtime.core import CancelToken, Image, ImageMetadata, InstrumentInfo
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.core.errors import VacuumError

_POLL_S: Final = 5.0
"""How often the chamber state is looked at (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherVacuum:
    """Chamber state and pressure."""

    connection: Connection

    def is_pumped(self) -> bool:
        """Read whether the chamber is at working pressure."""
        return self.state() == "Pumped"

    def pressure_pa(self) -> float:
        """Read the chamber pressure."""
        return self.connection.call(
            "read the chamber pressure", lambda c: float(c.vacuum.chamber_pressure.value), family=VacuumError
        )

    def state(self) -> str:
        """Read the vendor's name of the chamber state."""
        return self.connection.call("read the chamber state", lambda c: str(c.vacuum.chamber_state), family=VacuumError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherPump:
    """Pumping and venting; the server answers after minutes, and the state says whether it got there."""

    connection: Connection
    config: ThermoFisherSettings
    vacuum: ThermoFisherVacuum
    clock: Clock

    def pump(self, *, cancel: CancelToken) -> None:
        """Pump until the chamber is at working pressure; what has begun is not cancelled."""
        self._drive("pump", "Pumped", cancel)

    def vent(self, *, cancel: CancelToken) -> None:
        """Vent until the chamber can be opened; what has begun is not cancelled."""
        self._drive("vent", "Vented", cancel)

    def _drive(self, action: str, wanted: str, cancel: CancelToken) -> None:
        cancel.raise_if_cancelled()
        limit_s = self.config.time_limits.vacuum_s
        what = f"{action} the chamber"
        self.connection.call(what, lambda client: getattr(client.vacuum, action)(), family=VacuumError, limit_s=limit_s)
        due_s = self.clock.monotonic_s() + limit_s
        while (found := self.vacuum.state()) != wanted:
            if self.clock.monotonic_s() >= due_s or found.lower() == "error":
                raise VacuumError(f"asked to {what}, it is {found} instead of {wanted}; look at the vacuum system")
            self.clock.sleep(_POLL_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherCamera:
    """Camera in a view of its own; the view that was active comes back."""

    connection: Connection
    view: int
    clock: Clock
    info: InstrumentInfo

    def acquire(self, *, cancel: CancelToken) -> Image:
        """Take one picture; colour becomes gray."""
        cancel.raise_if_cancelled()

        def grab(client: Client) -> Image:
            device = self.connection.sdk.enumerations.ImagingDevice.CCD_CAMERA
            with borrowed(client, self.view, device):
                taken_at = self.clock.now()
                adorned = client.imaging.grab_frame()
                require_active(client, "chamber camera", self.view, device)
            return Image(convert.gray(adorned), ImageMetadata(acquired_at=taken_at, instrument=self.info))

        return self.connection.call("take a picture of the chamber", grab)
