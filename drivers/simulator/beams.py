"""The two columns: settings that are taken or refused, and frames that cost their scan time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivers.simulator import optics
from drivers.simulator.detector_look import mode_of, seen_with
from drivers.simulator.disturbances import Stream, generator
from drivers.simulator.layers import Sight
from drivers.simulator.machine import Machine, as_triple
from drivers.simulator.milling import probe_for
from drivers.simulator.optics_settings import OpticsSettings
from drivers.simulator.region import region_of
from drivers.simulator.scan import drifting
from drivers.simulator.state import BeamState, FrameRecord, SightRecord
from drivers.simulator.view import View
from drivers.simulator.world import BodySight
from fibsem_runtime.core import (
    BeamSettings,
    BeamType,
    CancelToken,
    DetectorSettings,
    Image,
    ImageMetadata,
    ImagePoint,
    ImageSettings,
    InstrumentInfo,
    Pixels,
)
from fibsem_runtime.core.errors import BeamError, NotSupportedError, RefusedSettingError
from fibsem_runtime.core.units import NM, format_angle, format_quantity
from fibsem_runtime.hal.axes import AxisLimits

INSTRUMENT = InstrumentInfo(manufacturer="fibsem-runtime", model="Simulator", serial_number="", software_version="1")

_SAME = 1e-6
"""Relative difference below which a value is one of the listed ones, however it was converted."""

_SMALLEST_SLOPE = 0.02
"""Cosine between beam and surface normal below which focus is not measured on the film (a view along the film)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedBeam:
    """One column of the machine."""

    machine: Machine
    beam_type: BeamType

    @property
    def available_currents_a(self) -> Sequence[float]:
        """Return the currents that can be selected, ascending."""
        return self.machine.column(self.beam_type).currents_a

    @property
    def shift_limit_m(self) -> float:
        """Return the largest beam shift per axis."""
        return self.machine.column(self.beam_type).shift_limit_um * 1e-6

    @property
    def _state(self) -> BeamState:
        return self.machine.beam_state(self.beam_type)

    def is_on(self) -> bool:
        """Read whether the source delivers a beam."""
        return self._state.is_on

    def is_blanked(self) -> bool:
        """Read whether the beam is kept off the sample."""
        return self._state.is_blanked

    def settings(self) -> BeamSettings:
        """Read the state of the beam."""
        return self._state.settings

    def detector(self) -> DetectorSettings:
        """Read the detector."""
        return DetectorSettings(
            name=self._state.detector,
            mode=mode_of(self._state.detector),
            brightness_fraction=self._state.brightness_fraction,
            contrast_fraction=self._state.contrast_fraction,
        )

    def set_current(self, beam_current_a: float) -> float:
        """Select one of the available currents; image shift and focus change with it. Refuse any other."""
        found_a = self._listed("beam current", "A", beam_current_a, self.available_currents_a)
        if found_a != self.settings().beam_current_a:
            self._apply(self.machine.settings.timing.current_change_s, beam_current_a=found_a)
        return self.settings().beam_current_a

    def set_voltage(self, voltage_v: float) -> float:
        """Select one of the available voltages; refuse any other."""
        found_v = self._listed("voltage", "V", voltage_v, self.machine.column(self.beam_type).voltages_v)
        if found_v != self.settings().voltage_v:
            self._apply(self.machine.settings.timing.voltage_change_s, voltage_v=found_v)
        return self.settings().voltage_v

    def set_working_distance(self, working_distance_m: float) -> float:
        """Focus at a distance from the column."""
        limits = self.machine.column(self.beam_type).working_distance_limits_m
        self._refuse_outside("working distance", working_distance_m, limits)
        self._apply(self.machine.settings.timing.setting_s, working_distance_m=working_distance_m)
        return self.settings().working_distance_m

    def set_shift(self, shift: ImagePoint) -> ImagePoint:
        """Shift the image content by ``shift`` along the image."""
        limits = AxisLimits(low=-self.shift_limit_m, high=self.shift_limit_m)
        self._refuse_outside("beam shift x", shift.x_m, limits)
        self._refuse_outside("beam shift y", shift.y_m, limits)
        self._apply(self.machine.settings.timing.setting_s, shift=shift)
        return self.settings().shift

    def set_scan_rotation(self, scan_rotation_rad: float) -> float:
        """Rotate the scan, up to a whole turn either way."""
        if not abs(scan_rotation_rad) <= math.tau:
            raise RefusedSettingError(
                f"a scan rotation of {format_angle(scan_rotation_rad)} was asked for, allowed are -360.0° to 360.0°"
            )
        self._apply(self.machine.settings.timing.setting_s, scan_rotation_rad=scan_rotation_rad)
        return self.settings().scan_rotation_rad

    def set_blanked(self, *, blanked: bool) -> bool:
        """Blank the beam, at any time, or unblank it, when nothing mills."""
        if not blanked:
            self.machine.begin("unblanking a beam", while_paused=True)
        if self._state.is_blanked != blanked:
            self.machine.spend(self.machine.settings.timing.setting_s)
            self._state.is_blanked = blanked
            self.machine.save()
        return self._state.is_blanked

    def auto_contrast(self, *, cancel: CancelToken) -> DetectorSettings:
        """Set brightness and contrast for the present field."""
        cancel.raise_if_cancelled()
        self._refuse_without_beam("auto contrast")
        machine = self.machine
        machine.spend(machine.settings.timing.auto_contrast_s)
        view = machine.view(self.beam_type)
        field = ImageSettings(hfw_m=self.settings().hfw_m)
        rng = generator(machine.seed, Stream.CONTRAST, machine.state.contrast_count)
        machine.state.contrast_count += 1
        self._state.brightness_fraction, self._state.contrast_fraction = optics.auto_contrast(
            machine.sample,
            view,
            field,
            self._conditions(view),
            self._optics(),
            rng,
            others=_others(machine.sights(self.beam_type)[1:]),
            gain_ratio=self._gain_ratio(),
        )
        machine.save()
        return self.detector()

    def acquire(self, settings: ImageSettings, *, cancel: CancelToken) -> Image:
        """Scan one frame; the metadata says what an instrument knows, not where the sample really is.

        Each row shows the specimen where it has drifted to by then, see `scan.drifting`. Raises `BeamError` for a beam
        that is off or blanked, `NotSupportedError` for interlacing and drift correction.
        """
        cancel.raise_if_cancelled()
        _refuse_scan_options(settings)
        self._refuse_without_beam("imaging")
        machine = self.machine
        self._refuse_outside("field width", settings.hfw_m, machine.column(self.beam_type).hfw_limits_m)
        machine.set_hfw(self.beam_type, settings.hfw_m)
        half_scan_s = scan_time_s(settings) / 2
        start, starts = machine.view(self.beam_type), machine.sights(self.beam_type)
        machine.spend(half_scan_s)
        view = drifting(start, machine.view(self.beam_type), settings)
        sights = [
            replace(one, view=drifting(before.view, one.view, settings))
            for before, one in zip(starts, machine.sights(self.beam_type), strict=True)
        ]
        started_at = machine.clock.now()
        rng = generator(machine.seed, Stream.FRAME, machine.state.frame_count)
        pixels = self.scan(settings, rng, sights=sights)
        timing = machine.settings.timing
        machine.spend(half_scan_s + (timing.reduced_area_frame_s if settings.reduced_area else timing.frame_s))
        machine.state.frame_count += 1
        frame_id = f"sim-{machine.seed}-{machine.state.frame_count:06d}"
        machine.add_frame(_record(frame_id, view, settings, sights))
        machine.save()
        metadata = ImageMetadata(
            beam_type=self.beam_type,
            pixel_size_m=settings.pixel_size_m,
            dwell_time_s=settings.dwell_time_s,
            acquired_at=started_at,
            beam=self.settings(),
            detector=self.detector(),
            stage_position=machine.state.stage.position,
            reduced_area=settings.reduced_area,
            instrument=INSTRUMENT,
            frame_id=frame_id,
        )
        return Image(pixels, metadata)

    def scan(
        self, settings: ImageSettings, rng: np.random.Generator, *, sights: Sequence[BodySight] | None = None
    ) -> Pixels:
        """Return what the beam and its detector make of the sample now; neither time nor a frame is counted.

        ``sights``: what the rays of the frame meet, the body under the beams first; as they are now when not given.
        """
        base, *others = sights or self.machine.sights(self.beam_type)
        return optics.render(
            base.body.sample,
            base.view,
            settings,
            self._conditions(base.view),
            self._optics(),
            rng,
            others=_others(others),
            gain_ratio=self._gain_ratio(),
        )

    def _gain_ratio(self) -> float:
        """Return how much brighter the ion image of a sample is whose charge the touching needle drains."""
        needle = self.machine.state.world.needle
        touches = needle is not None and needle.is_inserted and needle.touches is not None
        is_brighter = touches and self.beam_type is BeamType.ION
        return self.machine.settings.handling.contact_gain_ratio if is_brighter else 1.0

    def _optics(self) -> OpticsSettings:
        settings = self.machine.settings
        return seen_with(settings.optics, self.beam_type, self._state.detector, settings.detectors)

    def _conditions(self, view: View) -> optics.Conditions:
        beam = self.settings()
        focus_m = self.machine.focus_error_m(self.beam_type)
        return optics.Conditions(
            beam_type=self.beam_type,
            beam_current_a=beam.beam_current_a,
            voltage_v=beam.voltage_v,
            defocus_m=focus_m - film_distance_m(view, self.machine.base.surface_m),
            focus_m=focus_m,
            stigmation_x=beam.stigmation_x,
            stigmation_y=beam.stigmation_y,
            probe_sigma_m=self._probe_sigma_m(beam.beam_current_a),
            brightness_fraction=self._state.brightness_fraction,
            contrast_fraction=self._state.contrast_fraction,
        )

    def _probe_sigma_m(self, beam_current_a: float) -> float:
        if self.beam_type is BeamType.ELECTRON:
            return self.machine.settings.electron_beam.probe_sigma_nm * NM
        return probe_for(beam_current_a, self.machine.settings.probe).sigma_m

    def _apply(self, cost_s: float, **changed: float | ImagePoint) -> None:
        """Change settings of the beam, also between two intervals of milling, which checks current and voltage."""
        self.machine.begin(f"a change of {', '.join(changed)}", while_paused=True)
        self.machine.spend(cost_s)
        self._state.settings = replace(self._state.settings, **changed)  # type: ignore[arg-type]
        self.machine.save()

    def _listed(self, name: str, unit: str, asked: float, listed: Sequence[float]) -> float:
        for value in listed:
            if math.isclose(asked, value, rel_tol=_SAME):
                return value
        raise RefusedSettingError(
            f"{self.beam_type.value.lower()} beam: a {name} of {format_quantity(asked, unit)} was asked for, "
            f"available are {', '.join(format_quantity(value, unit) for value in listed)}; it was not changed"
        )

    def _refuse_outside(self, name: str, asked_m: float, limits: AxisLimits) -> None:
        if not limits.contains(asked_m):
            raise RefusedSettingError(
                f"{self.beam_type.value.lower()} beam: a {name} of {format_quantity(asked_m, 'm')} was asked for, "
                f"allowed are {format_quantity(limits.low, 'm')} to {format_quantity(limits.high, 'm')}"
            )

    def _refuse_without_beam(self, action: str) -> None:
        self.machine.begin(action, while_paused=True)
        require_beam(self, action)


