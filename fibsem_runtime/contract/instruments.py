"""One instrument of the contract suite: opened by its name, guarded, and brought home after each test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from fibsem_runtime.contract.participants import Rehearsal
from fibsem_runtime.core import BeamType, CancelToken, DetectorSettings, MicroscopeState
from fibsem_runtime.hal import (
    DriverPlugin,
    GuardSettings,
    Kinematics,
    Microscope,
    find_driver,
    guard,
    safe_route,
)

SEED: Final = 11
"""What simulators are opened with, so that every run of the suite is the same."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Instrument:
    """One opened instrument with its state at the beginning, which every test finds again.

    ``is_rehearsed``: nothing real moves, so that the chamber may be vented, the sample coated and a source switched.
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


@contextmanager
def open_instrument(name: str, settings: dict[str, Any] | None, rehearsal: Rehearsal | None) -> Iterator[Instrument]:
    """Open an installed driver behind its guards; leave it in its safe state and closed.

    With ``settings``, or without a ``rehearsal``, it is an instrument, and nothing is rehearsed.
    """
    if settings is not None or rehearsal is None:
        with _opened(name, settings or {}, is_rehearsed=False) as instrument:
            yield instrument
        return
    with rehearsal() as values, _opened(name, values, is_rehearsed=True) as instrument:
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
