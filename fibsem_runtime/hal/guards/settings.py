"""What the guards allow, in the units that people speak."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field

from fibsem_runtime.core.units import NM, UM


class GuardSettings(BaseModel):
    """Limits and tolerances of the guards; every default is assumed and to be agreed with the instrument's owner.

    ``max_move_mm`` caps the length of one stage move: two grids of a shuttle lie within it, a slip of the decimal point
    does not. ``position_tolerance_um`` and ``angle_tolerance_deg`` say how near a read-back must be to what was asked.
    ``max_overtilt_deg`` bounds the tilt away from where a pattern was drawn: published recipes use up to 1°, 10°
    endanger a thin lamella (milling.md, overtilt recipes; safety.md I12). ``max_manipulator_move_um`` caps one move of
    the needle: the longest that the lift-out recipes ask for at once is about 400 µm (safety.md I6).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_move_mm: float = Field(default=10.0, gt=0, le=150)
    position_tolerance_um: float = Field(default=2.0, gt=0, le=100)
    angle_tolerance_deg: float = Field(default=0.1, gt=0, le=2)
    current_tolerance_percent: float = Field(default=5.0, gt=0, le=20)
    voltage_tolerance_percent: float = Field(default=1.0, gt=0, le=10)
    working_distance_tolerance_um: float = Field(default=2.0, gt=0, le=100)
    shift_tolerance_nm: float = Field(default=5.0, gt=0, le=1000)
    max_overtilt_deg: float = Field(default=2.0, ge=0, le=10)
    max_manipulator_move_um: float = Field(default=500.0, gt=0, le=10_000)
    manipulator_tolerance_um: float = Field(default=1.0, gt=0, le=100)

    @property
    def max_move_m(self) -> float:
        """Return the longest stage move."""
        return self.max_move_mm * 1e-3

    @property
    def position_tolerance_m(self) -> float:
        """Return how near the stage must arrive."""
        return self.position_tolerance_um * UM

    @property
    def angle_tolerance_rad(self) -> float:
        """Return how near rotation, tilt and scan rotation must arrive."""
        return math.radians(self.angle_tolerance_deg)

    @property
    def working_distance_tolerance_m(self) -> float:
        """Return how near the working distance must be."""
        return self.working_distance_tolerance_um * UM

    @property
    def shift_tolerance_m(self) -> float:
        """Return how near the beam shift must be, per axis."""
        return self.shift_tolerance_nm * NM

    @property
    def max_overtilt_rad(self) -> float:
        """Return the largest tilt away from where a pattern was drawn."""
        return math.radians(self.max_overtilt_deg)

    @property
    def max_manipulator_move_m(self) -> float:
        """Return the longest move of the needle."""
        return self.max_manipulator_move_um * UM

    @property
    def manipulator_tolerance_m(self) -> float:
        """Return how near the needle must arrive."""
        return self.manipulator_tolerance_um * UM
