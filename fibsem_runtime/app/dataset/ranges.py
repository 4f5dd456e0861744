"""What varies from frame to frame, and between which published ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from fibsem_runtime.core import BeamType, ImageSettings
from fibsem_runtime.core.units import PA, UM


class FrameRanges(BaseModel):
    """Frames of published runs.

    Field widths are those that the predecessor's methods image at (methods.md sections 2 and 5: 400, 150, 100, 80 and
    50 µm), each varied by ``hfw_spread_fraction`` (assumed). Currents: electron 6.3 to 50 pA (physics.md section 7),
    ion 10 to 60 pA (methods.md sections 10 and 11). Voltages 1.9 to 5 kV (physics.md section 7), those of the column
    next to it. ``exposures`` are dwell time in µs and lines integrated: 0.2 and 1 µs (#900), 2 µs (methods.md section
    2), 0.1 µs with 50 lines (83623), 0.25 µs with 64 and 1 µs with 16 (SerialFIB; all physics.md section 7). Milling
    angles: physics.md section 10. Scan rotation: vendor-geometry.md section 1. Focus, levels and places are assumed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hfw_um: tuple[float, ...] = (400.0, 150.0, 150.0, 100.0, 80.0, 80.0, 50.0)
    hfw_spread_fraction: float = 0.2
    electron_current_pa: tuple[float, float] = (6.3, 50.0)
    ion_current_pa: tuple[float, float] = (10.0, 60.0)
    electron_voltage_kv: tuple[float, ...] = (2.0, 3.0, 5.0)
    exposures_us: tuple[tuple[float, int], ...] = (
        (0.2, 1),
        (1.0, 1),
        (1.0, 1),
        (2.0, 1),
        (0.1, 50),
        (0.25, 64),
        (1.0, 16),
    )
    milling_angle_deg: tuple[float, float] = (8.0, 20.0)
    scan_rotation_deg: tuple[float, ...] = (0.0, 180.0)
    focus_error_um: float = 8.0
    level_spread_fraction: float = 0.02
    place_spread_fraction: float = 0.08


RANGES: Final = FrameRanges()


class Draw:
    """Draws of one scene; equal seeds and equal calls give equal values."""

    def __init__(self, seed: Sequence[int]) -> None:
        """Start from a seed that names data set and scene."""
        self.rng = np.random.default_rng(list(seed))

    def uniform(self, low: float, high: float) -> float:
        """Return a number between two ends."""
        return float(self.rng.uniform(low, high))

    def normal(self) -> float:
        """Return a number around 0 with a spread of 1."""
        return float(self.rng.normal())

    def choice(self, values: Sequence[Any]) -> Any:
        """Return one of some values."""
        return values[int(self.rng.integers(len(values)))]

    def happens(self, share_fraction: float) -> bool:
        """Return True in a share of the cases."""
        return bool(self.rng.random() < share_fraction)

    def listed(self, listed: Sequence[float], low: float, high: float) -> float:
        """Return one of the listed values between two ends, the nearest to their middle when there is none."""
        within = [value for value in listed if low * 0.999 <= value <= high * 1.001]
        middle = math.sqrt(low * high)
        return float(self.choice(within or [min(listed, key=lambda value: abs(math.log(value / middle)))]))

    def current_a(self, beam_type: BeamType, available_a: Sequence[float]) -> float:
        """Return an imaging current of a beam."""
        low_pa, high_pa = RANGES.electron_current_pa if beam_type is BeamType.ELECTRON else RANGES.ion_current_pa
        return self.listed(available_a, low_pa * PA, high_pa * PA)

    def frame(self, width_px: int, bit_depth: int, *, hfw_um: Sequence[float] = RANGES.hfw_um) -> ImageSettings:
        """Return the settings of a 3:2 frame."""
        spread = RANGES.hfw_spread_fraction
        dwell_us, line_count = self.choice(RANGES.exposures_us)
        return ImageSettings(
            width_px=width_px,
            height_px=width_px * 2 // 3,
            hfw_m=self.choice(hfw_um) * UM * self.uniform(1 - spread, 1 + spread),
            dwell_time_s=dwell_us * 1e-6,
            line_integration_count=line_count,
            bit_depth=bit_depth,
        )
