"""The simulator's section of ``config.yaml``: instrument, timing, disturbances, scene, optics and faults.

Units are those that people speak; the properties convert them once. Sources are files and sections of the reference.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.simulator.detector_look import DetectorLooks
from drivers.simulator.disturbance_settings import DisturbanceSettings
from drivers.simulator.fault_settings import AnyFault
from drivers.simulator.handling_settings import HandlingSettings
from drivers.simulator.ion_probe import ProbeSettings
from drivers.simulator.materials import RemovalSettings
from drivers.simulator.needle import NeedleSettings
from drivers.simulator.optics_settings import OpticsSettings
from drivers.simulator.process_settings import ProcessSettings
from drivers.simulator.scene_kinds import AnyScene
from drivers.simulator.scene_settings import SceneSettings
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.chain import KinematicChain
from fibsem_runtime.hal.stage_ranges import Range, StageRangeSettings

CurrentPa: TypeAlias = Annotated[float, Field(gt=0, le=1e6)]
VoltageKv: TypeAlias = Annotated[float, Field(gt=0, le=30)]


class Section(BaseModel):
    """Part of the settings; frozen, unknown keys and infinite numbers forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GeometrySettings(Section):
    """Geometry of an Aquilos with its 35° shuttle (vendor-geometry.md section 1).

    The eucentric height is the coincidence of a real Aquilos session, raw z 32.37 mm (physics.md section 5, #943).
    """

    ion_column_tilt_deg: float = Field(default=52.0, gt=0, lt=90)
    pretilt_deg: float = Field(default=35.0, ge=0, lt=60)
    rotation_reference_deg: float = Field(default=0.0, ge=-360, le=360)
    eucentric_z_mm: float = 32.37
    eucentric_working_distance_electron_mm: float = Field(default=7.0, gt=0)
    eucentric_working_distance_ion_mm: float = Field(default=19.0, gt=0)

    def chain(self) -> KinematicChain:
        """Return what the instrument declares; the disturbances are not in it."""
        return KinematicChain(
            ion_column_tilt_rad=math.radians(self.ion_column_tilt_deg),
            pretilt_rad=math.radians(self.pretilt_deg),
            rotation_reference_rad=math.radians(self.rotation_reference_deg),
            eucentric_z_m=self.eucentric_z_mm / 1e3,
            eucentric_working_distance_electron_m=self.eucentric_working_distance_electron_mm / 1e3,
            eucentric_working_distance_ion_m=self.eucentric_working_distance_ion_mm / 1e3,
        )


class StageSettings(StageRangeSettings):
    """Axis limits: the fall-back limits of vendor-thermofisher.md section 10, rotation as far as positions are read."""

    x_range_mm: Range = (-100.0, 100.0)
    y_range_mm: Range = (-100.0, 100.0)
    z_range_mm: Range = (0.0, 40.0)
    r_range_deg: Range = (-360.0, 360.0)
    t_range_deg: Range = (-10.0, 90.0)


def _millimetres(ends: Range) -> AxisLimits:
    return AxisLimits(low=ends[0] / 1e3, high=ends[1] / 1e3)


class ColumnSettings(Section):
    """One column: what can be selected and what is selected at first.

    ``scan_rotation_deg`` is 180 as on most cryo instruments (vendor-geometry.md section 1): at 0 the ion image of a
    cell stands on its head.
    """

    currents_pa: tuple[CurrentPa, ...] = Field(min_length=1)
    voltages_kv: tuple[VoltageKv, ...] = Field(min_length=1)
    current_pa: CurrentPa
    voltage_kv: VoltageKv
    hfw_range_um: Range
    working_distance_range_mm: Range
    shift_limit_um: float = Field(default=25.0, gt=0)
    scan_rotation_deg: float = Field(default=180.0, ge=-360, le=360)

    @model_validator(mode="after")
    def _refuse_unavailable_start(self) -> ColumnSettings:
        if list(self.currents_pa) != sorted(set(self.currents_pa)):
            raise ValueError("currents_pa must be ascending without repetition")
        if self.current_pa not in self.currents_pa:
            raise ValueError(f"current_pa {self.current_pa:g} is not one of currents_pa")
        if self.voltage_kv not in self.voltages_kv:
            raise ValueError(f"voltage_kv {self.voltage_kv:g} is not one of voltages_kv")
        return self

    @property
    def currents_a(self) -> tuple[float, ...]:
        """Return the currents that can be selected, ascending."""
        # Dividing rounds once, so that 60 pA is the float that people write as 60e-12.
        return tuple(current_pa / 1e12 for current_pa in self.currents_pa)

    @property
    def voltages_v(self) -> tuple[float, ...]:
        """Return the voltages that can be selected."""
        return tuple(voltage_kv * 1e3 for voltage_kv in self.voltages_kv)

    @property
    def hfw_limits_m(self) -> AxisLimits:
        """Return the smallest and the largest field width."""
        return AxisLimits(low=self.hfw_range_um[0] * UM, high=self.hfw_range_um[1] * UM)

    @property
    def working_distance_limits_m(self) -> AxisLimits:
        """Return the nearest and the farthest focus."""
        return _millimetres(self.working_distance_range_mm)


