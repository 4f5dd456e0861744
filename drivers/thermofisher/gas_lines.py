"""Gas lines of the vendor: ports, each with a needle and a valve, and the gases of one multichem (section 12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from drivers.thermofisher.connection import Client

_MULTICHEM: Final = "multichem"


class Line(Protocol):
    """One gas of the vendor; every method is part of a job of the connection."""

    @property
    def needle(self) -> str:
        """Name the needle that the gas comes through."""

    def heat(self, client: Client) -> None:
        """Switch the heater on."""

    def cool(self, client: Client) -> None:
        """Switch the heater off."""

    def temperature_k(self, client: Client) -> float:
        """Read how warm it is."""

    def insert(self, client: Client) -> None:
        """Bring its needle to the sample."""

    def retract(self, client: Client) -> None:
        """Park its needle."""


@dataclass(frozen=True, slots=True)
class PortLine:
    """Port of the gas injection system."""

    needle: str

    def port(self, client: Client) -> Any:
        """Return the vendor's port."""
        return client.gas.get_gis_port(self.needle)

    def heat(self, client: Client) -> None:
        """Switch the heater on."""
        self.port(client).turn_heater_on()

    def cool(self, client: Client) -> None:
        """Switch the heater off."""
        self.port(client).turn_heater_off()

    def temperature_k(self, client: Client) -> float:
        """Read how warm it is."""
        return float(self.port(client).get_temperature())

    def insert(self, client: Client) -> None:
        """Bring its needle to the sample."""
        self.port(client).insert()

    def retract(self, client: Client) -> None:
        """Park its needle."""
        self.port(client).retract()


@dataclass(frozen=True, slots=True)
class MultichemLine:
    """Gas of the multichem, whose only needle it shares; it has no valve to open (fibsem#119)."""

    gas: str
    position: Any

    @property
    def needle(self) -> str:
        """Name the needle that the gas comes through."""
        return _MULTICHEM

    def heat(self, client: Client) -> None:
        """Switch the heater on."""
        client.gas.get_multichem().turn_heater_on(self.gas)

    def cool(self, client: Client) -> None:
        """Switch the heater off."""
        client.gas.get_multichem().turn_heater_off(self.gas)

    def temperature_k(self, client: Client) -> float:
        """Read how warm it is."""
        return float(client.gas.get_multichem().get_temperature(self.gas))

    def insert(self, client: Client) -> None:
        """Bring its needle to the sample."""
        client.gas.get_multichem().insert(self.position)

    def retract(self, client: Client) -> None:
        """Park its needle."""
        client.gas.get_multichem().retract()
