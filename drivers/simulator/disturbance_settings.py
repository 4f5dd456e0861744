"""What keeps the simulated instrument from being ideal: one section, one switch and one source for each disturbance."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Disturbance(BaseModel):
    """One disturbance with its switch; frozen, unknown keys and infinite numbers forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    enabled: bool = True


class DriftSettings(Disturbance):
    """Sample drift: steady, plus settling that decays after each stage move (physics.md section 10, range 1-60 nm/min).

    The steady direction is random per seed and uniform in space, that of settling random per move; both shapes assumed.
    """

    rate_nm_per_min: float = Field(default=15.0, ge=0)
    settling_nm_per_min: float = Field(default=60.0, ge=0)
    settling_time_min: float = Field(default=3.0, gt=0)


class StageRecallSettings(Disturbance):
    """Error between encoder and sample, new with each move (physics.md section 10: 0.4 µm, range 0.04-2; z: ENZEL).

    A move shorter than ``full_distance_um`` and ``full_angle_deg`` renews only its fraction of the error, so that small
    corrections converge; both figures are assumed.
    """

    sigma_um: float = Field(default=0.4, ge=0)
    sigma_z_um: float = Field(default=0.09, ge=0)
    full_distance_um: float = Field(default=50.0, gt=0)
    full_angle_deg: float = Field(default=5.0, gt=0)


class HeightSettings(Disturbance):
    """Height of the film above the eucentric plane: one value a grid square, plus smooth variation.

    15 µm is what fibsem-os uses (physics.md section 10), +26 to +29 µm were measured in one session (#900). The
    pitch is that of the scene's mesh; the variation and its wavelength are assumed.
    """

    sigma_um: float = Field(default=15.0, ge=0)
    variation_um: float = Field(default=2.0, ge=0)
    wavelength_um: float = Field(default=400.0, gt=0)
    square_pitch_um: float = Field(default=254.0, gt=0)


class TiltAxisSettings(Disturbance):
    """Distance of the tilt axis from the coincidence point, sigma along y and z: tilting is not eucentric (assumed)."""

    sigma_um: float = Field(default=2.0, ge=0)


class RotationCentreSettings(Disturbance):
    """Distance of the rotation axis from where the instrument believes it, random direction (physics.md section 10)."""

    min_um: float = Field(default=25.0, ge=0)
    max_um: float = Field(default=50.0, ge=0)

    @model_validator(mode="after")
    def _refuse_reversed(self) -> RotationCentreSettings:
        if self.min_um > self.max_um:
            raise ValueError(f"min_um {self.min_um:g} is above max_um {self.max_um:g}")
        return self


class ColumnOffsetSettings(Disturbance):
    """Lateral offset of the ion image against the electron image at coincidence (physics.md section 5, #765)."""

    lateral_um: float = Field(default=1.3, ge=0)


class CurrentShiftSettings(Disturbance):
    """Shift of the ion image between beam currents.

    ``calibrated``: the residual after a weekly alignment, random per current with a length between the two limits
    (physics.md section 6, 0.1-0.3 µm, assumed). Otherwise the stored offsets of a Zeiss Crossbeam (same section).
    """

    calibrated: bool = True
    residual_min_um: float = Field(default=0.1, ge=0)
    residual_max_um: float = Field(default=0.3, ge=0)

    @model_validator(mode="after")
    def _refuse_reversed(self) -> CurrentShiftSettings:
        if self.residual_min_um > self.residual_max_um:
            raise ValueError(f"residual_min_um {self.residual_min_um:g} is above residual_max_um")
        return self


class CurrentFocusSettings(Disturbance):
    """Focus change between ion currents, sigma per current.

    10 µm after calibration (assumed); up to 85 µm without (physics.md section 6).
    """

    sigma_um: float = Field(default=10.0, ge=0)


class DisturbanceSettings(BaseModel):
    """All disturbances of the machine; those of image formation belong to the optics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    drift: DriftSettings = DriftSettings()
    stage_recall: StageRecallSettings = StageRecallSettings()
    height: HeightSettings = HeightSettings()
    tilt_axis: TiltAxisSettings = TiltAxisSettings()
    rotation_centre: RotationCentreSettings = RotationCentreSettings()
    column_offset: ColumnOffsetSettings = ColumnOffsetSettings()
    current_shift: CurrentShiftSettings = CurrentShiftSettings()
    current_focus: CurrentFocusSettings = CurrentFocusSettings()
