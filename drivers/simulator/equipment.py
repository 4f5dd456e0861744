"""What the simulated columns have beyond their beams: source, detectors, stigmator, live view and spot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from drivers.simulator.auto_focus import SimulatedAutoFocus
from drivers.simulator.beams import SimulatedBeam, require_beam
from drivers.simulator.detector_look import DETECTOR_NAMES, mode_of
from drivers.simulator.milling_engine import MillingEngine
from fibsem_runtime.core import BeamType, CancelToken, DetectorSettings, Image, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import BeamError, HardwareError, NotSupportedError, RefusedSettingError, VacuumError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.hal.equipment import ColumnEquipment
from fibsem_runtime.hal.field import FIELD_ASPECT_RATIO
from fibsem_runtime.hal.shapes import LineShape, MillingSettings

SPOT_LENGTH_M, SPOT_WIDTH_M, SPOT_DOSE_C_PER_M3 = 1e-9, 1e-6, 2e8
"""The line that stands for a spot: only its charge counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSource:
    """Switch of one beam; it comes on only in a vacuum, and unblanked as it was."""

    beam: SimulatedBeam

    def turn_on(self, *, cancel: CancelToken) -> None:
        """Switch on."""
        cancel.raise_if_cancelled()
        machine = self.beam.machine
        machine.begin("switching a beam on")
        if not machine.state.chamber.is_pumped:
            raise VacuumError("a beam was to be switched on in a vented chamber; pump it first")
        self._switch(is_on=True)

    def turn_off(self) -> None:
        """Switch off; safe to call twice."""
        self.beam.machine.begin("switching a beam off")
        self._switch(is_on=False)

    def _switch(self, *, is_on: bool) -> None:
        machine = self.beam.machine
        state = machine.beam_state(self.beam.beam_type)
        if state.is_on != is_on:
            machine.spend(machine.settings.timing.source_s)
            state.is_on = is_on
            machine.save()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDetectors:
    """Choice and levels of the detector of one column."""

    beam: SimulatedBeam

    def available(self) -> Sequence[str]:
        """Return the names of the detectors of this column."""
        return DETECTOR_NAMES[self.beam.beam_type]

    def modes(self) -> Sequence[str]:
        """Return the only mode of the detector in use."""
        return (self.beam.detector().mode,)

    def select(self, name: str, *, mode: str | None = None) -> DetectorSettings:
        """Use a detector; raise `NotSupportedError` for one, or a mode, that there is not."""
        if name not in self.available():
            raise NotSupportedError(
                f"the detector {name!r} was asked for, this column has {', '.join(self.available())}; "
                f"{self.beam.detector().name} stays"
            )
        if mode not in (None, mode_of(name)):
            raise NotSupportedError(f"the mode {mode!r} was asked for, {name} has {mode_of(name)}; nothing was changed")
        return self._change(detector=name)

    def set_levels(self, *, brightness_fraction: float, contrast_fraction: float) -> DetectorSettings:
        """Set brightness and contrast."""
        for what, asked in (("brightness", brightness_fraction), ("contrast", contrast_fraction)):
            if not 0 <= asked <= 1:
                raise RefusedSettingError(f"a {what} of {asked:g} was asked for, allowed are 0 to 1; it is unchanged")
        return self._change(brightness_fraction=brightness_fraction, contrast_fraction=contrast_fraction)

    def _change(self, **changed: float | str) -> DetectorSettings:
        machine = self.beam.machine
        machine.begin(f"a change of {', '.join(changed)}", while_paused=True)
        machine.spend(machine.settings.timing.setting_s)
        state = machine.beam_state(self.beam.beam_type)
        for name, value in changed.items():
            setattr(state, name, value)
        machine.save()
        return self.beam.detector()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedStigmator:
    """Correction of astigmatism; 0 is a corrected beam, 1 the optics' `stigmation_um`."""

    beam: SimulatedBeam

    def set_stigmation(self, stigmation_x: float, stigmation_y: float) -> tuple[float, float]:
        """Set both components, each from -1 to 1."""
        if not (abs(stigmation_x) <= 1 and abs(stigmation_y) <= 1):
            raise RefusedSettingError(
                f"a stigmation of ({stigmation_x:g}, {stigmation_y:g}) was asked for, allowed are -1 to 1; unchanged"
            )
        machine = self.beam.machine
        machine.begin("a change of stigmation", while_paused=True)
        machine.spend(machine.settings.timing.setting_s)
        state = machine.beam_state(self.beam.beam_type)
        state.settings = replace(state.settings, stigmation_x=stigmation_x, stigmation_y=stigmation_y)
        machine.save()
        return stigmation_x, stigmation_y


