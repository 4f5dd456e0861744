"""Needles, gas, coater, chamber and column equipment that remember what was asked and misbehave on demand.

``stuck`` names what is not taken over although the call returns; ``calls`` holds what reached the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from fibsem_runtime.core import CancelToken, DetectorSettings, Image, ImageMetadata, ImagePoint, ImageSettings
from fibsem_runtime.hal import (
    AxisLimits,
    ColumnEquipment,
    ManipulatorChain,
    ManipulatorLimits,
    ManipulatorPose,
    ManipulatorPosition,
)

MILLIMETRE = AxisLimits(low=-1e-3, high=1e-3)
LIMITS = ManipulatorLimits(x_m=MILLIMETRE, y_m=MILLIMETRE, z_m=MILLIMETRE)
DETECTOR = DetectorSettings(name="ETD", mode="SE", brightness_fraction=0.5, contrast_fraction=0.5)
PARK = ManipulatorPosition(x_m=0.0, y_m=0.0, z_m=0.9e-3)


@dataclass
class Recorder:
    """Device that says what it was asked."""

    stuck: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def takes(self, name: str) -> bool:
        """Note a call and tell whether it has an effect."""
        self.calls.append(name)
        return name not in self.stuck


@dataclass
class FakeManipulator(Recorder):
    """Needle that arrives exactly, or off by ``miss_m`` in x and ``miss_rad`` in rotation."""

    inserted: bool = False
    is_held: bool = False
    here: ManipulatorPosition = PARK
    miss_m: float = 0.0
    miss_rad: float = 0.0
    chain: ManipulatorChain | None = None
    limits: ManipulatorLimits = LIMITS

    def hold(self, *, held: bool) -> None:
        self.is_held = held

    def is_inserted(self) -> bool:
        return self.inserted

    def position(self) -> ManipulatorPosition:
        return self.here

    def saved_position(self, pose: ManipulatorPose) -> ManipulatorPosition:
        return PARK

    def insert(self, pose: ManipulatorPose, *, cancel: CancelToken) -> ManipulatorPosition:
        if self.takes("insert"):
            self.inserted, self.here = True, PARK
        return self.here

    def move_to(self, target: ManipulatorPosition, *, cancel: CancelToken) -> ManipulatorPosition:
        if self.takes("move_to"):
            r_rad = self.here.r_rad if target.r_rad is None else target.r_rad + self.miss_rad
            self.here = replace(target, x_m=target.x_m + self.miss_m, r_rad=r_rad)
        return target

    def retract(self, *, cancel: CancelToken) -> None:
        if self.takes("retract"):
            self.inserted = False


@dataclass
class FakeGas(Recorder):
    """Two gas lines with one needle."""

    inserted: bool = False
    ready: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)
    lines: Sequence[str] = ("Pt", "W")

    def is_inserted(self) -> bool:
        return self.inserted

    def prepare(self, line: str, *, cancel: CancelToken) -> None:
        if self.takes("prepare"):
            self.ready.add(line)

    def is_ready(self, line: str) -> bool:
        return line in self.ready

    def insert(self, line: str, *, cancel: CancelToken) -> None:
        if self.takes("insert"):
            self.inserted = True

    def open_valve(self, line: str) -> None:
        if self.takes("open_valve"):
            self.open.add(line)

    def close_valve(self, line: str) -> None:
        if self.takes("close_valve"):
            self.open.discard(line)

    def retract(self, *, cancel: CancelToken) -> None:
        if self.takes("retract"):
            self.inserted = False


@dataclass
class FakeCoater(Recorder):
    """Coater."""

    def coat(self, *, duration_s: float, current_a: float, cancel: CancelToken) -> None:
        self.takes("coat")


@dataclass
class FakeVacuum:
    """Chamber."""

    pumped: bool = True

    def is_pumped(self) -> bool:
        return self.pumped

    def pressure_pa(self) -> float:
        return 1e-4 if self.pumped else 1e5


@dataclass
class FakePump(Recorder):
    """Pump of a `FakeVacuum`."""

    vacuum: FakeVacuum = field(default_factory=FakeVacuum)

    def pump(self, *, cancel: CancelToken) -> None:
        if self.takes("pump"):
            self.vacuum.pumped = True

    def vent(self, *, cancel: CancelToken) -> None:
        if self.takes("vent"):
            self.vacuum.pumped = False


class Switch(Protocol):
    """Beam that a source switches."""

    on: bool


@dataclass
class FakeColumn(Recorder):
    """Every piece of equipment of one column at once."""

    beam: Switch | None = None
    now: DetectorSettings = DETECTOR
    gas_name: str = "Xenon"
    is_running: bool = False

    def turn_on(self, *, cancel: CancelToken) -> None:
        if self.takes("turn_on") and self.beam is not None:
            self.beam.on = True

    def turn_off(self) -> None:
        if self.takes("turn_off") and self.beam is not None:
            self.beam.on = False

    def modes(self) -> Sequence[str]:
        return ("SE", "BSE")

    def select(self, name: str, *, mode: str | None = None) -> DetectorSettings:
        if self.takes("select"):
            self.now = replace(self.now, name=name, mode=mode or "SE")
        return self.now

    def set_levels(self, *, brightness_fraction: float, contrast_fraction: float) -> DetectorSettings:
        if self.takes("set_levels"):
            self.now = replace(self.now, brightness_fraction=brightness_fraction, contrast_fraction=contrast_fraction)
        return self.now

    def focus(self, *, cancel: CancelToken) -> float:
        self.takes("focus")
        return 4e-3

    def set_stigmation(self, stigmation_x: float, stigmation_y: float) -> tuple[float, float]:
        self.takes("set_stigmation")
        return stigmation_x, stigmation_y

    def start(self, settings: ImageSettings) -> None:
        self.is_running = self.takes("start")

    def frame(self, *, cancel: CancelToken) -> Image:
        self.takes("frame")
        return Image(np.zeros((2, 3), np.uint8), ImageMetadata())

    def stop(self) -> None:
        if self.takes("stop"):
            self.is_running = False

    def activate(self, name: str, *, cancel: CancelToken) -> None:
        self.takes("activate")

    def expose(self, point: ImagePoint, *, duration_s: float, cancel: CancelToken) -> None:
        self.takes("expose")

    def available_gases(self) -> Sequence[str]:
        return ("Xenon", "Argon")

    def gas(self) -> str:
        return self.gas_name

    def switch_gas(self, name: str, *, cancel: CancelToken) -> str:
        if self.takes("switch_gas"):
            self.gas_name = name
        return self.gas_name

    def available(self) -> Sequence[str]:
        """Return the names of the detectors, and those of the presets."""
        return ("ETD", "ICE")

    def equipment(self) -> ColumnEquipment:
        """Return the column as its equipment."""
        return ColumnEquipment(
            source=self,
            detectors=self,
            auto_focus=self,
            stigmator=self,
            live_view=self,
            presets=self,
            spot=self,
            plasma_source=self,
        )
