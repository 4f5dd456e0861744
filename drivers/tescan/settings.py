"""The section ``driver.settings`` of ``config.yaml`` for the Automation SDK."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from drivers.essence.settings import (
    DrawBeamSettings,
    ElectronColumnSettings,
    GeometrySettings,
    IonColumnSettings,
    Range,
    Section,
    TimeLimitSettings,
)
from fibsem_runtime.hal.devices import AxisLimits, StageLimits


class StageRangeSettings(Section):
    """Axis limits of the stage; the SDK has no query for them, so that they have no default."""

    x_range_mm: Range
    y_range_mm: Range
    z_range_mm: Range
    r_range_deg: Range
    t_range_deg: Range

    @model_validator(mode="after")
    def _refuse_empty_ranges(self) -> StageRangeSettings:
        for name in type(self).model_fields:
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


class ManipulatorSettings(Section):
    """Which nanomanipulator is fitted and where it is parked (read both at the instrument)."""

    index: int = Field(default=0, ge=0)
    parking_mm: tuple[float, float, float]


class TescanSettings(Section):
    """Where the instrument is and its per-site constants."""

    host: str = Field(default="localhost", min_length=1)
    port: int = Field(default=8300, ge=1, le=65534)
    geometry: GeometrySettings
    stage: StageRangeSettings
    electron_beam: ElectronColumnSettings = ElectronColumnSettings()
    ion_beam: IonColumnSettings
    milling: DrawBeamSettings = DrawBeamSettings()
    manipulator: ManipulatorSettings | None = None
    time_limits: TimeLimitSettings = TimeLimitSettings()
