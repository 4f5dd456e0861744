"""Vacuum and identity."""

from __future__ import annotations

from typing import Any

from ._instrument import Instrument
from ._values import Value

PUMP_S, VENT_S = 240.0, 180.0
PRESSURES_PA = {"Pumped": 2.4e-4, "Pumping": 3.0, "Venting": 2e3, "Vented": 1.013e5}
"""A pumped chamber reads 2.4e-4 Pa on a real instrument (vendor-thermofisher.md section 14)."""


class Vacuum:
    """``client.vacuum``: pumping and venting take minutes (vendor-fakes.md T21)."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client

    @property
    def chamber_state(self) -> str:
        with self._instrument.call(self._client, "vacuum.chamber_state"):
            return self._instrument.chamber_now()

    @property
    def chamber_pressure(self) -> Value:
        return Value(
            self._instrument,
            self._client,
            "vacuum.chamber_pressure",
            get=lambda: PRESSURES_PA.get(self._instrument.chamber_now(), self._instrument.raised_pressure_pa),
        )

    def pump(self, settings: Any = None) -> None:
        with self._instrument.call(self._client, "vacuum.pump", settings) as fault:
            if fault == "ignore":
                return
            if settings is not None and settings.pressure is not None:
                self._instrument.raised_pressure_pa = settings.pressure
                self._change("PumpedForWaferExchange", PUMP_S / 4)
            else:
                self._change("Pumped", PUMP_S)

    def vent(self) -> None:
        with self._instrument.call(self._client, "vacuum.vent") as fault:
            if fault == "ignore":
                return
            for name in ("electron_beam", "ion_beam"):
                self._instrument.switch_off(name)
            self._change("Vented", VENT_S)

    def _change(self, state: str, duration_s: float) -> None:
        """Block until it is so, or return at once where the server does."""
        self._instrument.begin_chamber({"Pumped": "Pumping"}.get(state, "Venting"), state, duration_s)
        if not self._instrument.options.vacuum_returns_early:
            self._instrument.spend(duration_s)


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
