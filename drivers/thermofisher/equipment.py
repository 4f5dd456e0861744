"""What a column has beyond its beam: source, detectors, automatic focus, stigmator and plasma gas.

Facts: vendor-thermofisher.md sections 7 to 9. Detector and automatic functions are those of the active view, so that
every use of them is one job that selects the column's view first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from drivers.thermofisher import convert
from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.settings import ThermoFisherSettings
from drivers.thermofisher.views import Column, select
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.core.errors import BeamError, HardwareError, RefusedSettingError
from fibsem_runtime.core.units import format_duration

T = TypeVar("T")

_SOURCE_POLL_S: Final = 1.0
_STIGMATION_TOLERANCE_RATIO: Final = 1e-3
"""How often the source is looked at, and how near stigmation must read back, as a share of its range (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDevice:
    """One column as its equipment needs it."""

    connection: Connection
    config: ThermoFisherSettings
    column: Column
    clock: Clock

    def on_beam(
        self,
        what: str,
        job: Callable[[Any], T],
        *,
        family: type[HardwareError] = HardwareError,
        limit_s: float | None = None,
    ) -> T:
        """Do a job with the vendor's beam, whatever view is active."""
        return self.connection.call(what, lambda client: job(self.column.beam(client)), family=family, limit_s=limit_s)

    def on_view(
        self,
        what: str,
        job: Callable[[Client], T],
        *,
        family: type[HardwareError] = HardwareError,
        limit_s: float | None = None,
    ) -> T:
        """Do a job with the column's view active."""

        def whole(client: Client) -> T:
            select(client, self.column)
            return job(client)

        return self.connection.call(what, whole, family=family, limit_s=limit_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherSource(ColumnDevice):
    """Switch of the beam."""

    def turn_on(self, *, cancel: CancelToken) -> None:
        """Switch on and wait until the beam reads on; raise `BeamError` when it does not."""
        cancel.raise_if_cancelled()
        limit_s = self.config.time_limits.source_s
        self.on_beam(
            f"switch the {self.column.name} beam on", lambda beam: beam.turn_on(), family=BeamError, limit_s=limit_s
        )
        due_s = self.clock.monotonic_s() + limit_s
        while not self._is_on():
            cancel.raise_if_cancelled()
            if self.clock.monotonic_s() >= due_s:
                raise BeamError(
                    f"the {self.column.name} beam was switched on and reads off after {format_duration(limit_s)}; look "
                    "at its column"
                )
            self.clock.sleep(_SOURCE_POLL_S)

    def turn_off(self) -> None:
        """Switch off and confirm it; safe to call twice."""
        if self._is_on():
            self.on_beam(f"switch the {self.column.name} beam off", lambda beam: beam.turn_off(), family=BeamError)
        if self._is_on():
            raise BeamError(f"the {self.column.name} beam was switched off and reads on; look at its column")

    def _is_on(self) -> bool:
        return self.on_beam(f"read whether the {self.column.name} beam is on", lambda beam: bool(beam.is_on))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherAutoFocus(ColumnDevice):
    """The server's own focusing."""

    def focus(self, *, cancel: CancelToken) -> float:
        """Focus on the full frame and return the working distance read back, m.

        When the server does not find a focus the working distance from before is restored and `HardwareError` raised.
        """
        cancel.raise_if_cancelled()

        def adjust(client: Client) -> float:
            self.column.require_beam(client)
            beam = self.column.beam(client)
            beam.scanning.mode.set_full_frame()
            distance = beam.working_distance
            before_m, is_focused = distance.value, False
            try:
                client.auto_functions.run_auto_focus()
                is_focused = True
            finally:
                if not is_focused:
                    distance.value = before_m
            return float(distance.value)

        what = f"focus the {self.column.name} beam"
        return self.on_view(what, adjust, limit_s=self.config.time_limits.automatic_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherStigmator(ColumnDevice):
    """Both components at once."""

    def set_stigmation(self, stigmation_x: float, stigmation_y: float) -> tuple[float, float]:
        """Set both components and return them read back."""
        name = self.column.name
        wanted = self.connection.sdk.structures.Point(stigmation_x, stigmation_y)

        def order(beam: Any) -> tuple[tuple[float, float], float]:
            limits = beam.stigmator.limits
            span = convert.axis_limits(limits.limits_x).high - convert.axis_limits(limits.limits_x).low
            beam.stigmator.value = wanted
            found = beam.stigmator.value
            return (float(found.x), float(found.y)), span

        found, span = self.on_beam(
            f"set the {name} stigmator to {stigmation_x:g}, {stigmation_y:g}", order, family=RefusedSettingError
        )
        if not max(abs(found[0] - stigmation_x), abs(found[1] - stigmation_y)) <= _STIGMATION_TOLERANCE_RATIO * span:
            raise RefusedSettingError(
                f"asked for an {name} stigmation of {stigmation_x:g}, {stigmation_y:g}, the instrument reads back "
                f"{found[0]:g}, {found[1]:g}"
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherPlasmaSource(ColumnDevice):
    """Gas of a plasma column; a gallium column has none."""

    def available_gases(self) -> Sequence[str]:
        """Return the names of the gases."""
        return self.on_beam(
            "list the plasma gases", lambda beam: tuple(map(str, beam.source.plasma_gas.available_values))
        )

    def gas(self) -> str:
        """Read the gas in use."""
        return self.on_beam("read the plasma gas", lambda beam: str(beam.source.plasma_gas.value))

    def switch_gas(self, name: str, *, cancel: CancelToken) -> str:
        """Change the gas, which takes minutes and is not cancelled once begun, and return the one read back."""
        cancel.raise_if_cancelled()
        if name != self.gas():
            self.on_beam(
                f"change the plasma gas to {name}",
                lambda beam: setattr(beam.source.plasma_gas, "value", name),
                family=RefusedSettingError,
                limit_s=self.config.time_limits.plasma_gas_s,
            )
        found = self.gas()
        if found != name:
            raise RefusedSettingError(f"asked for the plasma gas {name}, the instrument reads back {found}")
        return found


def has_plasma_source(connection: Connection, column: Column) -> bool:
    """Tell whether the column's gas can be changed: the attribute is missing, or raises, on gallium (FOS+)."""

    def probe(client: Client) -> bool:
        source = getattr(column.beam(client), "source", None)
        if source is None or not hasattr(source, "plasma_gas"):
            return False
        try:
            return bool(source.plasma_gas.value)
        except connection.sdk.error_types:
            return False

    return connection.call("look for a plasma source", probe)
