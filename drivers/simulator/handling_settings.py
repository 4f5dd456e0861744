"""How needle and bodies act on each other, in the units people speak."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class HandlingSettings(BaseModel):
    """How needle and bodies act on each other; all assumed.

    On contact the tip follows only ``follow_fraction`` of what is commanded beyond it (methods.md C10 asks for less
    than half); from ``crash_um`` on needle and sample are damaged. A joint stretches by ``elastic_um`` before it tears
    (methods.md section 9 D7 strains a weld by 0.1 µm). Milling joins bodies that are nearer than ``weld_gap_um`` within
    a pattern when it has removed at least ``weld_volume_um3`` there. ``insertion_error_um``: sigma of where an inserted
    needle really is. While the needle touches, the ion image of the sample is brighter by ``contact_gain_ratio``: the
    real approach of ``data/autoliftout`` rises by 1.5 from one frame to the next (methods.md C10 asks for 1.2).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    follow_fraction: float = Field(default=0.3, ge=0, le=1)
    crash_um: float = Field(default=3.0, gt=0, le=50)
    elastic_um: float = Field(default=0.3, gt=0, le=5)
    weld_gap_um: float = Field(default=0.4, gt=0, le=5)
    weld_volume_um3: float = Field(default=0.3, gt=0, le=100)
    insertion_error_um: float = Field(default=5.0, ge=0, le=100)
    contact_gain_ratio: float = Field(default=1.5, gt=0, le=5)
