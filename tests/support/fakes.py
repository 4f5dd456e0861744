"""Devices that do what they are told, remember it, and misbehave on demand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

import numpy as np
from chains import thermo
from fake_equipment import FakeCoater, FakeColumn, FakeGas, FakeManipulator, FakePump, FakeVacuum

from fibsem_runtime.core import (
    BeamSettings,
    BeamType,
    CancelToken,
    DetectorSettings,
    Image,
    ImageMetadata,
    ImagePoint,
    ImageSettings,
    InstrumentInfo,
    SimulatedClock,
    StagePosition,
)
from fibsem_runtime.core.errors import HardwareError
from fibsem_runtime.hal import (
    AxisLimits,
    ColumnEquipment,
    Microscope,
    MillingProgress,
    MillingSettings,
    MillingState,
    Shape,
    ShapeKind,
    StageLimits,
)

HOME = StagePosition(x_m=0.0, y_m=0.0, z_m=0.004, r_rad=0.0, t_rad=0.0)
LIMITS = StageLimits(
    x_m=AxisLimits(low=-0.05, high=0.05),
    y_m=AxisLimits(low=-0.05, high=0.05),
    z_m=AxisLimits(low=0.0, high=0.02),
    r_rad=AxisLimits(low=-math.tau, high=math.tau),
    t_rad=AxisLimits(low=math.radians(-38), high=math.radians(60)),
)
IMAGING = BeamSettings(voltage_v=30e3, beam_current_a=20e-12, working_distance_m=0.0165, hfw_m=150e-6)


@dataclass
class FakeStage:
    """Stage that arrives exactly, or off by ``miss_m`` in x."""

    here: StagePosition = HOME
    miss_m: float = 0.0
    moves: list[StagePosition] = field(default_factory=list)
    limits: StageLimits = LIMITS

    def position(self) -> StagePosition:
        return self.here

    def move_to(self, target: StagePosition, *, cancel: CancelToken) -> StagePosition:
        self.moves.append(target)
        self.here = replace(target, x_m=target.x_m + self.miss_m)
        return target


@dataclass
class FakeBeam:
    """Beam that takes over every setting except those named in ``stuck``; fails on those in ``broken``."""

    beam_type: BeamType
    current: BeamSettings = IMAGING
    on: bool = True
    blanked: bool = False
    stuck: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    pixel_size_ratio: float = 1.0
    calls: list[str] = field(default_factory=list)
    available_currents_a: Sequence[float] = (20e-12, 60e-12, 0.74e-9)
    shift_limit_m: float = 10e-6

    def is_on(self) -> bool:
        return self.on

    def is_blanked(self) -> bool:
        return self.blanked

    def settings(self) -> BeamSettings:
        return self.current

    def detector(self) -> DetectorSettings:
        return DetectorSettings(name="ETD", mode="SE", brightness_fraction=0.5, contrast_fraction=0.5)

    def _take(self, name: str, value: object) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise HardwareError(f"the column does not take {name}")
        if name not in self.stuck:
            self.current = cast(BeamSettings, replace(self.current, **{name: value}))

    def set_current(self, beam_current_a: float) -> float:
        self._take("beam_current_a", beam_current_a)
        return beam_current_a

    def set_voltage(self, voltage_v: float) -> float:
        self._take("voltage_v", voltage_v)
        return voltage_v

    def set_working_distance(self, working_distance_m: float) -> float:
        self._take("working_distance_m", working_distance_m)
        return working_distance_m

    def set_shift(self, shift: ImagePoint) -> ImagePoint:
        self._take("shift", shift)
        return shift

    def set_scan_rotation(self, scan_rotation_rad: float) -> float:
        self._take("scan_rotation_rad", math.remainder(scan_rotation_rad, math.tau))
        return scan_rotation_rad

    def set_blanked(self, *, blanked: bool) -> bool:
        self.calls.append("blanked")
        if "blanked" not in self.stuck:
            self.blanked = blanked
        return blanked

    def auto_contrast(self, *, cancel: CancelToken) -> DetectorSettings:
        self.calls.append("auto_contrast")
        return self.detector()

    def acquire(self, settings: ImageSettings, *, cancel: CancelToken) -> Image:
        self.calls.append("acquire")
        metadata = ImageMetadata(pixel_size_m=settings.pixel_size_m * self.pixel_size_ratio, frame_id="1")
        return Image(np.zeros((settings.height_px, settings.width_px), np.uint8), metadata)


@dataclass
class FakeMilling:
    """Engine that mills at once; ``raises`` fails in the middle and leaves it running."""

    now: MillingState = MillingState.IDLE
    raises: Exception | None = None
    stop_works: bool = True
    drawn: list[Shape] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    @property
    def shape_kinds(self) -> frozenset[ShapeKind]:
        return frozenset({ShapeKind.RECTANGLE})

    def draw(self, shapes: Sequence[Shape], settings: MillingSettings) -> float:
        self.calls.append("draw")
        self.drawn = list(shapes)
        return 10.0

    def run(self, *, duration_s: float | None = None, skip_s: float = 0.0, cancel: CancelToken) -> MillingProgress:
        self.calls.append("run")
        if self.raises is not None:
            self.now = MillingState.RUNNING
            raise self.raises
        self.now = MillingState.IDLE if duration_s is None else MillingState.PAUSED
        return MillingProgress(milled_s=duration_s or 10.0, total_s=10.0, finished=duration_s is None)

    def stop(self) -> None:
        self.calls.append("stop")
        if self.stop_works:
            self.now = MillingState.IDLE

    def state(self) -> MillingState:
        return self.now


@dataclass
class FakeDriver:
    """Driver whose safe state blanks and stops, unless it is ``lazy`` or ``raises``."""

    instrument: FakeInstrument | None = None
    lazy: bool = False
    raises: HardwareError | None = None
    closed: bool = False

    def safe_state(self) -> None:
        if self.raises is not None:
            raise self.raises
        if self.instrument is not None and not self.lazy:
            self.instrument.milling.stop()
            self.instrument.ion.blanked = self.instrument.electron.blanked = True
            self.instrument.gas.inserted = False
            self.instrument.manipulator.inserted &= self.instrument.manipulator.is_held

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeInstrument:
    """All fakes of one instrument; `microscope` bundles them unguarded."""

    stage: FakeStage = field(default_factory=FakeStage)
    electron: FakeBeam = field(default_factory=lambda: FakeBeam(BeamType.ELECTRON))
    ion: FakeBeam = field(default_factory=lambda: FakeBeam(BeamType.ION))
    milling: FakeMilling = field(default_factory=FakeMilling)
    manipulator: FakeManipulator = field(default_factory=FakeManipulator)
    gas: FakeGas = field(default_factory=FakeGas)
    coater: FakeCoater = field(default_factory=FakeCoater)
    vacuum: FakeVacuum = field(default_factory=FakeVacuum)
    pump: FakePump = field(default_factory=FakePump)
    ion_column: FakeColumn = field(default_factory=FakeColumn)
    electron_column: FakeColumn = field(default_factory=FakeColumn)
    driver: FakeDriver = field(default_factory=FakeDriver)

    def microscope(self) -> Microscope:
        self.driver.instrument = self
        self.pump.vacuum, self.ion_column.beam = self.vacuum, self.ion
        return Microscope(
            info=InstrumentInfo(manufacturer="fake", model="fake"),
            chain=thermo(pretilt_deg=35),
            clock=SimulatedClock(datetime(2026, 1, 1, tzinfo=UTC)),
            driver=self.driver,
            stage=self.stage,
            electron_beam=self.electron,
            ion_beam=self.ion,
            milling=self.milling,
            manipulator=self.manipulator,
            gas_injection=self.gas,
            sputter_coater=self.coater,
            vacuum=self.vacuum,
            pump=self.pump,
            electron_equipment=ColumnEquipment(live_view=self.electron_column),
            ion_equipment=self.ion_column.equipment(),
        )
