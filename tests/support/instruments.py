"""Instruments for the contract suite: opened through the driver registry, guarded, and brought home after each test.

A driver that can run without hardware gets one line in `REHEARSALS`: what makes it ready to open for as long as the
context lasts (a fake of the vendor's package, say), and gives the settings it is opened with. Any installed driver
takes part on its instrument with ``--driver NAME --host ADDRESS`` (one without a rehearsal also without ``--host``),
after a person at the terminal has agreed.
A driver package of its own uses the same suite: install it and run ``pytest <here>/tests/contract --driver NAME``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest

from fibsem_runtime.core import BeamType, CancelToken, DetectorSettings, MicroscopeState
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.hal import (
    DriverPlugin,
    GuardSettings,
    Kinematics,
    Microscope,
    available_drivers,
    find_driver,
    guard,
    safe_route,
)

SEED = 11
Rehearsal = Callable[[], AbstractContextManager[dict[str, Any]]]
REHEARSALS: dict[str, Rehearsal] = {
    "simulator": lambda: nullcontext({}),
    "thermofisher": lambda: _rehearsal("thermofisher_fake"),
    "tescan": lambda: _rehearsal("tescan_bench"),
    "sharksem": lambda: _rehearsal("sharksem_bench"),
}
"""Drivers that need no hardware, and how each is made ready; the context gives its settings."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Instrument:
    """One opened instrument with its state at the beginning, which every test finds again.

    ``is_rehearsed``: nothing real moves, so that the chamber may be vented and the sample coated.
    """

    name: str
    plugin: DriverPlugin
    microscope: Microscope
    kinematics: Kinematics
    is_rehearsed: bool
    initial: MicroscopeState
    initial_detectors: Mapping[BeamType, DetectorSettings]
    initial_gas: str | None

    def go_home(self) -> None:
        """Stop and retract everything, unblank, and restore pose and beams to what they were when it was opened."""
        microscope, cancel = self.microscope, CancelToken()
        microscope.milling.stop()
        self._clear_chamber()
        for waypoint in safe_route(microscope.stage.position(), self.initial.stage_position):
            if waypoint != microscope.stage.position():
                microscope.stage.move_to(waypoint, cancel=cancel)
        for beam_type in BeamType:
            self._restore_equipment(beam_type)
            self._restore_beam(beam_type)

    def _clear_chamber(self) -> None:
        """Take out what is inserted, pump what was vented."""
        microscope, cancel = self.microscope, CancelToken()
        if microscope.vacuum is not None and microscope.pump is not None and not microscope.vacuum.is_pumped():
            microscope.pump.pump(cancel=cancel)
        for needle in (microscope.gas_injection, microscope.manipulator):
            if needle is not None and needle.is_inserted():
                needle.retract(cancel=cancel)

    def _restore_equipment(self, beam_type: BeamType) -> None:
        beam, equipment, cancel = self.microscope.beam(beam_type), self.microscope.equipment(beam_type), CancelToken()
        initial, detector = self.initial.beam(beam_type), self.initial_detectors[beam_type]
        if equipment.live_view is not None:
            equipment.live_view.stop()
        if equipment.source is not None and not beam.is_on():
            equipment.source.turn_on(cancel=cancel)
        if equipment.plasma_source is not None and equipment.plasma_source.gas() != self.initial_gas:
            equipment.plasma_source.switch_gas(str(self.initial_gas), cancel=cancel)
        if equipment.detectors is not None and beam.detector() != detector:
            equipment.detectors.select(detector.name, mode=detector.mode if equipment.detectors.modes() else None)
            equipment.detectors.set_levels(
                brightness_fraction=detector.brightness_fraction, contrast_fraction=detector.contrast_fraction
            )
        if equipment.stigmator is not None:
            equipment.stigmator.set_stigmation(initial.stigmation_x, initial.stigmation_y)

    def _restore_beam(self, beam_type: BeamType) -> None:
        beam, initial = self.microscope.beam(beam_type), self.initial.beam(beam_type)
        beam.set_blanked(blanked=False)
        found = beam.settings()
        if found.voltage_v != initial.voltage_v:
            beam.set_voltage(initial.voltage_v)
        if found.beam_current_a != initial.beam_current_a:
            beam.set_current(initial.beam_current_a)
        if found.scan_rotation_rad != initial.scan_rotation_rad:
            beam.set_scan_rotation(initial.scan_rotation_rad)
        if found.shift != initial.shift:
            beam.set_shift(initial.shift)
        if found.working_distance_m != initial.working_distance_m:
            beam.set_working_distance(initial.working_distance_m)


