"""The virtual instrument behind the fake: the simulator's physics, the server's state, faults on demand and a call log.

Where a driver is wrong on an instrument it should be wrong here: one active view for the whole connection, values with
limits that raise, settings that snap, moves that end short without an error, and time that passes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from autoscript_core.common import ApplicationServerException

from fibsem_runtime.core.errors import FibsemError
from fibsem_runtime.hal import Microscope

from ._needle import InvisibleNeedle

FaultKind = Literal["exception", "hang", "drop", "ignore", "short"]


@dataclass(kw_only=True)
class Options:
    """What is fitted and how the server behaves where sites differ."""

    system_name: str = "Aquilos"
    serial_number: str = "9951025"
    version: str = "4.9.0.902"
    is_compustage: bool = False
    is_objective_inserted: bool = False
    has_ion_column: bool = True
    has_manipulator: bool = True
    manipulator_y_sign: int = 1
    gas_ports: tuple[str, ...] = ("Pt dep",)
    gas_is_controllable: bool = True
    gas_warms: bool = True
    multichem_gases: tuple[str, ...] = ()
    has_coater: bool = False
    has_camera: bool = True
    camera_is_colour: bool = True
    is_plasma: bool = False
    plasma_gas_raises: bool = False
    spot_coordinates: str = "fraction"
    scanning_mode_texts: bool = False
    buffer_is_16_bit: bool = False
    vacuum_returns_early: bool = False
    ion_current_snaps: bool = True
    specimen_offset_m: tuple[float, float] = (1.2e-3, -0.7e-3)
    read_turns: int = 0
    tiny_move_m: float = 20e-9
    focus_rewrite_m: float = 120e-6
    application_files: tuple[str, ...] = ("None", "Si", "Si-ccs", "Si-multipass", "Pt dep")
    start_delay_s: float = 0.3
    stop_when_idle_raises: bool = True
    files_without_circles: tuple[str, ...] = ("Pt dep",)
    setting_s: float = 0.1


@dataclass(kw_only=True)
class Call:
    """One call of the client, as it reached the server."""

    number: int
    name: str
    arguments: tuple[Any, ...]
    view: int


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with the ``occurrence``-th call of this name, or with the call of this number."""

    kind: FaultKind
    name: str = ""
    number: int = 0
    occurrence: int = 1
    text: str = "Injected fault."


