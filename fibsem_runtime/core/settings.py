"""What an image, a beam and a detector are asked to do, and what they report."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.core.frames import BeamType, ImagePoint, RelativeArea, StagePosition


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """Request for one frame; ``width_px`` and ``height_px`` describe the full frame even with a reduced area.

    ``scan_interlacing_count``: in how many passes the lines are scanned, 1 for one after the other.
    ``is_drift_corrected``: the instrument aligns the frames that it integrates. What an instrument cannot do of this is
    refused with `NotSupportedError`, never left out.
    """

    width_px: int = 1536
    height_px: int = 1024
    hfw_m: float = 150e-6
    dwell_time_s: float = 1e-6
    line_integration_count: int = 1
    frame_integration_count: int = 1
    scan_interlacing_count: int = 1
    is_drift_corrected: bool = False
    bit_depth: int = 8
    reduced_area: RelativeArea | None = None

    def __post_init__(self) -> None:
        is_positive = 0 < self.hfw_m < math.inf and 0 < self.dwell_time_s < math.inf
        if self.width_px < 1 or self.height_px < 1 or not is_positive:
            raise ConfigError(f"image settings need a positive size, field width and dwell time, got {self}")
        if self.line_integration_count < 1 or self.frame_integration_count < 1:
            raise ConfigError(f"integration counts start at 1, got {self}")
        if self.scan_interlacing_count < 1:
            raise ConfigError(f"interlacing starts at 1, which is none, got {self}")
        if self.is_drift_corrected and self.frame_integration_count == 1:
            raise ConfigError(f"drift is corrected between integrated frames, two or more are needed, got {self}")
        if self.bit_depth not in (8, 16):
            raise ConfigError(f"bit depth is 8 or 16, got {self.bit_depth}")

    @property
    def pixel_size_m(self) -> float:
        """Return the field width over the full frame's width."""
        return self.hfw_m / self.width_px


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamSettings:
    """State of one beam, as read back."""

    voltage_v: float
    beam_current_a: float
    working_distance_m: float
    hfw_m: float
    shift: ImagePoint = ImagePoint(0.0, 0.0)
    stigmation_x: float = 0.0
    stigmation_y: float = 0.0
    scan_rotation_rad: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSettings:
    """State of the detector in use; brightness and contrast are fractions of their range."""

    name: str
    mode: str
    brightness_fraction: float
    contrast_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroscopeState:
    """What must be restored to be back where one was: pose and both beams."""

    stage_position: StagePosition
    electron_beam: BeamSettings
    ion_beam: BeamSettings

    def beam(self, beam_type: BeamType) -> BeamSettings:
        """Return the settings of one beam."""
        return self.electron_beam if beam_type is BeamType.ELECTRON else self.ion_beam