def _others(sights: Sequence[BodySight]) -> list[Sight]:
    """Return what the optics need to know of the bodies beside the sample."""
    return [Sight(sample=one.body.sample, view=one.view, box_m=one.body.extent_m) for one in sights]


def require_beam(beam: SimulatedBeam, action: str) -> None:
    """Raise `BeamError` for a beam that does not reach the sample."""
    if not beam.is_on() or beam.is_blanked():
        found, remedy = ("blanked", "unblank it first") if beam.is_on() else ("off", "switch it on first")
        raise BeamError(f"{action} needs the {beam.beam_type.value.lower()} beam, it is {found}; {remedy}")


def _refuse_scan_options(settings: ImageSettings) -> None:
    """Refuse what needs an instrument that follows the drift or scans rows out of their order."""
    if settings.scan_interlacing_count > 1 or settings.is_drift_corrected:
        asked = (
            "drift correction" if settings.is_drift_corrected else f"{settings.scan_interlacing_count} x interlacing"
        )
        raise NotSupportedError(f"asked for {asked}, a simulated frame has neither; no image was taken")


def scan_time_s(settings: ImageSettings) -> float:
    """Return pixels x dwell x integrations of the scanned area; fly-back belongs to the fixed cost."""
    width_px, height_px = settings.width_px, settings.height_px
    if settings.reduced_area is not None:
        _, _, width_px, height_px = settings.reduced_area.to_pixels(width_px, height_px)
    repeats = settings.line_integration_count * settings.frame_integration_count
    return width_px * height_px * settings.dwell_time_s * repeats


