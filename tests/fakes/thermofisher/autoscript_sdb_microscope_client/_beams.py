"""The columns (vendor-thermofisher.md section 7)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from autoscript_core.common import ApplicationServerException

from fibsem_runtime.core import ImagePoint

from ._instrument import ColumnState, Instrument
from ._values import Value, range_of
from .enumerations import ScanningMode
from .structures import Limits2d, Point, Rectangle

PRESETS = ["768x512", "1536x1024", "3072x2048", "6144x4096", "512x442", "1024x884", "2048x1768", "4096x3536"]
VOLTAGES_V = {
    "electron_beam": [1e3, 2e3, 3e3, 5e3, 10e3, 20e3, 30e3],
    "ion_beam": [500.0, 1e3, 2e3, 8e3, 16e3, 30e3],
}


SOURCE_S = 5.0


class Beam:
    """One column; settings are per beam, whatever view is active."""

    is_installed = True

    def __init__(self, instrument: Instrument, client: Any, name: str) -> None:
        self._instrument, self._client, self._name = instrument, client, name
        self.scanning = Scanning(instrument, client, name)
        if name == "ion_beam" and (instrument.options.is_plasma or instrument.options.plasma_gas_raises):
            self.source = PlasmaSource(instrument, client)

    @property
    def _raw(self) -> Any:
        return self._instrument.beam(self._name)

    @property
    def _state(self) -> ColumnState:
        return self._instrument.columns[self._name]

    def _value(self, name: str, **how: Any) -> Value:
        return Value(self._instrument, self._client, f"{self._name}.{name}", **how)

    @property
    def is_on(self) -> bool:
        with self._instrument.call(self._client, f"{self._name}.is_on"):
            return bool(self._raw.is_on())

    @property
    def is_blanked(self) -> bool:
        with self._instrument.call(self._client, f"{self._name}.is_blanked"):
            return bool(self._raw.is_blanked())

    def blank(self) -> None:
        with self._instrument.call(self._client, f"{self._name}.blank") as fault:
            if fault != "ignore":
                self._raw.set_blanked(blanked=True)

    def unblank(self) -> None:
        with self._instrument.call(self._client, f"{self._name}.unblank") as fault:
            if fault != "ignore":
                self._raw.set_blanked(blanked=False)

    @property
    def high_voltage(self) -> Value:
        voltages_v = VOLTAGES_V[self._name]
        return self._value(
            "high_voltage",
            get=lambda: self._state.voltage_v or self._raw.settings().voltage_v,
            put=self._put_voltage,
            limits=lambda: range_of(voltages_v[0], voltages_v[-1]),
            available=lambda: list(voltages_v),
        )

    def _put_voltage(self, asked_v: float) -> None:
        """Take a listed voltage; currents of the ion column belong to it."""
        voltage_v = min(VOLTAGES_V[self._name], key=lambda known_v: abs(known_v - asked_v))
        self._instrument.spend(5.0)
        if voltage_v == self._raw.settings().voltage_v:
            self._state.voltage_v = self._state.current_a = None
            return
        self._state.voltage_v = voltage_v
        self._state.current_a = self._currents_a()[0]

    def _currents_a(self) -> list[float]:
        """Return the currents at the present voltage: the simulator's at its own, smaller ones below."""
        listed_a = list(self._raw.available_currents_a)
        if self._state.voltage_v is None:
            return listed_a
        ratio = self._state.voltage_v / self._raw.settings().voltage_v
        return [current_a * ratio for current_a in listed_a]

    @property
    def beam_current(self) -> Value:
        how: dict[str, Any] = (
            {"available": self._currents_a}
            if self._name == "ion_beam"
            else {"limits": lambda: range_of(self._currents_a()[0], self._currents_a()[-1])}
        )
        return self._value(
            "beam_current",
            get=lambda: self._state.current_a or self._raw.settings().beam_current_a,
            put=self._put_current,
            **how,
        )

    def _put_current(self, asked_a: float) -> None:
        nearest_a = min(self._currents_a(), key=lambda known_a: abs(known_a - asked_a))
        is_listed = math.isclose(nearest_a, asked_a, rel_tol=1e-6)
        if not is_listed and self._name == "ion_beam" and not self._instrument.options.ion_current_snaps:
            raise ApplicationServerException(f"The beam current {asked_a} is not available.")
        if self._state.voltage_v is None:
            self._raw.set_current(nearest_a)
        else:
            self._state.current_a = nearest_a

    @property
    def horizontal_field_width(self) -> Value:
        limits = self._raw.machine.column(self._raw.beam_type).hfw_limits_m

        def put(asked_m: float) -> None:
            if asked_m >= limits.high:
                raise ApplicationServerException(f"The field width {asked_m} cannot be set.")
            self._raw.machine.set_hfw(self._raw.beam_type, asked_m)

        return self._value(
            "horizontal_field_width",
            get=lambda: self._raw.settings().hfw_m,
            put=put,
            limits=lambda: range_of(limits.low, limits.high),
        )

    @property
    def working_distance(self) -> Value:
        limits = self._raw.machine.column(self._raw.beam_type).working_distance_limits_m

        def put(asked_m: float) -> None:
            self._instrument.spend(2.0 if self._name == "electron_beam" else 0.0)
            self._raw.set_working_distance(asked_m)

        return self._value(
            "working_distance",
            get=lambda: self._raw.settings().working_distance_m,
            put=put,
            limits=lambda: range_of(limits.low, limits.high),
        )

    @property
    def beam_shift(self) -> Value:
        limit_m = self._raw.shift_limit_m
        return self._value(
            "beam_shift",
            get=lambda: Point(self._raw.settings().shift.x_m, self._raw.settings().shift.y_m),
            put=lambda asked: self._raw.set_shift(ImagePoint(asked.x, asked.y)),
            limits=lambda: Limits2d(range_of(-limit_m, limit_m), range_of(-limit_m, limit_m)),
        )

    @property
    def stigmator(self) -> Value:
        def put(asked: Point) -> None:
            state = self._raw.machine.beam_state(self._raw.beam_type)
            state.settings = replace(state.settings, stigmation_x=asked.x, stigmation_y=asked.y)

        return self._value(
            "stigmator",
            get=lambda: Point(self._raw.settings().stigmation_x, self._raw.settings().stigmation_y),
            put=put,
            limits=lambda: Limits2d(range_of(-1.0, 1.0), range_of(-1.0, 1.0)),
        )

    def turn_on(self) -> None:
        with self._instrument.call(self._client, f"{self._name}.turn_on") as fault:
            if self._instrument.chamber_now() != "Pumped":
                raise ApplicationServerException("The beam cannot be turned on in this vacuum state.")
            self._instrument.spend(SOURCE_S)
            if fault == "ignore":
                return
            self._raw.machine.beam_state(self._raw.beam_type).is_on = True

    def turn_off(self) -> None:
        with self._instrument.call(self._client, f"{self._name}.turn_off") as fault:
            if fault != "ignore":
                self._instrument.switch_off(self._name)


