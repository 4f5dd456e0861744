"""A beam behind its guards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fibsem_runtime.core import (
    BeamSettings,
    BeamType,
    CancelToken,
    DetectorSettings,
    Image,
    ImagePoint,
    ImageSettings,
)
from fibsem_runtime.core.errors import RefusedSettingError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.hal.devices import Beam
from fibsem_runtime.hal.guards.interlocks import Interlocks
from fibsem_runtime.hal.guards.readback import check_current_exists, check_ratio, check_value
from fibsem_runtime.hal.guards.settings import GuardSettings

PIXEL_SIZE_TOLERANCE_PERCENT = 1.0
"""How near the pixel size of an image must be to the one asked for (assumed); a larger one is another field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedBeam:
    """Refuse settings out of range and images that cannot be, and notice what the instrument did not take over."""

    beam: Beam
    interlocks: Interlocks
    limits: GuardSettings

    @property
    def beam_type(self) -> BeamType:
        """Name the column."""
        return self.beam.beam_type

    @property
    def available_currents_a(self) -> Sequence[float]:
        """Return the beam currents that can be set, ascending."""
        return self.beam.available_currents_a

    @property
    def shift_limit_m(self) -> float:
        """Return the largest beam shift per axis."""
        return self.beam.shift_limit_m

    def is_on(self) -> bool:
        """Read whether the source delivers a beam."""
        return self.beam.is_on()

    def is_blanked(self) -> bool:
        """Read whether the beam is kept off the sample."""
        return self.beam.is_blanked()

    def settings(self) -> BeamSettings:
        """Read the state of the beam."""
        return self.beam.settings()

    def detector(self) -> DetectorSettings:
        """Read the detector in use."""
        return self.beam.detector()

    def set_current(self, beam_current_a: float) -> float:
        """Select an available current; raise `RefusedSettingError` when there is none such or it does not read back."""
        self.interlocks.refuse_while_milling(f"change the {self._name} current")
        check_current_exists(f"an {self._name} current of", beam_current_a, self.available_currents_a)
        self.beam.set_current(beam_current_a)
        return check_ratio(
            f"an {self._name} current of",
            asked=beam_current_a,
            found=self.beam.settings().beam_current_a,
            tolerance_percent=self.limits.current_tolerance_percent,
            unit="A",
        )

    def set_voltage(self, voltage_v: float) -> float:
        """Select a voltage; raise `RefusedSettingError` when it does not read back."""
        self.interlocks.refuse_while_milling(f"change the {self._name} voltage")
        self.interlocks.require_vacuum(f"change the {self._name} voltage")
        _refuse_nonpositive(f"an {self._name} voltage", voltage_v, "V")
        self.beam.set_voltage(voltage_v)
        return check_ratio(
            f"an {self._name} voltage of",
            asked=voltage_v,
            found=self.beam.settings().voltage_v,
            tolerance_percent=self.limits.voltage_tolerance_percent,
            unit="V",
        )

    def set_working_distance(self, working_distance_m: float) -> float:
        """Focus; raise `RefusedSettingError` when the working distance does not read back."""
        self.interlocks.refuse_while_milling(f"focus the {self._name} beam")
        _refuse_nonpositive(f"an {self._name} working distance", working_distance_m, "m")
        self.beam.set_working_distance(working_distance_m)
        return check_value(
            f"an {self._name} working distance of",
            asked=working_distance_m,
            found=self.beam.settings().working_distance_m,
            tolerance=self.limits.working_distance_tolerance_m,
            unit="m",
        )

    def set_shift(self, shift: ImagePoint) -> ImagePoint:
        """Set the beam shift; raise `RefusedSettingError` outside its limit or when it does not read back."""
        self.interlocks.refuse_while_milling(f"shift the {self._name} beam")
        for axis, asked_m in (("x", shift.x_m), ("y", shift.y_m)):
            if not abs(asked_m) <= self.shift_limit_m:
                raise RefusedSettingError(
                    f"asked for an {self._name} beam shift of {axis} {format_quantity(asked_m, 'm')}, allowed are "
                    f"±{format_quantity(self.shift_limit_m, 'm')}; the shift is unchanged, move the stage instead"
                )
        self.beam.set_shift(shift)
        found = self.beam.settings().shift
        for axis, asked_m, found_m in (("x", shift.x_m, found.x_m), ("y", shift.y_m, found.y_m)):
            what = f"an {self._name} beam shift of {axis}"
            check_value(what, asked=asked_m, found=found_m, tolerance=self.limits.shift_tolerance_m, unit="m")
        return found

    def set_scan_rotation(self, scan_rotation_rad: float) -> float:
        """Rotate the scan; raise `RefusedSettingError` when it does not read back (whole turns do not count)."""
        self.interlocks.refuse_while_milling(f"rotate the {self._name} scan")
        _refuse_nonfinite(f"an {self._name} scan rotation", scan_rotation_rad, "rad")
        self.beam.set_scan_rotation(scan_rotation_rad)
        found_rad = self.beam.settings().scan_rotation_rad
        check_value(
            f"an {self._name} scan rotation of",
            asked=scan_rotation_rad,
            found=scan_rotation_rad + math.remainder(found_rad - scan_rotation_rad, math.tau),
            tolerance=self.limits.angle_tolerance_rad,
            unit="rad",
        )
        return found_rad

    def set_blanked(self, *, blanked: bool) -> bool:
        """Blank, at any time, or unblank; raise `RefusedSettingError` when the instrument reads back the opposite."""
        if not blanked:
            self.interlocks.refuse_while_milling(f"unblank the {self._name} beam")
        self.beam.set_blanked(blanked=blanked)
        if self.beam.is_blanked() is not blanked:
            raise RefusedSettingError(
                f"asked for the {self._name} beam to be {'blanked' if blanked else 'unblanked'}, the instrument reads "
                "back the opposite; look at its beam control"
            )
        return blanked

    def auto_contrast(self, *, cancel: CancelToken) -> DetectorSettings:
        """Let the instrument set brightness and contrast; needs the same as an image."""
        self._require_image(f"adjust the {self._name} contrast")
        cancel.raise_if_cancelled()
        return self.beam.auto_contrast(cancel=cancel)

    def acquire(self, settings: ImageSettings, *, cancel: CancelToken) -> Image:
        """Scan one frame when the beam is there; raise `RefusedSettingError` when it has not the field asked for."""
        self._require_image(f"take an {self._name} image")
        cancel.raise_if_cancelled()
        image = self.beam.acquire(settings, cancel=cancel)
        check_ratio(
            f"an {self._name} image with a pixel size of",
            asked=settings.pixel_size_m,
            found=image.pixel_size_m,
            tolerance_percent=PIXEL_SIZE_TOLERANCE_PERCENT,
            unit="m",
        )
        return image

    @property
    def _name(self) -> str:
        return self.beam_type.value.lower()

    def _require_image(self, action: str) -> None:
        self.interlocks.refuse_while_milling(action)
        self.interlocks.require_vacuum(action)
        self.interlocks.require_beam(self.beam, action)


def _refuse_nonpositive(what: str, asked: float, unit: str) -> None:
    if not (math.isfinite(asked) and asked > 0):
        raise RefusedSettingError(f"asked for {what} of {asked:g} {unit}, it must be above 0 {unit}")


def _refuse_nonfinite(what: str, asked: float, unit: str) -> None:
    if not math.isfinite(asked):
        raise RefusedSettingError(f"asked for {what} of {asked:g} {unit}, it must be a number")
