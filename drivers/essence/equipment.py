"""What a column of a TESCAN instrument has beyond the beam."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers.essence.column import EssenceColumn, refused, turned
from drivers.essence.electron import EssenceElectronBeam
from drivers.essence.ion import EssenceIonBeam
from drivers.essence.patterning import EssencePatterning
from drivers.essence.settings import TimeLimitSettings
from fibsem_runtime.core import CancelToken, DetectorSettings, Image, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import HardwareError, NotSupportedError, RefusedSettingError
from fibsem_runtime.hal.equipment import ColumnEquipment

LEVEL_TOLERANCE_FRACTION = 0.01
"""How near gain and black level must read back (assumed; finer than the guards')."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EssenceSource:
    """Switch of one beam."""

    beam: EssenceColumn[Any, Any]
    timeout_s: float

    def turn_on(self, *, cancel: CancelToken) -> None:
        """Switch on and wait until the beam reads on; raise `HardwareError` when it does not in time."""
        cancel.raise_if_cancelled()
        if not self.beam.is_on():
            self.beam.port.turn_on()
            self.beam.wait_for(self.beam.is_on, self.timeout_s, "come on")

    def turn_off(self) -> None:
        """Switch off and wait until the beam reads off; high voltage that is still changing is not off."""
        if not self.beam.port.is_off():
            self.beam.port.turn_off()
            self.beam.wait_for(self.beam.port.is_off, self.timeout_s, "go off")


@dataclass(frozen=True, slots=True, kw_only=True)
class EssenceDetectors:
    """Detectors of one column; TESCAN's have no modes. Gain is contrast, black is brightness (vendor-tescan.md A4)."""

    beam: EssenceColumn[Any, Any]

    def available(self) -> Sequence[str]:
        """Return the names of the detectors of this column."""
        names: Sequence[str] = self.beam.port.detectors()
        return names

    def modes(self) -> Sequence[str]:
        """Return nothing: a detector has one mode."""
        return ()

    def select(self, name: str, *, mode: str | None = None) -> DetectorSettings:
        """Use a detector; raise `NotSupportedError` for one that is not there or for a mode.

        Raises `RefusedSettingError` when another one reads back.
        """
        if name not in self.available():
            listed = ", ".join(self.available())
            raise NotSupportedError(
                f"{self.beam.name}: it has no detector {name!r}, but: {listed}; nothing was changed"
            )
        if mode:
            raise NotSupportedError(
                f"{self.beam.name}: the mode {mode!r} was asked for, TESCAN's detectors have none; nothing was changed"
            )
        self.beam.port.select_detector(name)
        return self.beam.detector()

    def set_levels(self, *, brightness_fraction: float, contrast_fraction: float) -> DetectorSettings:
        """Set gain and black level of the detector in use; raise `RefusedSettingError` when they do not read back."""
        self.beam.port.set_levels(brightness_fraction=brightness_fraction, contrast_fraction=contrast_fraction)
        found = self.beam.detector()
        for what, asked, read in (
            ("brightness", brightness_fraction, found.brightness_fraction),
            ("contrast", contrast_fraction, found.contrast_fraction),
        ):
            if not abs(asked - read) <= LEVEL_TOLERANCE_FRACTION:
                raise refused(self.beam.name, what, f"{asked:.3f}", f"{read:.3f}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class EssenceAutoFocus:
    """Focusing of the electron beam; no interface focuses the ion beam."""

    beam: EssenceElectronBeam
    timeout_s: float

    def focus(self, *, cancel: CancelToken) -> float:
        """Focus and return the working distance read back, m."""
        cancel.raise_if_cancelled()
        self.beam.require_beam("focusing")
        self.beam.port.stop_scan()
        self.beam.port.auto_focus()
        self.beam.wait_until_ready(self.timeout_s, "find its focus")
        return self.beam.port.working_distance_m()


@dataclass(slots=True, kw_only=True)
class EssenceLiveView:
    """Frame after frame on demand: nothing streams, a live view is repeated frames (vendor-tescan.md A4).

    The sample is scanned only while somebody waits for a frame.
    """

    beam: EssenceColumn[Any, Any]
    _settings: ImageSettings | None = field(default=None, init=False)

    @property
    def is_running(self) -> bool:
        """Return whether frames are promised."""
        return self._settings is not None

    def start(self, settings: ImageSettings) -> None:
        """Take frames like this from now on."""
        self.beam.require_beam("the live view")
        self._settings = settings

    def frame(self, *, cancel: CancelToken) -> Image:
        """Scan one more frame; raise `HardwareError` when the live view was not started."""
        if self._settings is None:
            raise HardwareError(f"{self.beam.name}: its live view was not started; start it first")
        return self.beam.acquire(self._settings, cancel=cancel)

    def stop(self) -> None:
        """Take no more; whatever scans is ended."""
        self._settings = None
        self.beam.port.stop_scan()


@dataclass(frozen=True, slots=True, kw_only=True)
class EssenceElectronPresets:
    """Presets of the electron column, as the instrument names them."""

    beam: EssenceElectronBeam

    def available(self) -> Sequence[str]:
        """Return the names; a name that the instrument lists twice is listed once."""
        return list(dict.fromkeys(self.beam.port.presets()))

    def activate(self, name: str, *, cancel: CancelToken) -> None:
        """Activate a preset and put back field, rotation and shift, which that resets (vendor-tescan.md A4)."""
        cancel.raise_if_cancelled()
        beam, port = self.beam, self.beam.port
        field_m, rotation_rad, shift = port.field_m(), port.scan_rotation_rad(), port.column_shift()
        port.stop_scan()
        port.activate(name)
        beam.wait_until_ready()
        beam.set_field(field_m)
        if not math.isnan(rotation_rad):
            beam.set_scan_rotation(rotation_rad)
        beam.set_shift(turned(shift, -beam.scan_rotation_rad()))


@dataclass(frozen=True, slots=True, kw_only=True)
class EssenceIonPresets:
    """Presets of the ion column that the settings know: of any other nobody knows what it delivers."""

    beam: EssenceIonBeam

    def available(self) -> Sequence[str]:
        """Return the names."""
        return [preset.name for preset in self.beam.limits.presets]

    def activate(self, name: str, *, cancel: CancelToken) -> None:
        """Activate a preset, put back what that resets, and measure its current."""
        cancel.raise_if_cancelled()
        self.beam.activate(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class EssenceIonSpot:
    """A timed dot of DrawBeam: the ion column has neither a spot mode nor a blanker (vendor-tescan.md A4)."""

    beam: EssenceIonBeam
    milling: EssencePatterning

    def expose(self, point: ImagePoint, *, duration_s: float, cancel: CancelToken) -> None:
        """Expose one dot for ``duration_s``; the beam is held back afterwards if it was before.

        Raises `RefusedSettingError` for a time that is not above 0, `MillingError` when DrawBeam does not expose it.
        """
        if not 0 < duration_s < math.inf:
            raise RefusedSettingError(f"{self.beam.name}: asked for a spot of {duration_s:g} s, it must be above 0 s")
        cancel.raise_if_cancelled()
        was_blanked = self.beam.is_blanked()
        if was_blanked:
            self.beam.set_blanked(blanked=False)
        try:
            self.milling.expose_dot(point, duration_s=duration_s, cancel=cancel)
        finally:
            if was_blanked:
                self.beam.set_blanked(blanked=True)


def electron_equipment(beam: EssenceElectronBeam, limits: TimeLimitSettings) -> ColumnEquipment:
    """Return what both interfaces offer for the electron column."""
    return ColumnEquipment(
        source=EssenceSource(beam=beam, timeout_s=limits.beam_on_s),
        detectors=EssenceDetectors(beam=beam),
        auto_focus=EssenceAutoFocus(beam=beam, timeout_s=limits.focus_s),
        live_view=EssenceLiveView(beam=beam),
        presets=EssenceElectronPresets(beam=beam),
    )


def ion_equipment(
    beam: EssenceIonBeam, limits: TimeLimitSettings, *, spot: EssenceIonSpot | None = None
) -> ColumnEquipment:
    """Return what both interfaces offer for the ion column, and a spot where there is one."""
    return ColumnEquipment(
        source=EssenceSource(beam=beam, timeout_s=limits.beam_on_s),
        detectors=EssenceDetectors(beam=beam),
        live_view=EssenceLiveView(beam=beam),
        presets=EssenceIonPresets(beam=beam),
        spot=spot,
    )
