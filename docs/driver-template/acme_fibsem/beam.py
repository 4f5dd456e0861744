"""One column: its settings, its shift and its images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from acme_fibsem.convert import vendor_errors
from acme_fibsem.memory import MemoryInstrument
from acme_fibsem.stage import AcmeStage
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
from fibsem_runtime.core.errors import BeamError, NotSupportedError, RefusedSettingError

COLUMNS = {BeamType.ELECTRON: "sem", BeamType.ION: "fib"}
SHIFT_LIMIT_M = 15e-6


@dataclass(kw_only=True)
class AcmeBeam:
    """Implement `fibsem_runtime.hal.Beam`."""

    instrument: MemoryInstrument
    stage: AcmeStage
    info: InstrumentInfo
    beam_type: BeamType
    shift_limit_m: float = SHIFT_LIMIT_M
    _frames: count[int] = field(default_factory=lambda: count(1), init=False)

    @property
    def available_currents_a(self) -> Sequence[float]:
        """Return the beam currents that can be set, ascending."""
        return [current * 1e-12 for current in self.instrument.columns[self._column].currents_pa]

    def is_on(self) -> bool:
        """Read whether the source delivers a beam; here it always does."""
        return True

    def is_blanked(self) -> bool:
        """Read whether the beam is kept off the sample."""
        return bool(self._get("blanked"))

    def settings(self) -> BeamSettings:
        """Read the state of the beam."""
        return BeamSettings(
            voltage_v=self._get("voltage_kv") * 1e3,
            beam_current_a=self._get("current_pa") * 1e-12,
            working_distance_m=self._get("focus_mm") * 1e-3,
            hfw_m=self._get("field_um") * 1e-6,
            shift=ImagePoint(self._get("shift_x_um") * 1e-6, self._get("shift_y_um") * 1e-6),
            scan_rotation_rad=math.radians(self._get("rotation_deg")),
        )

    def detector(self) -> DetectorSettings:
        """Read the detector in use; the vendor counts per cent."""
        return DetectorSettings(
            name="ACME-SE",
            mode="SE",
            brightness_fraction=self._get("brightness") / 100,
            contrast_fraction=self._get("contrast") / 100,
        )

    def set_current(self, beam_current_a: float) -> float:
        """Select an available current and return the one read back."""
        with vendor_errors(f"select {beam_current_a * 1e12:g} pA", RefusedSettingError):
            self.instrument.set(self._column, "current_pa", beam_current_a * 1e12)
        return self.settings().beam_current_a

    def set_voltage(self, voltage_v: float) -> float:
        """Select a voltage and return the one read back."""
        self.instrument.set(self._column, "voltage_kv", voltage_v * 1e-3)
        return self.settings().voltage_v

    def set_working_distance(self, working_distance_m: float) -> float:
        """Focus and return the working distance read back."""
        self.instrument.set(self._column, "focus_mm", working_distance_m * 1e3)
        return self.settings().working_distance_m

    def set_shift(self, shift: ImagePoint) -> ImagePoint:
        """Set the beam shift and return it read back; +x moves the image content right, +y up."""
        self.instrument.set(self._column, "shift_x_um", shift.x_m * 1e6)
        self.instrument.set(self._column, "shift_y_um", shift.y_m * 1e6)
        return self.settings().shift

    def set_scan_rotation(self, scan_rotation_rad: float) -> float:
        """Rotate the scan and return the angle read back."""
        self.instrument.set(self._column, "rotation_deg", math.degrees(scan_rotation_rad))
        return self.settings().scan_rotation_rad

    def set_blanked(self, *, blanked: bool) -> bool:
        """Blank or unblank the beam and return the state read back."""
        self.instrument.set(self._column, "blanked", float(blanked))
        return self.is_blanked()

    def auto_contrast(self, *, cancel: CancelToken) -> DetectorSettings:
        """Let the instrument set brightness and contrast for the present field and return them."""
        cancel.raise_if_cancelled()
        self.instrument.auto_signal(self._column)
        return self.detector()

    def acquire(self, settings: ImageSettings, *, cancel: CancelToken) -> Image:
        """Scan one frame and return it with the state it was taken in.

        Raises `NotSupportedError` for interlacing and drift correction, which this instrument has not: what is asked
        for is never left out.
        """
        cancel.raise_if_cancelled()
        if settings.scan_interlacing_count > 1 or settings.is_drift_corrected:
            raise NotSupportedError(
                "an image was asked for with interlacing or drift correction, the instrument has neither"
            )
        self.instrument.set(self._column, "field_um", settings.hfw_m * 1e6)
        region = (0, 0, settings.width_px, settings.height_px)
        if settings.reduced_area is not None:
            region = settings.reduced_area.to_pixels(settings.width_px, settings.height_px)
        repeats = settings.line_integration_count * settings.frame_integration_count
        with vendor_errors("take an image", BeamError):
            signal = self.instrument.grab(
                self._column, settings.width_px, settings.height_px, settings.dwell_time_s * 1e6 * repeats, region
            )
        largest = 2**settings.bit_depth - 1
        dtype = np.uint8 if settings.bit_depth == 8 else np.uint16
        return Image(np.rint(signal * largest).astype(dtype), self._metadata(settings))

    def _metadata(self, settings: ImageSettings) -> ImageMetadata:
        return ImageMetadata(
            beam_type=self.beam_type,
            pixel_size_m=settings.pixel_size_m,
            dwell_time_s=settings.dwell_time_s,
            acquired_at=self.instrument.clock.now(),
            beam=self.settings(),
            detector=self.detector(),
            stage_position=self.stage.position(),
            reduced_area=settings.reduced_area,
            instrument=self.info,
            frame_id=f"{self._column}-{next(self._frames):06d}",
        )

    @property
    def _column(self) -> str:
        return COLUMNS[self.beam_type]

    def _get(self, name: str) -> float:
        with vendor_errors(f"read {name} of the {self._column} column", BeamError):
            return self.instrument.get(self._column, name)
