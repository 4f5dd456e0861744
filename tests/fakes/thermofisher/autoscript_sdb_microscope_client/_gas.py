"""Gas ports, multichem and sputter coater (vendor-thermofisher.md section 12, vendor-fakes.md T20)."""

from __future__ import annotations

from typing import Any

from autoscript_core.common import ApplicationServerException

from ._instrument import Instrument
from ._values import Value, range_of

COLD_K, HOT_K = 293.0, 318.0
WARM_UP_S = 12.0
NOT_CONTROLLABLE = "GIS line is not controllable"


class Heaters:
    """Temperatures rise over seconds."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    def turn_on(self, name: str) -> None:
        self._instrument.heated_since_s.setdefault(name, self._instrument.clock.monotonic_s())

    def turn_off(self, name: str) -> None:
        self._instrument.heated_since_s.pop(name, None)

    def temperature_k(self, name: str) -> float:
        since_s = self._instrument.heated_since_s.get(name)
        if since_s is None or not self._instrument.options.gas_warms:
            return COLD_K
        share = min(1.0, (self._instrument.clock.monotonic_s() - since_s) / WARM_UP_S)
        return COLD_K + share * (HOT_K - COLD_K)


class GasPort:
    """One gas needle; the server does not say whether it is inserted."""

    def __init__(self, instrument: Instrument, client: Any, name: str) -> None:
        self._instrument, self._client, self._name = instrument, client, name
        self._heaters = Heaters(instrument)

    def _call(self, name: str) -> Any:
        return self._instrument.call(self._client, f"gas_port.{name}", self._name)

    def insert(self) -> None:
        with self._call("insert"):
            self._instrument.spend(5.0)
            self._instrument.inserted_needles.add(self._name)

    def retract(self) -> None:
        with self._call("retract"):
            if self._name in self._instrument.open_valves:
                raise ApplicationServerException("The gas valve is open.")
            self._instrument.inserted_needles.discard(self._name)

    def open(self) -> None:
        with self._call("open"):
            self._instrument.open_valves.add(self._name)

    def close(self) -> None:
        with self._call("close"):
            self._instrument.open_valves.discard(self._name)

    def turn_heater_on(self) -> None:
        with self._call("turn_heater_on"):
            self._heaters.turn_on(self._name)

    def turn_heater_off(self) -> None:
        with self._call("turn_heater_off"):
            self._heaters.turn_off(self._name)

    def get_temperature(self) -> float:
        with self._call("get_temperature"):
            return self._heaters.temperature_k(self._name)


class Multichem:
    """One needle for several gases, without a valve of its own."""

    NEEDLE = "multichem"

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client
        self._heaters = Heaters(instrument)

    def _call(self, name: str, *arguments: Any) -> Any:
        return self._instrument.call(self._client, f"multichem.{name}", *arguments)

    def list_all_gases(self) -> list[str]:
        with self._call("list_all_gases"):
            return list(self._instrument.options.multichem_gases)

    def insert(self, position: str) -> None:
        with self._call("insert", position):
            if position not in ("Electron Default", "Ion Default"):
                raise ApplicationServerException(f"The multichem position {position} does not exist.")
            self._instrument.spend(5.0)
            self._instrument.inserted_needles.add(self.NEEDLE)

    def retract(self) -> None:
        with self._call("retract"):
            self._instrument.inserted_needles.discard(self.NEEDLE)

    def turn_heater_on(self, gas: str) -> None:
        with self._call("turn_heater_on", gas):
            self._heaters.turn_on(self._known(gas))

    def turn_heater_off(self, gas: str) -> None:
        with self._call("turn_heater_off", gas):
            self._heaters.turn_off(self._known(gas))

    def get_temperature(self, gas: str) -> float:
        with self._call("get_temperature", gas):
            return self._heaters.temperature_k(self._known(gas))

    def _known(self, gas: str) -> str:
        if gas not in self._instrument.options.multichem_gases:
            raise ApplicationServerException(f"The multichem has no gas {gas}.")
        return gas


class Gas:
    """``client.gas``; the offline server lists ports that it does not control (fibsem#87)."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client

    def list_all_gis_ports(self) -> list[str]:
        with self._instrument.call(self._client, "gas.list_all_gis_ports"):
            return list(self._instrument.options.gas_ports)

    def get_gis_port(self, name: str) -> GasPort:
        with self._instrument.call(self._client, "gas.get_gis_port", name):
            options = self._instrument.options
            if name not in options.gas_ports or not options.gas_is_controllable:
                raise ApplicationServerException(NOT_CONTROLLABLE)
            return GasPort(self._instrument, self._client, name)

    def list_all_multichem_ports(self) -> list[str]:
        with self._instrument.call(self._client, "gas.list_all_multichem_ports"):
            return ["MultiChem"] if self._instrument.options.multichem_gases else []

    def get_multichem(self) -> Multichem:
        with self._instrument.call(self._client, "gas.get_multichem"):
            if not self._instrument.options.multichem_gases:
                raise ApplicationServerException(NOT_CONTROLLABLE)
            return Multichem(self._instrument, self._client)


class SputterCoater:
    """Runs only between ``prepare`` and ``recover``; fitted to some instruments."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client

    @property
    def current(self) -> Value:
        def put(asked: float) -> None:
            self._instrument.coater_current_a = asked

        return Value(
            self._instrument,
            self._client,
            "sputter_coater.current",
            get=lambda: self._instrument.coater_current_a,
            put=put,
            limits=lambda: range_of(1e-3, 50e-3),
        )

    def prepare(self) -> None:
        with self._instrument.call(self._client, "sputter_coater.prepare"):
            self._instrument.spend(60.0)
            self._instrument.is_coater_ready = True

    def run(self, duration_s: float) -> None:
        with self._instrument.call(self._client, "sputter_coater.run", duration_s):
            if not self._instrument.is_coater_ready:
                raise ApplicationServerException("The sputter coater is not prepared.")
            self._instrument.spend(duration_s)
            self._instrument.coated_as += duration_s * self._instrument.coater_current_a

    def recover(self) -> None:
        with self._instrument.call(self._client, "sputter_coater.recover"):
            self._instrument.spend(90.0)
            self._instrument.is_coater_ready = False
            self._instrument.set_chamber("Pumped")
