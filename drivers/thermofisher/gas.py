"""Gas injection through the lines that the settings name (vendor-thermofisher.md section 12).

AutoScript does not say whether a needle is inserted, a valve open or a heater on: every needle counts as inserted and
every valve and heater as on until this driver has retracted, closed and switched it off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.gas_lines import Line, MultichemLine, PortLine
from drivers.thermofisher.insertion_settings import GasSettings
from drivers.thermofisher.settings import ThermoFisherSettings
from drivers.thermofisher.stage import ThermoFisherStage
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.core.errors import HardwareError, InterlockError, NotSupportedError
from fibsem_runtime.core.units import format_duration, format_quantity
from fibsem_runtime.hal.attempts import attempt_all

T = TypeVar("T")

_FIRST_READ_S: Final = 3.0
_POLL_S: Final = 1.0
"""Wait before the first look at a heater (FOS:4010-4040), and between looks (assumed)."""


@dataclass(slots=True, kw_only=True)
class ThermoFisherGas:
    """The gas lines that the settings name."""

    connection: Connection
    config: ThermoFisherSettings
    settings: GasSettings
    stage: ThermoFisherStage
    clock: Clock
    _lines: dict[str, Line] = field(init=False)
    _may_be_in: set[str] = field(init=False)
    _may_be_open: set[str] = field(init=False)
    _may_be_warm: set[str] = field(init=False)
    _inserted: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        positions = self.connection.sdk.enumerations.MultiChemInsertPosition
        position = getattr(positions, self.settings.multichem_position, self.settings.multichem_position)
        self._lines = {name: PortLine(name) for name in self.settings.ports}
        self._lines |= {name: MultichemLine(name, position) for name in self.settings.multichem_gases}
        self._may_be_in = {line.needle for line in self._lines.values()}
        self._may_be_open = set(self.settings.ports)
        self._may_be_warm = set(self._lines)

    @property
    def lines(self) -> Sequence[str]:
        """Return the names of the configured lines."""
        return self.settings.lines

    def is_inserted(self) -> bool:
        """Tell whether a needle may be near the sample or its valve open."""
        return bool(self._may_be_in | self._may_be_open)

    def prepare(self, line: str, *, cancel: CancelToken) -> None:
        """Heat a line until it can deliver; raise `HardwareError` when it is not warm in ``time_limits.heating_s``.

        A line that does not get warm, or whose heating is cancelled, is switched off again by `retract`.
        """
        cancel.raise_if_cancelled()
        self._may_be_warm.add(line)
        self._do(f"heat the gas line {line}", self._line(line).heat)
        limit_s = self.config.time_limits.heating_s
        due_s = self.clock.monotonic_s() + limit_s
        self.clock.sleep(_FIRST_READ_S)
        while not self.is_ready(line):
            cancel.raise_if_cancelled()
            if self.clock.monotonic_s() >= due_s:
                raise HardwareError(
                    f"the gas line {line} has {self._temperature_k(line):.0f} K after {format_duration(limit_s)}, "
                    f"needed are {self.settings.ready_temperature_k:.0f} K; look at its heater or raise "
                    "driver.settings.time_limits.heating_s"
                )
            self.clock.sleep(_POLL_S)

    def is_ready(self, line: str) -> bool:
        """Read whether a line is warm enough to deliver."""
        return self._temperature_k(line) >= self.settings.ready_temperature_k

    def insert(self, line: str, *, cancel: CancelToken) -> None:
        """Bring the needle of a line to the sample.

        Raises `InterlockError` while any needle is, or may be, inserted or its valve open and when the stage is too
        high.
        """
        wanted = self._line(line)
        if self.is_inserted():
            raise InterlockError(
                f"asked to insert the gas needle {line} while {', '.join(sorted(self._may_be_in | self._may_be_open))} "
                "may be inserted or open, which the instrument cannot tell; retract the gas needles first"
            )
        cancel.raise_if_cancelled()

        def order(client: Client) -> None:
            self._refuse_high_stage(client)
            self._may_be_in.add(wanted.needle)
            wanted.insert(client)

        self._do(f"insert the gas needle {line}", order, limit_s=self.config.time_limits.needle_s)
        self._inserted = wanted.needle

    def open_valve(self, line: str) -> None:
        """Let gas flow; raise `NotSupportedError` for a multichem, which lets it in while a pattern of it is milled."""
        port = self._line(line)
        if not isinstance(port, PortLine):
            raise NotSupportedError(
                f"the valve of the gas line {line} was asked to open, a multichem has none; it delivers by itself "
                "while a pattern with its application file runs"
            )
        if self._inserted != port.needle:
            raise InterlockError(f"asked to open the gas valve {line}, its needle is not inserted; insert it first")
        self._may_be_open.add(line)
        self._do(f"open the gas valve {line}", lambda client: port.port(client).open())

    def close_valve(self, line: str) -> None:
        """Stop the flow; a multichem's ends with its pattern."""
        port = self._line(line)
        if isinstance(port, PortLine):
            self._do(f"close the gas valve {line}", lambda client: port.port(client).close())
            self._may_be_open.discard(line)

    def retract(self, *, cancel: CancelToken) -> None:
        """Close every valve, park every needle, switch every heater off; safe to call twice.

        Each on its own: one that fails stays counted as open, inserted or warm. Raises `HardwareError` that names all
        that failed after everything was tried.
        """
        cancel.raise_if_cancelled()
        self._inserted = None
        failures = self._close_all()
        failures += attempt_all(
            (f"retract the gas needle {name}", partial(self._park, name)) for name in sorted(self._may_be_in)
        )
        failures += attempt_all(
            (f"cool the gas line {name}", partial(self._cool, name)) for name in sorted(self._may_be_warm)
        )
        _raise_if_any(failures)

    def close_valves(self) -> None:
        """Close the valve of every needle that may be inserted; each on its own, raises as `retract` does."""
        _raise_if_any(self._close_all())

    def _close_all(self) -> list[str]:
        lines = sorted((self._may_be_in & set(self._lines)) | self._may_be_open)
        return attempt_all((f"close the gas valve {name}", partial(self.close_valve, name)) for name in lines)

    def _park(self, needle: str) -> None:
        line = next(line for line in self._lines.values() if line.needle == needle)
        self._do(f"retract the gas needle {needle}", line.retract, limit_s=self.config.time_limits.needle_s)
        self._may_be_in.discard(needle)

    def _cool(self, line: str) -> None:
        self._do(f"switch the heater of the gas line {line} off", self._lines[line].cool)
        self._may_be_warm.discard(line)

    def _line(self, name: str) -> Line:
        line = self._lines.get(name)
        if line is None:
            raise NotSupportedError(f"the gas line {name!r} was asked for, driver.settings.gas has {self.lines}")
        return line

    def _temperature_k(self, line: str) -> float:
        return self._do(f"read the temperature of the gas line {line}", self._line(line).temperature_k)

    def _refuse_high_stage(self, client: Client) -> None:
        z_m, highest_m = self.stage.read(client).z_m, self.settings.highest_stage_z_mm / 1e3
        if not z_m <= highest_m:
            raise InterlockError(
                f"asked to insert a gas needle with the stage at z = {format_quantity(z_m, 'm')}, allowed are up to "
                f"{format_quantity(highest_m, 'm')} (driver.settings.gas.highest_stage_z_mm); lower the stage first"
            )

    def _do(self, what: str, job: Callable[[Client], T], *, limit_s: float | None = None) -> T:
        return self.connection.call(what, job, limit_s=limit_s)


def _raise_if_any(failures: list[str]) -> None:
    if failures:
        raise HardwareError("; ".join(failures))


def check_gas_lines(connection: Connection, settings: GasSettings) -> None:
    """Raise `HardwareError` when the instrument has not every gas line that the settings name."""

    def read(client: Client) -> tuple[list[str], list[str]]:
        ports = list(client.gas.list_all_gis_ports()) if settings.ports else []
        if not settings.multichem_gases or not client.gas.list_all_multichem_ports():
            return ports, []
        return ports, list(client.gas.get_multichem().list_all_gases())

    ports, gases = connection.call("list the gas lines", read)
    for name, asked, fitted in (("ports", settings.ports, ports), ("multichem_gases", settings.multichem_gases, gases)):
        missing = sorted(set(asked) - set(fitted))
        if missing:
            raise HardwareError(
                f"driver.settings.gas.{name} names {', '.join(missing)}, the instrument has "
                f"{', '.join(fitted) or 'none'}; correct the settings"
            )