class Clock:
    """The instrument's time; while a pattern runs, time that passes mills."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    def monotonic_s(self) -> float:
        """Return the simulated seconds, those included for which milling has still to be worked out."""
        return self._instrument.simulator.clock.monotonic_s() + self._instrument.owed_s

    def now(self) -> datetime:
        """Return the simulated wall time."""
        return self._instrument.simulator.clock.now() + timedelta(seconds=self._instrument.owed_s)

    def sleep(self, duration_s: float) -> None:
        """Let time pass."""
        self._instrument.spend(duration_s)


@dataclass(kw_only=True)
class ColumnState:
    """What the server keeps for a column beyond what the simulator knows."""

    scan_area: Any = None
    spot: tuple[float, float] | None = None
    resolution: str = "1024x884"
    dwell_time_s: float = 1e-6
    bit_depth: int = 8
    last_image: Any = None
    detector_type: str = "ETD"
    detector_mode: str = "SecondaryElectrons"
    voltage_v: float | None = None
    current_a: float | None = None
    hfw_m: float | None = None


@dataclass(kw_only=True)
class Instrument:
    """State of the server and everything behind it."""

    simulator: Microscope
    options: Options = field(default_factory=Options)
    calls: list[Call] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    frame_ids: list[str] = field(default_factory=list)
    overlapping_calls: list[str] = field(default_factory=list)
    owed_s: float = 0.0
    active_view: int = 1
    chamber_state: str = "Pumped"
    default_coordinates: str = "Raw"
    is_linked: bool = False
    is_homed: bool = True
    manipulator_coordinates: str = "Raw"
    manipulator_moved_at_s: float = -1e9
    beam_trip_after_s: float | None = None
    trip_state: str = "Error"
    plasma_gas: str = "Xenon"
    coater_current_a: float = 10e-3
    is_coater_ready: bool = False
    coated_as: float = 0.0
    raised_pressure_pa: float = 20.0
    on_call: Callable[[Call], None] | None = None
    on_hang: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        self.clock = Clock(self)
        self.devices: dict[int, int] = {1: 1, 2: 2, 3: 3, 4: 3}
        self.columns = {"electron_beam": ColumnState(), "ion_beam": ColumnState()}
        self.open_valves: set[str] = set()
        self.inserted_needles: set[str] = set()
        self.heated_since_s: dict[str, float] = {}
        self.live_views: set[int] = set()
        self.spot_exposures_s: Counter[tuple[str, float, float]] = Counter()
        self.detector_states: dict[str, str] = {"CBS": "Retracted"}
        self.needle: Any = self.simulator.manipulator or InvisibleNeedle(self.spend)
        self._chamber_due: tuple[float, str] | None = None
        self.patterning: Any = None
        self.counts: Counter[str] = Counter()
        self._release = threading.Event()
        self._busy = threading.Lock()

    def spend(self, duration_s: float) -> None:
        """Let time pass, for milling too when it runs, and for beams that stand on a spot."""
        for name, column in self.columns.items():
            if column.spot is not None and self.beam(name).is_on() and not self.beam(name).is_blanked():
                self.spot_exposures_s[(name, *column.spot)] += duration_s  # type: ignore[assignment]
        if self.patterning is not None and self.patterning.is_beam_time:
            self.patterning.pass_time(duration_s)
        else:
            self.simulator.clock.sleep(duration_s)

    @property
    def version(self) -> tuple[int, ...]:
        """Return the version of the server."""
        return tuple(int(part) for part in self.options.version.split("."))

    @property
    def manipulator_state(self) -> str:
        """Return what the manipulator reads."""
        return "Inserted" if self.needle.is_inserted() else "Retracted"

    @property
    def manipulator_tip_m(self) -> tuple[float, float, float]:
        """Return where the encoders say that the tip is: x right, y up in the electron image, z towards its column."""
        here = self.needle.position()
        return here.x_m, here.y_m, here.z_m

    def set_chamber(self, state: str) -> None:
        """Put the chamber into a state."""
        self.chamber_state, self._chamber_due = state, None

    def begin_chamber(self, meanwhile: str, state: str, duration_s: float) -> None:
        """Let the chamber come to a state in time."""
        self.chamber_state = meanwhile
        self._chamber_due = (self.clock.monotonic_s() + duration_s, state)

    def chamber_now(self) -> str:
        """Return the state of the chamber."""
        if self._chamber_due is not None and self.clock.monotonic_s() >= self._chamber_due[0] - 1e-9:
            self.set_chamber(self._chamber_due[1])
        return self.chamber_state

    def release(self) -> None:
        """End the calls that hang."""
        self._release.set()

    @contextmanager
    def call(self, client: Any, name: str, *arguments: Any) -> Iterator[str]:
        """Log one call, let its fault happen, turn the simulator's refusals into the server's.

        Gives the kind of a fault that the call itself must act on ("ignore", "short"), or an empty text.
        """
        if client.server_host is None:
            raise ApplicationServerException("The client is not connected to the server.")
        if not self._busy.acquire(blocking=False):
            self.overlapping_calls.append(name)
            self._busy.acquire()
        try:
            yield self._meet_fault(client, self._record(name, arguments))
        except FibsemError as error:
            raise ApplicationServerException(str(error)) from error
        finally:
            self._busy.release()

    def _record(self, name: str, arguments: tuple[Any, ...]) -> Call:
        call = Call(number=len(self.calls) + 1, name=name, arguments=arguments, view=self.active_view)
        self.calls.append(call)
        self.counts[name] += 1
        if self.on_call is not None:
            self.on_call(call)
        return call

    def _meet_fault(self, client: Any, call: Call) -> str:
        for fault in self.faults:
            is_named = fault.name == call.name and fault.occurrence == self.counts[call.name]
            if not (is_named or fault.number == call.number):
                continue
            if fault.kind == "exception":
                raise ApplicationServerException(fault.text)
            if fault.kind == "drop":
                client.server_host = None
                raise ConnectionResetError("The connection was closed by the remote host.")
            if fault.kind == "hang":
                self._hang()
                raise ApplicationServerException("The call was aborted.")
            return fault.kind
        return ""

    def _hang(self) -> None:
        """Do not answer until `release`; other clients are served meanwhile."""
        self._busy.release()
        try:
            if self.on_hang is not None:
                self.on_hang()
            self._release.wait()
        finally:
            self._busy.acquire()

    def column_of_view(self) -> str:
        """Return the beam that the active view shows; raise for a camera."""
        device = self.devices[self.active_view]
        if device not in (1, 2):
            raise ApplicationServerException(f"View {self.active_view} has no beam.")
        return "electron_beam" if device == 1 else "ion_beam"

    def beam(self, name: str) -> Any:
        """Return the simulated column."""
        return self.simulator.electron_beam if name == "electron_beam" else self.simulator.ion_beam

    def refuse_while_milling(self, what: str) -> None:
        """Raise while a pattern runs."""
        if self.patterning is not None and self.patterning.state_now() == "Running":
            raise ApplicationServerException(f"{what} is not possible while patterning is running.")

    def switch_off(self, name: str) -> None:
        """Let a beam go off by itself."""
        self.beam(name).machine.beam_state(self.beam(name).beam_type).is_on = False


INSTRUMENTS: dict[str, Instrument] = {}
"""Virtual instruments by host; tests put them here."""
