"""Gas, vacuum and identity."""

from __future__ import annotations

from typing import Any

from autoscript_core.common import ApplicationServerException

from ._instrument import Instrument


class GasPort:
    """One gas needle; the server does not say whether it is inserted."""

    def __init__(self, instrument: Instrument, client: Any, name: str) -> None:
        self._instrument, self._client, self._name = instrument, client, name

    def insert(self) -> None:
        with self._instrument.call(self._client, "gas_port.insert", self._name):
            self._instrument.inserted_needles.add(self._name)

    def retract(self) -> None:
        with self._instrument.call(self._client, "gas_port.retract", self._name):
            if self._name in self._instrument.open_valves:
                raise ApplicationServerException("The gas valve is open.")
            self._instrument.inserted_needles.discard(self._name)

    def open(self) -> None:
        with self._instrument.call(self._client, "gas_port.open", self._name):
            self._instrument.open_valves.add(self._name)

    def close(self) -> None:
        with self._instrument.call(self._client, "gas_port.close", self._name):
            self._instrument.open_valves.discard(self._name)


class Gas:
    """``client.gas``."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client

    def list_all_gis_ports(self) -> list[str]:
        with self._instrument.call(self._client, "gas.list_all_gis_ports"):
            return list(self._instrument.options.gas_ports)

    def get_gis_port(self, name: str) -> GasPort:
        with self._instrument.call(self._client, "gas.get_gis_port", name):
            if name not in self._instrument.options.gas_ports:
                raise ApplicationServerException("GIS line is not controllable")
            return GasPort(self._instrument, self._client, name)


class Vacuum:
    """``client.vacuum``: pumping and venting take minutes (vendor-fakes.md T21)."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client

    @property
    def chamber_state(self) -> str:
        with self._instrument.call(self._client, "vacuum.chamber_state"):
            return self._instrument.chamber_state

    def pump(self, settings: Any = None) -> None:
        with self._instrument.call(self._client, "vacuum.pump", settings):
            self._instrument.spend(240.0)
            self._instrument.chamber_state = "Pumped"

    def vent(self) -> None:
        with self._instrument.call(self._client, "vacuum.vent"):
            self._instrument.spend(180.0)
            self._instrument.chamber_state = "Vented"


class _Text:
    """Texts that are calls to read."""

    def __init__(self, instrument: Instrument, client: Any, prefix: str, **texts: str) -> None:
        self._server, self._prefix, self._texts = (instrument, client), prefix, texts

    def __getattr__(self, name: str) -> str:
        if name not in self._texts:
            raise AttributeError(name)
        instrument, client = self._server
        with instrument.call(client, f"{self._prefix}.{name}"):
            return self._texts[name]


class _AutoScript:
    def __init__(self, instrument: Instrument, client: Any) -> None:
        version = instrument.options.version
        self.client = _Text(instrument, client, "service.autoscript.client", version=version)
        self.server = _Text(instrument, client, "service.autoscript.server", version=version)


class Service:
    """``client.service``."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        options = instrument.options
        self.system = _Text(
            instrument,
            client,
            "service.system",
            name=options.system_name,
            serial_number=options.serial_number,
            version="32.1.1.21605",
        )
        self.autoscript = _AutoScript(instrument, client)