class Scanning:
    """Scan settings of one column."""

    def __init__(self, instrument: Instrument, client: Any, name: str) -> None:
        self._instrument, self._client, self._name = instrument, client, name
        self.mode = Mode(instrument, client, name)

    def _value(self, name: str, **how: Any) -> Value:
        return Value(self._instrument, self._client, f"{self._name}.scanning.{name}", **how)

    @property
    def rotation(self) -> Value:
        raw = self._instrument.beam(self._name)
        return self._value(
            "rotation",
            get=lambda: raw.settings().scan_rotation_rad,
            put=raw.set_scan_rotation,
            limits=lambda: range_of(-math.tau, math.tau),
        )

    @property
    def dwell_time(self) -> Value:
        state = self._instrument.columns[self._name]
        return self._value(
            "dwell_time",
            get=lambda: state.dwell_time_s,
            put=lambda asked: setattr(state, "dwell_time_s", asked),
            limits=lambda: range_of(25e-9, 1e-2),
        )

    @property
    def bit_depth(self) -> Value:
        state = self._instrument.columns[self._name]
        return self._value(
            "bit_depth",
            get=lambda: state.bit_depth,
            put=lambda asked: setattr(state, "bit_depth", asked),
            available=lambda: [8, 16],
        )

    @property
    def resolution(self) -> Value:
        state = self._instrument.columns[self._name]
        return self._value(
            "resolution",
            get=lambda: state.resolution,
            put=lambda asked: setattr(state, "resolution", asked),
            available=lambda: list(PRESETS),
        )


