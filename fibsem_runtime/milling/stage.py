"""A milling stage: conditions, pattern and strategy."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fibsem_runtime.core import ImagePoint
from fibsem_runtime.core.errors import StepError
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal.field import outside_field
from fibsem_runtime.hal.shapes import CrossSection, MillingSettings, RectangleShape
from fibsem_runtime.milling.dose import UM3_PER_NC, Material, beam_time_s, dose_c_per_m3
from fibsem_runtime.milling.patterns import MicroExpansionPattern, Pattern

RATES_HOLD_FROM_KV = 20.0
"""Lowest voltage of the removal-rate tables (milling.md section 6); below it a stage must bring its own rate."""


class StandardStrategy(BaseModel):
    """Mill from beginning to end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["standard"] = "standard"


class DriftCorrectedStrategy(BaseModel):
    """Stop every ``interval_s`` of beam time, align on the fiducial and go on where it stopped.

    25-50 s keep a polish within its tolerance at published drift (methods.md section 5).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["drift_corrected"] = "drift_corrected"
    interval_s: float = Field(default=30.0, ge=5, le=3600)


Strategy: TypeAlias = Annotated[StandardStrategy | DriftCorrectedStrategy, Field(discriminator="kind")]


class MillingStage(BaseModel):
    """One pattern milled under one set of conditions.

    The current is given once, as ``current_na`` or ``current_pa``. ``application`` names the vendor's recipe and is the
    material's name when left out. ``removal_rate_um3_per_nc`` is a rate measured on the instrument; it replaces the
    table's. The pattern must lie inside the field around an untouched target.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+$")
    pattern: Pattern
    current_na: float | None = Field(default=None, gt=0, le=4000)
    current_pa: float | None = Field(default=None, gt=0, le=4_000_000)
    voltage_kv: float = Field(default=30.0, ge=0.5, le=30)
    material: Material = Material.ICE
    application: str = ""
    removal_rate_um3_per_nc: float | None = Field(default=None, gt=0, le=100)
    hfw_um: float = Field(default=80.0, ge=20, le=950)
    strategy: Strategy = StandardStrategy()
    enabled: bool = True

    @model_validator(mode="after")
    def _refuse_impossible(self) -> MillingStage:
        if (self.current_na is None) == (self.current_pa is None):
            raise ValueError(f"stage {self.name} needs exactly one of current_na and current_pa")
        if self.voltage_kv < RATES_HOLD_FROM_KV and self.removal_rate_um3_per_nc is None:
            raise ValueError(
                f"stage {self.name} mills at {self.voltage_kv:g} kV, removal rates are known from "
                f"{RATES_HOLD_FROM_KV:g} kV; give removal_rate_um3_per_nc as measured on the instrument"
            )
        problem = outside_field(self.pattern.shapes(), hfw_m=self.hfw_um * UM)
        if problem:
            raise ValueError(f"the pattern of stage {self.name} does not fit its field: {problem}")
        return self

    @property
    def beam_current_a(self) -> float:
        """Return the milling current."""
        # Dividing rounds once, so that 60 pA is the float that a driver's table writes as 60e-12.
        return self.current_na / 1e9 if self.current_na is not None else (self.current_pa or 0.0) / 1e12

    @property
    def cross_section(self) -> CrossSection:
        """Return how the pattern's rectangles are milled; slots know the whole area only."""
        return CrossSection.RECTANGLE if isinstance(self.pattern, MicroExpansionPattern) else self.pattern.cross_section

    @property
    def realign_interval_s(self) -> float | None:
        """Return the beam time between two alignments, or None when the stage is milled in one go."""
        return self.strategy.interval_s if isinstance(self.strategy, DriftCorrectedStrategy) else None

    def settings(self) -> MillingSettings:
        """Return the conditions in SI, as the instrument takes them."""
        if self.removal_rate_um3_per_nc is not None:
            dose = 1 / (self.removal_rate_um3_per_nc * UM3_PER_NC)
        else:
            dose = dose_c_per_m3(self.material, self.cross_section)
        return MillingSettings(
            beam_current_a=self.beam_current_a,
            voltage_v=self.voltage_kv * 1e3,
            hfw_m=self.hfw_um * UM,
            application=self.application or self.material.value,
            dose_c_per_m3=dose,
        )

    def shapes(self, offset: ImagePoint = ImagePoint(0.0, 0.0)) -> list[RectangleShape]:
        """Return the pattern around a target at ``offset`` from the field's centre, in milling order.

        Raises `StepError` when that leaves the field; nothing may be milled in part.
        """
        shapes = self.pattern.shapes(offset)
        problem = outside_field(shapes, hfw_m=self.hfw_um * UM)
        if problem:
            raise StepError(
                f"the pattern of stage {self.name} around the target at x {offset.x_m / UM:.2f} µm, "
                f"y {offset.y_m / UM:.2f} µm does not fit its field: {problem}"
            )
        return shapes

    def beam_time_s(self) -> float:
        """Return the beam time of the whole pattern by the dose model; overheads are not in it."""
        return beam_time_s(self.pattern.shapes(), self.settings())
