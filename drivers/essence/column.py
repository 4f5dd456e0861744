"""What both columns have in common: field, rotation, shift, detector and frames."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from drivers.essence.ports import ColumnPort, Scan
from drivers.essence.settings import ColumnSettings
from drivers.essence.stage import EssenceStage
from fibsem_runtime.core import (
    BeamSettings,
    BeamType,
    CancelToken,
    Clock,
    DetectorSettings,
    Image,
    ImageMetadata,
    ImagePoint,
    ImageSettings,
    InstrumentInfo,
)
from fibsem_runtime.core.errors import BeamError, HardwareError, NotSupportedError, RefusedSettingError
from fibsem_runtime.core.units import format_angle, format_quantity

PortT = TypeVar("PortT", bound=ColumnPort)
SettingsT = TypeVar("SettingsT", bound=ColumnSettings)

FIELD_TOLERANCE_RATIO = 1e-3
ROTATION_TOLERANCE_RAD = math.radians(0.05)
SHIFT_TOLERANCE_M = 5e-9
"""How near a setting must read back (assumed; finer than the guards')."""

BUSY_POLL_S = 0.5
IDLE_COUNT = 2
"""How often a column is asked whether it is busy, and how many answers in a row say that it is not: the first may come
before what was ordered has begun (assumed, as for the stage)."""


def turned(vector: ImagePoint, angle_rad: float) -> ImagePoint:
    """Return a vector of the image turned counter-clockwise."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    # Half turns stay exact, so that a shift reads back as the number that was set.
    if abs(abs(math.remainder(angle_rad, math.tau)) - math.pi) < ROTATION_TOLERANCE_RAD / 1e3:
        return -vector
    return ImagePoint(vector.x_m * cos - vector.y_m * sin, vector.x_m * sin + vector.y_m * cos)


@dataclass(kw_only=True)
class EssenceColumn(ABC, Generic[PortT, SettingsT]):
    """One column; subclasses know how its current, voltage, focus and blanking are set.

    A view and a detector belong to one column, so that two threads never get each other's frame; what is sent over the
    wire is serialised by the connection.
    """

    port: PortT
    limits: SettingsT
    clock: Clock
    stage: EssenceStage
    info: InstrumentInfo
    session: str
    busy_timeout_s: float
    beam_type: BeamType
    _frames: count[int] = field(default_factory=lambda: count(1))

    @property
    def shift_limit_m(self) -> float:
        """Return the largest beam shift per axis."""
        return self.limits.shift_limit_m

    def is_on(self) -> bool:
        """Read whether the source delivers a beam."""
        return self.port.is_on()

    def detector(self) -> DetectorSettings:
        """Read the detector in use."""
        return self.port.detector()

    @abstractmethod
    def settings(self) -> BeamSettings:
        """Read the state of the beam."""

    @abstractmethod
    def is_blanked(self) -> bool:
        """Read whether the beam is kept off the sample."""

    def scan_rotation_rad(self) -> float:
        """Read the scan rotation; raise `HardwareError` where the instrument cannot tell and the site has not said."""
        found_rad = self.port.scan_rotation_rad()
        if not math.isnan(found_rad):
            return found_rad
        if self.limits.unreadable_rotation_deg is None:
            raise HardwareError(
                f"{self.name}: the scan rotation reads back as no number, as on the vendor's simulator; set "
                "unreadable_rotation_deg of the column to what the instrument's window shows"
            )
        return math.radians(self.limits.unreadable_rotation_deg)

    def _shift(self) -> ImagePoint:
        """Read the beam shift along the image: the column's own, turned back by the scan rotation.

        TESCAN applies the shift before the scan rotation (vendor-geometry.md section 9, verified for 0 and 180° on the
        vendor's simulator; other angles are extrapolated).
        """
        return turned(self.port.column_shift(), -self.scan_rotation_rad())

    def set_shift(self, shift: ImagePoint) -> ImagePoint:
        """Shift the image content by ``shift`` along the image; refuse beyond the limit before anything changes."""
        if not (abs(shift.x_m) <= self.shift_limit_m and abs(shift.y_m) <= self.shift_limit_m):
            raise RefusedSettingError(
                f"{self.name}: asked for a beam shift of {format_quantity(shift.x_m, 'm')}, "
                f"{format_quantity(shift.y_m, 'm')}, allowed are ±{format_quantity(self.shift_limit_m, 'm')} per axis; "
                "it is unchanged, move the stage instead"
            )
        self.port.set_column_shift(turned(shift, self.scan_rotation_rad()))
        found = self._shift()
        if not (found - shift).length_m <= SHIFT_TOLERANCE_M:
            raise refused(self.name, "beam shift", f"{_micrometres(shift)}", f"{_micrometres(found)}")
        return found

    def set_scan_rotation(self, scan_rotation_rad: float) -> float:
        """Rotate the scan; the beam stays on its place of the sample, so that the shift along the image turns."""
        self.port.set_scan_rotation(scan_rotation_rad)
        found_rad = self.scan_rotation_rad()
        if not abs(math.remainder(found_rad - scan_rotation_rad, math.tau)) <= ROTATION_TOLERANCE_RAD:
            raise refused(self.name, "scan rotation", format_angle(scan_rotation_rad), format_angle(found_rad))
        return found_rad

    def set_field(self, hfw_m: float) -> float:
        """Set the field width and return it read back."""
        limits = self.limits.hfw_limits_m
        if not limits.contains(hfw_m):
            raise RefusedSettingError(
                f"{self.name}: asked for a field width of {format_quantity(hfw_m, 'm')}, allowed are "
                f"{format_quantity(limits.low, 'm')} to {format_quantity(limits.high, 'm')}"
            )
        self.port.set_field(hfw_m)
        found_m = self.port.field_m()
        if not math.isclose(found_m, hfw_m, rel_tol=FIELD_TOLERANCE_RATIO):
            raise refused(self.name, "field width", format_quantity(hfw_m, "m"), format_quantity(found_m, "m"))
        return found_m

    def auto_contrast(self, *, cancel: CancelToken) -> DetectorSettings:
        """Let the instrument set gain (contrast) and black level (brightness) for the present field."""
        cancel.raise_if_cancelled()
        self.require_beam("auto contrast")
        self.port.stop_scan()
        self.port.auto_signal()
        self.wait_until_ready()
        return self.detector()

    def acquire(self, settings: ImageSettings, *, cancel: CancelToken) -> Image:
        """Scan one frame and return it with the state read around it."""
        cancel.raise_if_cancelled()
        self._refuse_integration(settings)
        self.require_beam("imaging")
        self.set_field(settings.hfw_m)
        beam, position, started_at = self.settings(), self.stage.position(), self.clock.now()
        request = _scan(settings)
        pixels = self.port.scan(request, cancel=cancel)
        left_top_size = request.area_px or (0, 0, settings.width_px, settings.height_px)
        if pixels.shape != (left_top_size[3], left_top_size[2]):
            raise HardwareError(
                f"{self.name}: asked for a frame of {left_top_size[2]} x {left_top_size[3]} px, got "
                f"{pixels.shape[1]} x {pixels.shape[0]} px; the frame is thrown away, take it again"
            )
        metadata = ImageMetadata(
            beam_type=self.beam_type,
            pixel_size_m=beam.hfw_m / settings.width_px,
            dwell_time_s=request.dwell_time_ns / 1e9,
            acquired_at=started_at,
            beam=beam,
            detector=self.detector(),
            stage_position=position,
            reduced_area=settings.reduced_area,
            instrument=self.info,
            frame_id=f"{self.session}-{self.beam_type.value.lower()}-{next(self._frames):06d}",
        )
        return Image(pixels, metadata)

    @property
    def name(self) -> str:
        """Return the column's name as it reads at the start of a message."""
        return f"{self.beam_type.value.lower()} beam"

    def require_beam(self, action: str) -> None:
        """Raise `BeamError` for a beam that is off or blanked; nothing is switched on silently (safety.md I10)."""
        if not self.is_on():
            raise BeamError(f"{action} needs the {self.name}, it is off; switch it on at the instrument")
        if self.is_blanked():
            raise BeamError(f"{action} needs the {self.name}, it is blanked; unblank it first")

    def wait_until_ready(self, timeout_s: float | None = None, what: str = "become ready") -> None:
        """Wait until what was ordered has ended; raise `HardwareError` saying ``what`` did not happen in time."""
        idle_count = 0

        def is_idle() -> bool:
            nonlocal idle_count
            idle_count = 0 if self.port.is_busy() else idle_count + 1
            return idle_count >= IDLE_COUNT

        self.clock.sleep(BUSY_POLL_S)
        self.wait_for(is_idle, self.busy_timeout_s if timeout_s is None else timeout_s, what)

    def wait_for(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Poll until ``condition``; raise `HardwareError` saying ``what`` did not happen in time."""
        deadline_s = self.clock.monotonic_s() + timeout_s
        while not condition():
            if self.clock.monotonic_s() >= deadline_s:
                raise HardwareError(
                    f"{self.name}: it did not {what} within {timeout_s:g} s; look at the instrument's window for a "
                    "question or an error"
                )
            self.clock.sleep(BUSY_POLL_S)

    def _refuse_integration(self, settings: ImageSettings) -> None:
        if settings.line_integration_count > 1 or settings.frame_integration_count > 1:
            raise NotSupportedError(
                f"{self.name}: asked for {settings.line_integration_count} x line and "
                f"{settings.frame_integration_count} x frame integration, TESCAN's interface has neither; "
                "use a longer dwell time"
            )
        if settings.scan_interlacing_count > 1:
            raise NotSupportedError(
                f"{self.name}: asked for {settings.scan_interlacing_count} x interlacing, TESCAN's interface has none; "
                "scan without"
            )


def refused(name: str, what: str, asked: str, found: str) -> RefusedSettingError:
    """Return the error for a setting of the column ``name`` whose read-back differs."""
    return RefusedSettingError(
        f"{name}: asked for a {what} of {asked}, the instrument reads back {found}; set it at the instrument and look "
        "why it refuses"
    )


def _scan(settings: ImageSettings) -> Scan:
    area = settings.reduced_area
    return Scan(
        width_px=settings.width_px,
        height_px=settings.height_px,
        area_px=None if area is None else area.to_pixels(settings.width_px, settings.height_px),
        dwell_time_ns=round(settings.dwell_time_s * 1e9),
        bit_depth=settings.bit_depth,
    )


def _micrometres(shift: ImagePoint) -> str:
    return f"{shift.x_m * 1e6:.4f}, {shift.y_m * 1e6:.4f} µm"
