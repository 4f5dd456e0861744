"""Values that mean the same in the Automation SDK and in SharkSEM, to ours and back (vendor-tescan.md A3, B4).

Lengths are mm, currents pA, angles degrees, detector levels percent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from fibsem_runtime.core import Clock, DetectorSettings, ImagePoint, InstrumentInfo, StagePosition

UNKNOWN_INSTRUMENT: Final = InstrumentInfo(manufacturer="TESCAN", model="unknown model")
"""What is said of an instrument that has not named itself."""

LAYER_NAME: Final = "fibsem-runtime"
"""How a layer of ours is called in DrawBeam."""

ELECTROSTATIC_BLANKER: Final = 0
BLANKER_ON: Final = 1
BLANKER_AUTOMATIC: Final = 2
"""Blanker and modes of SharkSEM (B4); the SDK's own constants are not public (vendor-fakes.md Q8), assumed equal."""


def to_mm(length_m: float) -> float:
    """Return millimetres."""
    return length_m * 1e3


def from_mm(length_mm: float) -> float:
    """Return metres."""
    # Dividing rounds once, so that 7 mm is the float that people write as 7e-3.
    return float(length_mm) / 1e3


def to_pa(current_a: float) -> float:
    """Return picoampere."""
    return current_a * 1e12


def from_pa(current_pa: float) -> float:
    """Return ampere."""
    return float(current_pa) / 1e12


def to_position(read: Sequence[float]) -> StagePosition:
    """Return the raw stage frame from x, y, z (mm), rotation, tilt (degrees); a sixth axis (tilt y) is left out."""
    x, y, z, rotation, tilt = (float(value) for value in read[:5])
    return StagePosition(
        x_m=from_mm(x), y_m=from_mm(y), z_m=from_mm(z), r_rad=math.radians(rotation), t_rad=math.radians(tilt)
    )


def to_shift(shift_mm: Sequence[float]) -> ImagePoint:
    """Return a beam shift along the column from mm."""
    x_mm, y_mm = shift_mm
    return ImagePoint(from_mm(x_mm), from_mm(y_mm))


def to_detector(name: str, gain_black_percent: Sequence[float]) -> DetectorSettings:
    """Return a detector; gain is contrast, black is brightness (A4), both in percent."""
    gain_percent, black_percent = gain_black_percent
    return DetectorSettings(
        name=name, mode="", brightness_fraction=float(black_percent) / 100, contrast_fraction=float(gain_percent) / 100
    )


def session_name(info: InstrumentInfo, clock: Clock) -> str:
    """Return the beginning of the names of all frames of one connection."""
    return f"{info.serial_number or info.model}-{clock.now():%Y%m%dT%H%M%S}".replace(" ", "_")