@dataclass(slots=True, kw_only=True)
class SimulatedLiveView:
    """Continuous scanning: whoever asks for a frame waits for the scan that is under way. It ends with the client."""

    beam: SimulatedBeam
    scanned: ImageSettings | None = None

    @property
    def is_running(self) -> bool:
        """Return whether frame after frame is scanned."""
        return self.scanned is not None

    def start(self, settings: ImageSettings) -> None:
        """Scan frame after frame until `stop`."""
        self.beam.machine.begin("a live view", while_paused=True)
        require_beam(self.beam, "a live view")
        self.scanned = settings

    def frame(self, *, cancel: CancelToken) -> Image:
        """Return the next whole frame."""
        if self.scanned is None:
            raise HardwareError("a frame of a live view was asked for, none is running; start it first")
        return self.beam.acquire(self.scanned, cancel=cancel)

    def stop(self) -> None:
        """Stop scanning; safe to call twice."""
        self.scanned = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSpot:
    """Beam held on one point: the ion beam burns a hole there, the electron beam only takes its time."""

    beam: SimulatedBeam
    engine: MillingEngine

    def expose(self, point: ImagePoint, *, duration_s: float, cancel: CancelToken) -> None:
        """Hold the beam on ``point``; a blanked beam is unblanked for it."""
        cancel.raise_if_cancelled()
        beam = self.beam
        beam.machine.begin("a spot")
        if not beam.is_on():
            raise BeamError(f"a spot needs the {beam.beam_type.value.lower()} beam, it is off; switch it on first")
        half_width_m = beam.settings().hfw_m / 2
        inside = abs(point.x_m) <= half_width_m and abs(point.y_m) <= half_width_m / FIELD_ASPECT_RATIO
        if not (inside and 0 < duration_s < math.inf):
            raise RefusedSettingError(
                f"a spot at ({format_quantity(point.x_m, 'm')}, {format_quantity(point.y_m, 'm')}) for "
                f"{duration_s:g} s was asked for; it must lie in the field of "
                f"{format_quantity(2 * half_width_m, 'm')} and take time"
            )
        if beam.beam_type is BeamType.ION:
            self._burn(point, duration_s, cancel)
        else:
            beam.machine.spend(duration_s)
            beam.machine.save()

    def _burn(self, point: ImagePoint, duration_s: float, cancel: CancelToken) -> None:
        """Mill a line that is much shorter than the beam is wide; what was drawn before stays drawn."""
        machine, beam = self.beam.machine, self.beam.settings()
        charge_c = beam.beam_current_a * duration_s
        half = ImagePoint(SPOT_LENGTH_M / 2, 0.0)
        depth_m = charge_c / (SPOT_LENGTH_M * SPOT_WIDTH_M * SPOT_DOSE_C_PER_M3)
        line = LineShape(start=point - half, end=point + half, width_m=SPOT_WIDTH_M, depth_m=depth_m)
        conditions = MillingSettings(
            beam_current_a=beam.beam_current_a,
            voltage_v=beam.voltage_v,
            hfw_m=beam.hfw_m,
            application="spot",
            dose_c_per_m3=SPOT_DOSE_C_PER_M3,
        )
        column = machine.beam_state(BeamType.ION)
        drawn, was_blanked = machine.state.drawing, column.is_blanked
        column.is_blanked = False
        try:
            self.engine.draw([line], conditions)
            self.engine.run(cancel=cancel)
        finally:
            self.engine.stop()
            column.is_blanked, machine.state.drawing = was_blanked, drawn
            machine.save()


def equip(beam: SimulatedBeam, engine: MillingEngine) -> ColumnEquipment:
    """Return everything that one simulated column has."""
    return ColumnEquipment(
        source=SimulatedSource(beam=beam),
        detectors=SimulatedDetectors(beam=beam),
        auto_focus=SimulatedAutoFocus(beam=beam),
        stigmator=SimulatedStigmator(beam=beam),
        live_view=SimulatedLiveView(beam=beam),
        spot=SimulatedSpot(beam=beam, engine=engine),
    )