def film_distance_m(view: View, surface_m: float = 0.0) -> float:
    """Return how far beyond the coincidence plane the film, or a surface above it, lies on the central ray."""
    slope = float(view.direction[2])
    return 0.0 if abs(slope) < _SMALLEST_SLOPE else (surface_m - float(view.origin[2])) / slope


def _record(frame_id: str, view: View, settings: ImageSettings, sights: Sequence[BodySight]) -> FrameRecord:
    area = region_of(settings)
    return FrameRecord(
        frame_id=frame_id,
        origin_m=as_triple(view.origin),
        right=as_triple(view.right),
        up=as_triple(view.up),
        direction=as_triple(view.direction),
        pixel_size_m=settings.pixel_size_m,
        width_px=settings.width_px,
        height_px=settings.height_px,
        left_px=area.left_px,
        top_px=area.top_px,
        area_width_px=area.width_px,
        area_height_px=area.height_px,
        sights=[
            SightRecord(
                body=one.body.number,
                origin_m=as_triple(one.view.origin),
                right=as_triple(one.view.right),
                up=as_triple(one.view.up),
                direction=as_triple(one.view.direction),
                cut_count=len(one.body.sample.cuts),
                carrier=one.body.carrier,
                held_by=one.held_by,
            )
            for one in sights
        ],
    )
