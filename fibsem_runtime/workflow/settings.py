"""A method: an ordered list of steps with their settings, in YAML that people edit."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fibsem_runtime.core import ImageSettings, StagePosition
from fibsem_runtime.core.units import NM, PA, UM
from fibsem_runtime.milling import MillingStage
from fibsem_runtime.workflow.recovery import RecoverySettings
from fibsem_runtime.workflow.supervision import SupervisionMode


class Settings(BaseModel):
    """Part of a method; frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FrameSettings(Settings):
    """How images of one kind are taken."""

    hfw_um: float = Field(gt=0, le=3000)
    width_px: int = Field(default=1536, ge=256, le=6144)
    height_px: int = Field(default=1024, ge=256, le=4096)
    dwell_us: float = Field(default=1.0, gt=0, le=100)
    line_integration_count: int = Field(default=1, ge=1, le=255)

    def to_image_settings(self) -> ImageSettings:
        """Convert to SI."""
        return ImageSettings(
            width_px=self.width_px,
            height_px=self.height_px,
            hfw_m=self.hfw_um * UM,
            dwell_time_s=self.dwell_us * 1e-6,
            line_integration_count=self.line_integration_count,
        )


class ImagingSettings(Settings):
    """Beam currents for images; milling never images at its own current except to align."""

    electron_current_pa: float = Field(default=50, gt=0)
    ion_current_pa: float = Field(default=20, gt=0)

    @property
    def electron_current_a(self) -> float:
        """Return the imaging current of the electron beam."""
        return self.electron_current_pa * PA

    @property
    def ion_current_a(self) -> float:
        """Return the imaging current of the ion beam."""
        return self.ion_current_pa * PA


class SitePosition(Settings):
    """Stage position of one site, as the instrument reports it."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+$")
    x_um: float
    y_um: float
    z_um: float
    r_deg: float
    t_deg: float

    def to_stage_position(self) -> StagePosition:
        """Convert to SI."""
        return StagePosition(
            x_m=self.x_um * UM,
            y_m=self.y_um * UM,
            z_m=self.z_um * UM,
            r_rad=math.radians(self.r_deg),
            t_rad=math.radians(self.t_deg),
        )


class ListSelection(Settings):
    """Sites given by the operator."""

    kind: Literal["list"] = "list"
    positions: list[SitePosition] = Field(min_length=1)

    @model_validator(mode="after")
    def _refuse_duplicates(self) -> ListSelection:
        names = [position.name for position in self.positions]
        if len(set(names)) != len(names):
            raise ValueError(f"every position needs its own name, got {', '.join(sorted(names))}")
        return self


class OverviewSelection(Settings):
    """Sites found on an electron overview around the present stage position.

    ``min_spacing`` keeps two lamellae (with fiducial and trenches) apart, ``clearance`` keeps any other cell out of the
    ion beam's way; a pair is too near only when it is so in x and in y.
    """

    kind: Literal["overview"] = "overview"
    frame: FrameSettings = FrameSettings(hfw_um=300)
    min_diameter_um: float = Field(default=8, gt=0)
    max_diameter_um: float = Field(default=30, gt=0)
    min_spacing_x_um: float = Field(default=42, gt=0)
    min_spacing_y_um: float = Field(default=60, gt=0)
    clearance_x_um: float = Field(default=14, gt=0)
    clearance_y_um: float = Field(default=28, gt=0)
    edge_margin_um: float = Field(default=30, ge=0)


Selection: TypeAlias = Annotated[ListSelection | OverviewSelection, Field(discriminator="kind")]


class StepSettings(Settings):
    """What every step has; ``supervise`` overrides the mode of the run for this step."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[a-z0-9_]+$")
    supervise: SupervisionMode | None = None


class AlignSiteSettings(StepSettings):
    """Bring the cell to coincidence, tilt to the milling angle and choose the place of the lamella."""

    step: Literal["align_site"] = "align_site"
    frame: FrameSettings = FrameSettings(hfw_um=150)
    target_frame: FrameSettings = FrameSettings(hfw_um=80)
    cell_diameter_um: float = Field(default=16, gt=0)
    coincidence_tolerance_um: float = Field(default=3.0, gt=0)
    centre_tolerance_um: float = Field(default=5.0, gt=0)
    max_passes: int = Field(default=5, ge=1, le=20)
    max_move_um: float = Field(default=60, gt=0)


class AlignmentSettings(Settings):
    """Registration on the fiducial by beam shift (methods.md section 4, check C2)."""

    tolerance_nm: float = Field(default=25, gt=0)
    max_passes: int = Field(default=4, ge=1, le=10)
    max_shift_um: float = Field(default=6, gt=0)

    @property
    def tolerance_m(self) -> float:
        """Return the residual at which an alignment is good."""
        return self.tolerance_nm * NM

    @property
    def max_shift_m(self) -> float:
        """Return the largest shift that one registration may ask for."""
        return self.max_shift_um * UM


class MillFiducialSettings(StepSettings):
    """Mill the cross that later alignments look at, and take the reference image of it."""

    step: Literal["mill_fiducial"] = "mill_fiducial"
    frame: FrameSettings = FrameSettings(hfw_um=80)
    stage: MillingStage
    area_expansion_ratio: float = Field(default=1.5, ge=1.0, le=4.0)


class MillRoughSettings(StepSettings):
    """Open the trenches and the stress relief; the image afterwards must show the lamella.

    ``verify_frame``: field in which the lamella is looked for; a quarter of it wide is what models see best.
    """

    step: Literal["mill_rough"] = "mill_rough"
    frame: FrameSettings = FrameSettings(hfw_um=80)
    verify_frame: FrameSettings = FrameSettings(hfw_um=45)
    alignment: AlignmentSettings = AlignmentSettings()
    stages: list[MillingStage] = Field(min_length=1)
    position_tolerance_um: float = Field(default=1.0, gt=0)


class MillPolishSettings(StepSettings):
    """Thin the lamella to its target and measure it."""

    step: Literal["mill_polish"] = "mill_polish"
    frame: FrameSettings = FrameSettings(hfw_um=80)
    thickness_frame: FrameSettings = FrameSettings(hfw_um=20)
    alignment: AlignmentSettings = AlignmentSettings()
    stages: list[MillingStage] = Field(min_length=1)
    target_thickness_nm: float = Field(gt=0)
    thickness_tolerance_nm: float = Field(default=60, gt=0)


AnyStepSettings: TypeAlias = Annotated[
    AlignSiteSettings | MillFiducialSettings | MillRoughSettings | MillPolishSettings, Field(discriminator="step")
]


class Order(StrEnum):
    """Say whether all lamellae go through one step before the next, or each lamella is finished first."""

    BY_STEP = "by_step"
    BY_LAMELLA = "by_lamella"


class MethodSettings(Settings):
    """The whole method."""

    name: str
    description: str = ""
    source: str = ""
    milling_angle_deg: float = Field(gt=2, le=40)
    order: Order = Order.BY_STEP
    imaging: ImagingSettings = ImagingSettings()
    selection: Selection = OverviewSelection()
    steps: list[AnyStepSettings] = Field(min_length=1)
    recovery: RecoverySettings = RecoverySettings()

    @model_validator(mode="after")
    def _refuse_duplicate_steps(self) -> MethodSettings:
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            raise ValueError(f"every step needs its own name, got {', '.join(names)}")
        return self

    @property
    def milling_angle_rad(self) -> float:
        """Return the angle between the ion beam and the sample surface."""
        return math.radians(self.milling_angle_deg)
