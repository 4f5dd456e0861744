"""Streaks that charge leaves behind bright and dark places of an insulating sample, along the scanned line."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fibsem_runtime.core import ImageSettings
from fibsem_runtime.core.units import UM

LENGTHS: Final = 4
"""Streaks are followed over this many decay lengths."""


class ChargingSettings(BaseModel):
    """Charge along a line: the more a place emits, the darker is what the beam scans next, and the other way round.

    That contrast bands appear is physics.md section 7 (model assumed there too); less at low voltage, with the onset of
    uncoated samples at about 1.6 kV for electrons (FIB-view), and less for a short dwell time and interleaved scans
    (doi 10.1038/s41467-025-60545-3): it grows with the dose of a single pass and saturates at ``dose_c_per_m2``.
    Strength, decay and dose are assumed. Off by default: the scenes are coated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    enabled: bool = False
    strength_fraction: float = Field(default=0.5, ge=0, le=1)
    length_um: float = Field(default=4.0, gt=0, le=100)
    dose_c_per_m2: float = Field(default=2e-3, gt=0)
    onset_kv: float = Field(default=1.6, ge=0)


def charge(
    signal: NDArray[np.float32],
    image: ImageSettings,
    *,
    beam_current_a: float,
    voltage_v: float,
    settings: ChargingSettings,
) -> NDArray[np.float32]:
    """Return (height, width) with the streaks of a scan from left to right; the signal itself where there are none."""
    dose_c_per_m2 = beam_current_a * image.dwell_time_s / image.pixel_size_m**2
    strength = settings.strength_fraction * -math.expm1(-dose_c_per_m2 / settings.dose_c_per_m2)
    if not settings.enabled or voltage_v < settings.onset_kv * 1e3 or strength == 0:
        return signal
    decay_px = settings.length_um * UM / image.pixel_size_m
    reach_px = min(math.ceil(LENGTHS * decay_px), signal.shape[1] - 1)
    # The kernel reaches to the left only: what was scanned before acts on what is scanned now.
    weights = np.exp(-np.arange(reach_px, 0, -1) / decay_px) / max(decay_px, 1.0)
    excess = signal - np.float32(signal.mean())
    left = cv2.copyMakeBorder(excess, 0, 0, reach_px, 0, cv2.BORDER_CONSTANT, value=0)
    kernel = weights.astype(np.float32)[np.newaxis, :]
    streaks = cv2.filter2D(left, cv2.CV_32F, kernel, anchor=(reach_px - 1, 0), borderType=cv2.BORDER_CONSTANT)
    before = streaks[:, reach_px - 1 : reach_px - 1 + signal.shape[1]]
    return np.maximum(signal - np.float32(strength) * before, 0).astype(np.float32)