class Mode:
    """Which part of the field is scanned; it stays until it is changed (vendor-fakes.md T8)."""

    def __init__(self, instrument: Instrument, client: Any, name: str) -> None:
        self._instrument, self._client, self._name = instrument, client, name

    @property
    def _state(self) -> ColumnState:
        return self._instrument.columns[self._name]

    @property
    def value(self) -> int | str:
        with self._instrument.call(self._client, f"{self._name}.scanning.mode"):
            if self._state.spot is not None:
                name = "SPOT"
            else:
                name = "FULL_FRAME" if self._state.scan_area is None else "REDUCED_AREA"
            if self._instrument.options.scanning_mode_texts:
                return "".join(word.capitalize() for word in name.split("_"))
            found: int = getattr(ScanningMode, name)
            return found

    def set_full_frame(self) -> None:
        with self._instrument.call(self._client, f"{self._name}.scanning.mode.set_full_frame") as fault:
            if fault != "ignore":
                self._state.scan_area = self._state.spot = None

    def set_spot(self, x: float, y: float) -> None:
        """Stand on a point, from the top left: shares of the frame, or pixels (Q4 of vendor-fakes.md)."""
        with self._instrument.call(self._client, f"{self._name}.scanning.mode.set_spot", x, y) as fault:
            width, height = (int(size) for size in self._state.resolution.split("x"))
            largest = (1.0, 1.0) if self._instrument.options.spot_coordinates == "fraction" else (width, height)
            if not (0 <= x <= largest[0] and 0 <= y <= largest[1]):
                raise ApplicationServerException(f"The spot ({x}, {y}) is outside of the frame.")
            if fault != "ignore":
                self._state.spot = (x / largest[0], y / largest[1])

    def set_reduced_area(self, left: float, top: float, width: float, height: float) -> None:
        with self._instrument.call(self._client, f"{self._name}.scanning.mode.set_reduced_area"):
            refuse_bad_area(Rectangle(left, top, width, height))
            self._state.spot, self._state.scan_area = None, Rectangle(left, top, width, height)


def refuse_bad_area(area: Any) -> None:
    """Raise for a reduced area that leaves the frame (al#3)."""
    inside = (
        min(area.left, area.top) >= 0
        and min(area.width, area.height) > 0
        and max(area.left + area.width, area.top + area.height) <= 1 + 1e-9
    )
    if not inside:
        raise ApplicationServerException("The reduced area is invalid.")


GASES = ["Xenon", "Argon", "Oxygen", "Nitrogen"]
GAS_CHANGE_S = 300.0


class PlasmaSource:
    """Gas of a plasma column; a gallium column has no such attribute, or raises (vendor-fakes.md T13)."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        def get() -> str:
            if not instrument.options.is_plasma:
                raise ApplicationServerException("The ion source has no gas.")
            return instrument.plasma_gas

        def put(asked: str) -> None:
            if asked not in GASES:
                raise ApplicationServerException(f"The gas {asked} is not available.")
            instrument.spend(GAS_CHANGE_S)
            instrument.plasma_gas = asked

        self.plasma_gas = Value(
            instrument, client, "ion_beam.source.plasma_gas", get=get, put=put, available=lambda: list(GASES)
        )


class Beams:
    """``client.beams``."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self.electron_beam = Beam(instrument, client, "electron_beam")
        self.ion_beam = Beam(instrument, client, "ion_beam")
        self.ion_beam.is_installed = instrument.options.has_ion_column
