"""The section ``driver.settings`` of ``config.yaml``: where the instrument is, and what differs from site to site."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field

from fibsem_runtime.hal import KinematicChain
from fibsem_runtime.hal.stage_ranges import StageRangeSettings

IN_MEMORY = "memory"
"""The host that stands for no instrument at all."""


class AcmeSettings(BaseModel):
    """Units people speak; unknown keys are refused.

    On an instrument the geometry has no defaults worth having: make such fields required.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = Field(default=IN_MEMORY, min_length=1)
    pretilt_deg: float = Field(default=35.0, ge=-60, le=60)
    ion_column_tilt_deg: float = Field(default=52.0, gt=30, lt=90)
    rotation_reference_deg: float = 0.0
    eucentric_z_mm: float = 4.0
    stage: StageRangeSettings = StageRangeSettings(
        x_range_mm=(-50, 50), y_range_mm=(-50, 50), z_range_mm=(-1, 40), r_range_deg=(-360, 360), t_range_deg=(-10, 60)
    )
    move_timeout_s: float = Field(default=120.0, gt=0)

    def chain(self) -> KinematicChain:
        """Return the geometry in metres and radians.

        The signs say how your stage behaves: find them out with the geometry tests of the contract, not by thinking.
        """
        return KinematicChain(
            ion_column_tilt_rad=math.radians(self.ion_column_tilt_deg),
            pretilt_rad=math.radians(self.pretilt_deg),
            rotation_reference_rad=math.radians(self.rotation_reference_deg),
            eucentric_z_m=self.eucentric_z_mm * 1e-3,
            eucentric_working_distance_electron_m=4.0e-3,
            eucentric_working_distance_ion_m=16.5e-3,
        )