class ElectronColumnSettings(ColumnSettings):
    """Electron column: voltages of vendor-thermofisher.md section 7, currents in the usual steps of two.

    Ranges of field width, focus and beam shift and the width of the focused probe are assumed; the vendor gives none.
    """

    probe_sigma_nm: float = Field(default=2.0, gt=0)

    currents_pa: tuple[CurrentPa, ...] = (1.6, 3.1, 6.3, 13, 25, 50, 100, 200, 400, 800, 1600, 3200)
    voltages_kv: tuple[VoltageKv, ...] = (1, 2, 3, 5, 10, 20, 30)
    current_pa: CurrentPa = 50
    voltage_kv: VoltageKv = 2
    hfw_range_um: Range = (1.0, 3000.0)
    working_distance_range_mm: Range = (1.0, 60.0)


class IonColumnSettings(ColumnSettings):
    """Ga column at 30 kV: the probes of physics.md section 6 and those of published recipes.

    Other voltages are refused: no probe sizes and removal rates are modelled for them. Ranges are assumed.
    """

    currents_pa: tuple[CurrentPa, ...] = (
        *(1, 2, 5, 10, 20, 30, 50, 60, 100, 200, 300, 500, 700, 740),
        *(1000, 1500, 2000, 3000, 7000, 15000, 30000, 65000),
    )
    voltages_kv: tuple[VoltageKv, ...] = (30,)
    current_pa: CurrentPa = 20
    voltage_kv: VoltageKv = 30
    hfw_range_um: Range = (1.0, 950.0)
    working_distance_range_mm: Range = (5.0, 60.0)


class TimingSettings(Section):
    """What actions cost, seconds: p90 of one instrument (milling.md section 7), the rest vendor-fakes.md section 4.

    Source, gas line, coater, pump, venting and the manipulator are assumed.
    """

    frame_s: float = Field(default=2.0, ge=0)
    reduced_area_frame_s: float = Field(default=0.85, ge=0)
    stage_move_s: float = Field(default=8.0, ge=0)
    manipulator_insert_s: float = Field(default=15.0, ge=0)
    manipulator_move_s: float = Field(default=1.5, ge=0)
    current_change_s: float = Field(default=20.0, ge=0)
    voltage_change_s: float = Field(default=5.0, ge=0)
    auto_contrast_s: float = Field(default=1.7, ge=0)
    setting_s: float = Field(default=0.1, ge=0)
    source_s: float = Field(default=10.0, ge=0)
    gas_heating_s: float = Field(default=120.0, ge=0)
    gas_move_s: float = Field(default=10.0, ge=0)
    coater_s: float = Field(default=120.0, ge=0)
    pump_s: float = Field(default=300.0, ge=0)
    vent_s: float = Field(default=180.0, ge=0)


class MillingSubstepSettings(Section):
    """How finely milling follows drift: a sub-step ends after so much drift or so much time (numerical, not physical).

    The drift allowed is the larger of ``max_drift_nm`` and ``max_drift_probe_fraction`` of the probe's sigma.
    """

    max_drift_nm: float = Field(default=1.5, gt=0)
    max_drift_probe_fraction: float = Field(default=0.05, gt=0)
    max_duration_s: float = Field(default=20.0, gt=0)


class SimulatorSettings(Section):
    """Everything that together with a seed determines a simulated run, bit for bit."""

    geometry: GeometrySettings = GeometrySettings()
    stage: StageSettings = StageSettings()
    electron_beam: ElectronColumnSettings = ElectronColumnSettings()
    ion_beam: IonColumnSettings = IonColumnSettings()
    timing: TimingSettings = TimingSettings()
    milling: MillingSubstepSettings = MillingSubstepSettings()
    disturbances: DisturbanceSettings = DisturbanceSettings()
    probe: ProbeSettings = ProbeSettings()
    removal: RemovalSettings = RemovalSettings()
    processes: ProcessSettings = ProcessSettings()
    scene: AnyScene = SceneSettings()
    needle: NeedleSettings | None = NeedleSettings()
    handling: HandlingSettings = HandlingSettings()
    optics: OpticsSettings = OpticsSettings()
    detectors: DetectorLooks = DetectorLooks()
    faults: tuple[AnyFault, ...] = ()
    starts_at: datetime = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)
