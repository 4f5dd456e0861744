"""Axis limits as people write them in a driver's section of ``config.yaml``."""

from __future__ import annotations

import math
from typing import Self, TypeAlias

from pydantic import BaseModel, ConfigDict, model_validator

from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.devices import StageLimits

Range: TypeAlias = tuple[float, float]


class StageRangeSettings(BaseModel):
    """Lowest and highest position of each stage axis; without defaults, because a wrong limit is worse than none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    x_range_mm: Range
    y_range_mm: Range
    z_range_mm: Range
    r_range_deg: Range
    t_range_deg: Range

    @model_validator(mode="after")
    def _refuse_empty_ranges(self) -> Self:
        for name in StageRangeSettings.model_fields:
            low, high = getattr(self, name)
            if low >= high:
                raise ValueError(f"{name} needs its lower end first, got {low:g} to {high:g}")
        return self

    def limits(self) -> StageLimits:
        """Return the limits in metres and radians."""
        return StageLimits(
            x_m=_millimetres(self.x_range_mm),
            y_m=_millimetres(self.y_range_mm),
            z_m=_millimetres(self.z_range_mm),
            r_rad=_degrees(self.r_range_deg),
            t_rad=_degrees(self.t_range_deg),
        )


def _millimetres(ends: Range) -> AxisLimits:
    return AxisLimits(low=ends[0] / 1e3, high=ends[1] / 1e3)


def _degrees(ends: Range) -> AxisLimits:
    return AxisLimits(low=math.radians(ends[0]), high=math.radians(ends[1]))