def _rehearsal(module: str) -> AbstractContextManager[dict[str, Any]]:
    """Return the rehearsal of a driver whose fake is loaded only when it takes part."""
    context: AbstractContextManager[dict[str, Any]] = import_module(module).rehearse()
    return context


def add_options(parser: pytest.Parser) -> None:
    """Add the options that let an instrument take part."""
    group = parser.getgroup("fibsem-runtime")
    group.addoption("--driver", action="append", default=[], help="run the contract suite on this installed driver")
    group.addoption("--host", default=None, help="address of the instrument for --driver")


def chosen_drivers(config: pytest.Config) -> list[str]:
    """Return the drivers that take part: those asked for, or those that need no hardware.

    Raises `ConfigError` for a driver that is not installed.
    """
    installed = available_drivers()
    asked: list[str] = config.getoption("--driver")
    for name in asked:
        if name not in installed:
            raise ConfigError(f"--driver {name} is not installed; available: {', '.join(installed)}")
    return asked or [name for name in installed if name in REHEARSALS]


def ask_consent(config: pytest.Config, names: list[str]) -> None:
    """Ask the person at the terminal before anything real moves; end the session without a yes."""
    has_host = bool(config.getoption("--host"))
    hardware = [name for name in names if has_host or name not in REHEARSALS]
    if not hardware or config.option.collectonly:
        return
    with _terminal(config):
        if sys.stdin is None or not sys.stdin.isatty():
            names_text = ", ".join(hardware)
            pytest.exit(f"{names_text} would move: run this at a terminal where a person can agree", returncode=3)
        answer = input(
            f"\nThe contract suite moves the stage, the manipulator and the gas needle of {', '.join(hardware)}, opens "
            "gas valves, changes both beams, switches them off and on, and mills about 10 x 5 x 1 µm at the present "
            "place.\nIs nobody else using the instrument, is the sample expendable, are needles and objective out? "
            "Type the driver's name to go on: "
        ).strip()
    if answer not in hardware:
        pytest.exit("no consent, nothing has moved", returncode=3)


@contextmanager
def _terminal(config: pytest.Config) -> Iterator[None]:
    """Give keyboard and screen back to the person while pytest captures them."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    capture.suspend_global_capture(in_=True)
    try:
        yield
    finally:
        capture.resume_global_capture()


@contextmanager
def open_instrument(name: str, host: str | None) -> Iterator[Instrument]:
    """Open an installed driver behind its guards; leave it in its safe state and closed.

    With a ``host`` it is an instrument, and nothing is rehearsed.
    """
    if host is not None or name not in REHEARSALS:
        with _opened(name, {} if host is None else {"host": host}, is_rehearsed=False) as instrument:
            yield instrument
        return
    with REHEARSALS[name]() as values, _opened(name, values, is_rehearsed=True) as instrument:
        yield instrument


@contextmanager
def _opened(name: str, values: dict[str, Any], *, is_rehearsed: bool) -> Iterator[Instrument]:
    plugin = find_driver(name)
    raw = plugin.open(plugin.settings_model.model_validate(values), seed=SEED, state_directory=None)
    try:
        microscope = guard(raw, GuardSettings())
        if microscope.gas_injection is not None:
            # Some instruments cannot tell where a gas needle is; it counts as inserted until it was retracted.
            microscope.gas_injection.retract(cancel=CancelToken())
        for beam_type in BeamType:
            microscope.beam(beam_type).set_blanked(blanked=False)
        plasma_source = microscope.ion_equipment.plasma_source
        yield Instrument(
            name=name,
            plugin=plugin,
            microscope=microscope,
            kinematics=Kinematics(raw.chain),
            is_rehearsed=is_rehearsed,
            initial=microscope.state(),
            initial_detectors={beam_type: microscope.beam(beam_type).detector() for beam_type in BeamType},
            initial_gas=None if plasma_source is None else plasma_source.gas(),
        )
    finally:
        try:
            raw.driver.safe_state()
        finally:
            raw.driver.close()
