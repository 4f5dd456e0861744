"""The electron and the ion column."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from drivers.thermofisher import convert
from drivers.thermofisher.conditions import CURRENT_TOLERANCE_PERCENT, VOLTAGE_TOLERANCE_PERCENT
from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.frames import Frames, scan_limit_s
from drivers.thermofisher.settings import ThermoFisherSettings
from drivers.thermofisher.views import Column, select
from fibsem_runtime.core import (
    BeamSettings,
    BeamType,
    CancelToken,
    DetectorSettings,
    Image,
    ImagePoint,
    ImageSettings,
)
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.core.errors import RefusedSettingError
from fibsem_runtime.core.units import format_angle, format_quantity
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.guards.readback import check_current_exists, check_ratio, check_value

T = TypeVar("T")

_FOCUS_TOLERANCE_M: Final = 2e-6
_SHIFT_TOLERANCE_M: Final = 5e-9
_ANGLE_TOLERANCE_RAD: Final = 1e-3
"""Assumed; the offline server reads these back exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherBeam:
    """One column; every frame is taken from its own view, verified before and after."""

    connection: Connection
    config: ThermoFisherSettings
    column: Column
    clock: Clock
    frames: Frames

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
            self.column.require_beam(client)
            select(client, self.column)
            # A reduced area that an earlier frame has left behind would be adjusted to (section 6).
            self.column.beam(client).scanning.mode.set_full_frame()
            client.auto_functions.run_auto_cb()
            return self._read_detector(client)

        return self.connection.call(f"adjust the {self.column.name} contrast", adjust)

    def acquire(self, settings: ImageSettings, *, cancel: CancelToken) -> Image:
        """Scan one frame from the beam's own view and return it with the state it was taken in.

        Raises `BeamError` for a beam that is off or blanked, `RefusedSettingError` when field, size or depth are not
        those asked for.
        """
        cancel.raise_if_cancelled()
        return self.connection.call(
            f"take an {self.column.name} image",
            lambda client: self.frames.grab(client, settings),
            limit_s=self.config.time_limits.call_s + scan_limit_s(settings),
        )

    def _read_detector(self, client: Client) -> DetectorSettings:
        select(client, self.column)
        return convert.detector_settings(client.detector)

    def _read(self, what: str, read: Callable[[Any], T]) -> T:
        return self.connection.call(f"read of the {self.column.name} beam {what}", lambda c: read(self.column.beam(c)))

    def _write(self, name: str, value: Any, what: str, *, settle_s: float = 0.0) -> None:
        self._change(f"set {what} {value}", lambda beam: setattr(getattr(beam, name), "value", value))
        self.clock.sleep(settle_s)

    def _change(self, what: str, change: Callable[[Any], object]) -> None:
        self.connection.call(what, lambda client: change(self.column.beam(client)), family=RefusedSettingError)

    def _refuse_outside(self, name: str, what: str, asked: float, unit: str) -> None:
        limits: AxisLimits = self._read(f"the limits of {name}", lambda b: convert.axis_limits(getattr(b, name).limits))
        if not limits.contains(asked):
            raise RefusedSettingError(
                f"asked for {what} {format_quantity(asked, unit)}, allowed are {format_quantity(limits.low, unit)} to "
                f"{format_quantity(limits.high, unit)}; it is unchanged"
            )
