"""Per-site constants of a TESCAN instrument, in the units that people speak; the properties convert them once."""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fibsem_runtime.core.units import NM, UM
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.chain import KinematicChain
from fibsem_runtime.hal.shapes import ScanDirection

Range: TypeAlias = tuple[float, float]
CurrentPa: TypeAlias = Annotated[float, Field(gt=0, le=1e7)]


class Section(BaseModel):
    """Part of the settings; frozen, unknown keys and infinite numbers forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GeometrySettings(Section):
    """Geometry of the stage with one shuttle (vendor-geometry.md section 1, TESCAN column).

    ``eucentric_z_mm`` is the stage z at coincidence; it is measured on each instrument and has no default.
    ``rotation_sign`` is unverified for TESCAN; half turns do not depend on it. ``rotation_centre_mm`` is the raw stage
    position at which the rotation axis runs through coincidence; TESCAN does not compensate it (section 2).
    """

    eucentric_z_mm: float
    ion_column_tilt_deg: float = Field(default=55.0, gt=0, lt=90)
    pretilt_deg: float = Field(default=0.0, ge=0, lt=60)
    rotation_reference_deg: float = Field(default=180.0, ge=-360, le=360)
    eucentric_working_distance_electron_mm: float = Field(default=7.0, gt=0)
    eucentric_working_distance_ion_mm: float = Field(default=16.5, gt=0)
    rotation_sign: Literal[-1, 1] = -1
    rotation_centre_mm: Range = (0.0, 0.0)

    def chain(self) -> KinematicChain:
        """Return the chain: x and y inverted, y on the tilt, z vertical and counted downwards (section 2)."""
        return KinematicChain(
            ion_column_tilt_rad=math.radians(self.ion_column_tilt_deg),
            pretilt_rad=math.radians(self.pretilt_deg),
            rotation_reference_rad=math.radians(self.rotation_reference_deg),
            eucentric_z_m=self.eucentric_z_mm / 1e3,
            eucentric_working_distance_electron_m=self.eucentric_working_distance_electron_mm / 1e3,
            eucentric_working_distance_ion_m=self.eucentric_working_distance_ion_mm / 1e3,
            axis_sign_x=-1,
            axis_sign_y=-1,
            z_sign=-1,
            z_rides_on_tilt=False,
            rotation_sign=self.rotation_sign,
            rotation_centre_x_m=self.rotation_centre_mm[0] / 1e3,
            rotation_centre_y_m=self.rotation_centre_mm[1] / 1e3,
        )


class ColumnSettings(Section):
    """What a column allows. The interfaces have no query for it (vendor-tescan.md A4).

    ``shift_limit_um`` is assumed. ``unreadable_rotation_deg`` is the scan rotation to believe where the instrument
    answers with NaN, as the vendor's simulator does; None refuses to guess.
    """

    hfw_range_um: Range
    shift_limit_um: float = Field(default=25.0, gt=0)
    detector: str
    unreadable_rotation_deg: float | None = Field(default=None, ge=-360, le=360)

    @property
    def hfw_limits_m(self) -> AxisLimits:
        """Return the smallest and the largest field width."""
        return AxisLimits(low=self.hfw_range_um[0] * UM, high=self.hfw_range_um[1] * UM)

    @property
    def shift_limit_m(self) -> float:
        """Return the largest beam shift per axis."""
        return self.shift_limit_um * UM


class ElectronColumnSettings(ColumnSettings):
    """Electron column: field widths that fibsemOS uses (vendor-tescan.md A4); the current is continuous.

    ``currents_pa`` lists those that the runtime offers. ``unblanking_s`` is how long the blanker needs until a frame is
    usable (B6). ``current_settling_s`` bounds the wait for a new current (B6).
    """

    hfw_range_um: Range = (1.0, 2580.0)
    detector: str = "E-T"
    currents_pa: tuple[CurrentPa, ...] = (1.6, 3.1, 6.3, 13, 25, 50, 100, 200, 400, 800, 1600, 3200)
    unblanking_s: float = Field(default=1.0, ge=0)
    current_settling_s: float = Field(default=10.0, gt=0)

    @model_validator(mode="after")
    def _refuse_disorder(self) -> ElectronColumnSettings:
        if not self.currents_pa or list(self.currents_pa) != sorted(set(self.currents_pa)):
            raise ValueError("currents_pa must be ascending without repetition")
        return self

    @property
    def currents_a(self) -> tuple[float, ...]:
        """Return the currents that the runtime offers, ascending."""
        # Dividing rounds once, so that 60 pA is the float that people write as 60e-12.
        return tuple(current_pa / 1e12 for current_pa in self.currents_pa)


class IonPreset(Section):
    """One preset of the ion column: its exact name on the instrument and what it delivers.

    Names are free text, with trailing spaces and duplicates, so that voltage and current are never read from them
    (odemis#3464); a person writes down what the instrument measures.
    """

    name: str = Field(min_length=1)
    voltage_kv: float = Field(gt=0, le=50)
    current_pa: CurrentPa

    @property
    def voltage_v(self) -> float:
        """Return the acceleration voltage."""
        return self.voltage_kv * 1e3

    @property
    def current_a(self) -> float:
        """Return the probe current."""
        return self.current_pa / 1e12


class IonColumnSettings(ColumnSettings):
    """Ion column: nothing but presets can be selected (vendor-tescan.md A4).

    The active preset cannot be read. What it delivers is measured when it is activated and before milling, and must be
    within ``probe_current_tolerance_percent`` (assumed) of the preset's. ``verify_probe_current: false`` is for the
    vendor's simulator, which measures nothing; ``active_preset`` is then the one that a person has activated.
    ``settling_s`` is the wait after a preset (B6).
    """

    hfw_range_um: Range = (1.0, 450.0)
    detector: str = "SE"
    presets: tuple[IonPreset, ...] = Field(min_length=1)
    probe_current_tolerance_percent: float = Field(default=10.0, gt=0, le=50)
    verify_probe_current: bool = True
    active_preset: str | None = None
    settling_s: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _refuse_twins(self) -> IonColumnSettings:
        for what, keys in (
            ("name", [preset.name for preset in self.presets]),
            ("voltage and current", [(preset.voltage_kv, preset.current_pa) for preset in self.presets]),
        ):
            if len(set(keys)) != len(keys):
                raise ValueError(f"two ion presets have the same {what}; keep one of them")
        return self

    @model_validator(mode="after")
    def _refuse_unknown_active_preset(self) -> IonColumnSettings:
        if (self.active_preset is not None) is self.verify_probe_current:
            raise ValueError("active_preset belongs to verify_probe_current: false, and that to active_preset")
        if self.active_preset not in (None, *(preset.name for preset in self.presets)):
            raise ValueError(f"active_preset {self.active_preset!r} is none of the presets")
        return self


class DrawBeamSettings(Section):
    """How layers are milled (vendor-tescan.md A5).

    ``spot_size_nm``, ``spacing_ratio`` and ``dwell_time_us`` go into every layer. ``advances_at_zero_angle`` is the way
    the milled line of an object with angle 0 travels; the interface names no direction, ours is assumed and to be
    verified on the first day. An estimate that differs from volume / (rate x current) by more than
    ``estimate_tolerance_ratio`` (assumed) means that current, rate or units are not what we think: nothing is milled.
    """

    spot_size_nm: float = Field(default=50.0, gt=0, le=5000)
    spacing_ratio: float = Field(default=1.0, gt=0, le=10)
    dwell_time_us: float = Field(default=1.0, gt=0, le=1e4)
    advances_at_zero_angle: ScanDirection = ScanDirection.BOTTOM_TO_TOP
    estimate_tolerance_ratio: float = Field(default=3.0, gt=1)
    poll_s: float = Field(default=1.0, gt=0, le=10)
    start_timeout_s: float = Field(default=20.0, gt=0)
    stop_timeout_s: float = Field(default=10.0, gt=0)

    @property
    def spot_size_m(self) -> float:
        """Return the spot size written into layers."""
        return self.spot_size_nm * NM

    @property
    def dwell_time_s(self) -> float:
        """Return the dwell time written into layers."""
        return self.dwell_time_us * 1e-6


class TimeLimitSettings(Section):
    """How long one answer may take before the connection counts as lost, real seconds.

    ``call_s`` covers the longest block of the server, an HV change of 20 s (vendor-tescan.md B6). ``move_s`` covers a
    stage move. ``busy_s`` is how long presets and auto functions may keep a column busy (A4). Focusing may take
    ``focus_s``, a beam ``beam_on_s`` to come on, a gas line ``heating_s`` to warm up, the chamber ``pumping_s`` (all
    assumed; odemis waits 300 s for pumping, B4).
    """

    call_s: float = Field(default=30.0, gt=0)
    move_s: float = Field(default=300.0, gt=0)
    busy_s: float = Field(default=60.0, gt=0)
    focus_s: float = Field(default=180.0, gt=0)
    beam_on_s: float = Field(default=120.0, gt=0)
    heating_s: float = Field(default=600.0, gt=0)
    pumping_s: float = Field(default=900.0, gt=0)
