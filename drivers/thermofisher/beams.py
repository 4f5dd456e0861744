"""The electron and the ion column."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from drivers.thermofisher import convert
from drivers.thermofisher.conditions import CURRENT_TOLERANCE_PERCENT, VOLTAGE_TOLERANCE_PERCENT, set_field
from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.settings import ThermoFisherSettings
from drivers.thermofisher.stage import ThermoFisherStage
from drivers.thermofisher.views import Column, select, verify
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
)
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.core.errors import BeamError, RefusedSettingError
from fibsem_runtime.core.units import format_angle, format_quantity
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.guards.readback import check_current_exists, check_ratio, check_value

T = TypeVar("T")

_FOCUS_TOLERANCE_M: Final = 2e-6
_SHIFT_TOLERANCE_M: Final = 5e-9
_ANGLE_TOLERANCE_RAD: Final = 1e-3
"""Assumed; the offline server reads these back exactly."""

_SCAN_OVERHEAD_RATIO: Final = 1.5
"""Scan time over pixels times dwell, generously: line overheads are 6 to 178 µs (vendor-fakes.md section 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherBeam:
    """One column; every frame is taken from its own view, verified before and after."""

    connection: Connection
    config: ThermoFisherSettings
    column: Column
    stage: ThermoFisherStage
    clock: Clock
    info: InstrumentInfo
    frame_numbers: Iterator[int]

    @property
    def beam_type(self) -> BeamType:
        """Name the column."""
        return self.column.beam_type

    @property
    def available_currents_a(self) -> Sequence[float]:
        """Return the currents that can be set at the present voltage, ascending.

        The ion column lists them, the electron column takes any within its limits and offers the configured ones.
        """
        if self.beam_type is BeamType.ION:
            return self._read("its currents", lambda beam: convert.currents_a(beam.beam_current.available_values))
        limits = self._read("its current limits", lambda beam: convert.axis_limits(beam.beam_current.limits))
        offered_a = (current_pa / 1e12 for current_pa in self.config.electron_currents_pa)
        return tuple(current_a for current_a in offered_a if limits.contains(current_a))

    @property
    def shift_limit_m(self) -> float:
        """Return the largest beam shift per axis."""
        return self._read("its shift limits", lambda beam: convert.shift_limit_m(beam.beam_shift.limits))

    def is_on(self) -> bool:
        """Read whether the source delivers a beam."""
        return self._read("whether it is on", lambda beam: bool(beam.is_on))

    def is_blanked(self) -> bool:
        """Read whether the beam is kept off the sample."""
        return self._read("whether it is blanked", lambda beam: bool(beam.is_blanked))

    def settings(self) -> BeamSettings:
        """Read the state of the beam."""
        return self._read("its settings", convert.beam_settings)

    def detector(self) -> DetectorSettings:
        """Read the detector of the beam's view."""
        return self.connection.call(f"read the {self.column.name} detector", self._read_detector)

    def set_current(self, beam_current_a: float) -> float:
        """Select a listed current, wait until the column has settled and return the current read back."""
        what = f"an {self.column.name} current of"
        check_current_exists(what, beam_current_a, self.available_currents_a)
        if not math.isclose(self.settings().beam_current_a, beam_current_a, rel_tol=1e-6):
            self._write("beam_current", beam_current_a, what, settle_s=self.config.settling.current_s)
        found_a = self.settings().beam_current_a
        return check_ratio(
            what, asked=beam_current_a, found=found_a, tolerance_percent=CURRENT_TOLERANCE_PERCENT, unit="A"
        )

    def set_voltage(self, voltage_v: float) -> float:
        """Select a voltage, wait until the column has settled and return the voltage read back.

        The ion column's currents depend on it: set the voltage first.
        """
        what = f"an {self.column.name} voltage of"
        self._refuse_outside("high_voltage", what, voltage_v, "V")
        if not math.isclose(self.settings().voltage_v, voltage_v, rel_tol=1e-6):
            self._write("high_voltage", voltage_v, what, settle_s=self.config.settling.voltage_s)
        found_v = self.settings().voltage_v
        return check_ratio(what, asked=voltage_v, found=found_v, tolerance_percent=VOLTAGE_TOLERANCE_PERCENT, unit="V")

    def set_working_distance(self, working_distance_m: float) -> float:
        """Focus and return the working distance read back."""
        what = f"an {self.column.name} working distance of"
        self._refuse_outside("working_distance", what, working_distance_m, "m")
        self._write("working_distance", working_distance_m, what)
        found_m = self.settings().working_distance_m
        return check_value(what, asked=working_distance_m, found=found_m, tolerance=_FOCUS_TOLERANCE_M, unit="m")

    def set_shift(self, shift: ImagePoint) -> ImagePoint:
        """Shift the image content by ``shift`` (aligned with the image, vendor-geometry.md section 9)."""
        limit_m = self.shift_limit_m
        if not max(abs(shift.x_m), abs(shift.y_m)) <= limit_m:
            raise RefusedSettingError(
                f"asked for an {self.column.name} beam shift of x {format_quantity(shift.x_m, 'm')}, y "
                f"{format_quantity(shift.y_m, 'm')}, allowed are ±{format_quantity(limit_m, 'm')}; move the stage"
            )
        what = f"an {self.column.name} beam shift of"
        self._write("beam_shift", self.connection.sdk.structures.Point(shift.x_m, shift.y_m), what)
        found = self.settings().shift
        for axis, asked_m, found_m in (("x", shift.x_m, found.x_m), ("y", shift.y_m, found.y_m)):
            check_value(f"{what} {axis}", asked=asked_m, found=found_m, tolerance=_SHIFT_TOLERANCE_M, unit="m")
        return found

    def set_scan_rotation(self, scan_rotation_rad: float) -> float:
        """Rotate the scan and return the angle read back."""
        self._change(
            f"set the {self.column.name} scan rotation to {format_angle(scan_rotation_rad)}",
            lambda beam: setattr(beam.scanning.rotation, "value", scan_rotation_rad),
        )
        found_rad = self.settings().scan_rotation_rad
        check_value(
            f"an {self.column.name} scan rotation of",
            asked=0.0,
            found=math.remainder(found_rad - scan_rotation_rad, math.tau),
            tolerance=_ANGLE_TOLERANCE_RAD,
            unit="rad",
        )
        return found_rad

    def set_blanked(self, *, blanked: bool) -> bool:
        """Blank or unblank and return the state read back."""
        action = "blank" if blanked else "unblank"
        self._change(f"{action} the {self.column.name} beam", lambda beam: getattr(beam, action)())
        if self.is_blanked() is not blanked:
            raise RefusedSettingError(
                f"asked to {action} the {self.column.name} beam, the instrument reads back the opposite; look at it"
            )
        return blanked

    def auto_contrast(self, *, cancel: CancelToken) -> DetectorSettings:
        """Let the instrument set brightness and contrast on the full frame and return the detector."""
        cancel.raise_if_cancelled()

        def adjust(client: Client) -> DetectorSettings:
            self._require_beam(client)
            select(client, self.column)
            # A reduced area that an earlier frame has left behind would be adjusted to (section 6).
            self._beam(client).scanning.mode.set_full_frame()
            client.auto_functions.run_auto_cb()
            return self._read_detector(client)

        return self.connection.call(f"adjust the {self.column.name} contrast", adjust)

    def acquire(self, settings: ImageSettings, *, cancel: CancelToken) -> Image:
        """Scan one frame from the beam's own view and return it with the state it was taken in.

        Raises `BeamError` for a beam that is off or blanked, `RefusedSettingError` when field, size or depth are not
        those asked for.
        """
        cancel.raise_if_cancelled()
        scan_s = (
            settings.width_px
            * settings.height_px
            * (settings.dwell_time_s + 0.2e-6)
            * settings.line_integration_count
            * settings.frame_integration_count
        )
        return self.connection.call(
            f"take an {self.column.name} image",
            lambda client: self._grab(client, settings),
            limit_s=self.config.time_limits.call_s + _SCAN_OVERHEAD_RATIO * scan_s,
        )

    def _grab(self, client: Client, settings: ImageSettings) -> Image:
        self._require_beam(client)
        select(client, self.column)
        beam = self._beam(client)
        set_field(beam, settings.hfw_m, self.column)
        if settings.reduced_area is None:
            # No reduced area means the last one, unless the full frame is selected (fibsem#74).
            beam.scanning.mode.set_full_frame()
        started_at = self.clock.now()
        adorned = self._grab_frame(client, settings)
        verify(client, self.column)
        metadata = self._metadata(client, adorned, settings, started_at)
        return Image(convert.pixels(adorned, settings), metadata)

    def _grab_frame(self, client: Client, settings: ImageSettings) -> Any:
        """Grab at once what the instrument offers as a preset, through a file what it does not (section 6)."""
        request = convert.grab_settings(self.connection.sdk, settings)
        if convert.resolution(settings) in self._beam(client).scanning.resolution.available_values:
            return client.imaging.grab_frame(request)
        with tempfile.TemporaryDirectory(prefix="fibsem-runtime-") as folder:
            file = str(Path(folder) / "frame.tif")
            tiff = self.connection.sdk.enumerations.ImageFileFormat.TIFF
            client.imaging.grab_frame_to_disk(file, tiff, request)
            return self.connection.sdk.structures.AdornedImage.load(file)

    def _metadata(self, client: Client, adorned: Any, settings: ImageSettings, started_at: datetime) -> ImageMetadata:
        return ImageMetadata(
            beam_type=self.beam_type,
            pixel_size_m=convert.pixel_size_m(adorned),
            dwell_time_s=convert.dwell_time_s(adorned),
            acquired_at=started_at,
            beam=convert.beam_settings(self._beam(client)),
            detector=convert.detector_settings(client.detector),
            stage_position=self.stage.read(client),
            reduced_area=settings.reduced_area,
            instrument=self.info,
            frame_id=f"{self.info.serial_number}-{started_at:%Y%m%dT%H%M%S}-{next(self.frame_numbers):06d}",
        )

    def _require_beam(self, client: Client) -> None:
        beam = self._beam(client)
        if not beam.is_on or beam.is_blanked:
            found, remedy = ("blanked", "unblank it first") if beam.is_on else ("off", "switch it on first")
            raise BeamError(f"the {self.column.name} beam is {found}; {remedy}")

    def _read_detector(self, client: Client) -> DetectorSettings:
        select(client, self.column)
        return convert.detector_settings(client.detector)

    def _beam(self, client: Client) -> Any:
        return getattr(client.beams, self.column.attribute)

    def _read(self, what: str, read: Callable[[Any], T]) -> T:
        return self.connection.call(f"read of the {self.column.name} beam {what}", lambda c: read(self._beam(c)))

    def _write(self, name: str, value: Any, what: str, *, settle_s: float = 0.0) -> None:
        self._change(f"set {what} {value}", lambda beam: setattr(getattr(beam, name), "value", value))
        self.clock.sleep(settle_s)

    def _change(self, what: str, change: Callable[[Any], object]) -> None:
        self.connection.call(what, lambda client: change(self._beam(client)), family=RefusedSettingError)

    def _refuse_outside(self, name: str, what: str, asked: float, unit: str) -> None:
        limits: AxisLimits = self._read(f"the limits of {name}", lambda b: convert.axis_limits(getattr(b, name).limits))
        if not limits.contains(asked):
            raise RefusedSettingError(
                f"asked for {what} {format_quantity(asked, unit)}, allowed are {format_quantity(limits.low, unit)} to "
                f"{format_quantity(limits.high, unit)}; it is unchanged"
            )
