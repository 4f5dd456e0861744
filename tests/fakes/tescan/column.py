"""A column of the fake, in the vendor's units: mm, degrees, pA, ns, percent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings, RelativeArea
from fibsem_runtime.hal import Microscope
from tescan.exposure import Engine, EngineState, Refused

UNBLANKING_S = 0.75
"""A frame that begins sooner after unblanking is dark (vendor-tescan.md B6)."""


@dataclass(frozen=True, slots=True)
class Area:
    """Part of a frame in pixels, right and bottom inclusive."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(kw_only=True)
class Column:
    """State of one column and the simulated beam behind it."""

    simulator: Microscope
    engine: Engine
    beam_type: BeamType
    detectors: tuple[str, ...]
    field_range_mm: tuple[float, float]
    field_mm: float = 0.15
    rotation_deg: float = 180.0
    shift_mm: tuple[float, float] = (0.0, 0.0)
    is_on: bool = True
    detector_index: int = 0
    """Detector of channel 0, the only one that the drivers use."""
    busy_delay_s: float = 0.4
    """How long after an order the column still says that it is idle (assumed)."""
    busy_from_s: float = 0.0
    busy_until_s: float = 0.0
    resets_until_s: float = 0.0
    """Until then a preset that is at work overwrites field, rotation and shift."""
    gui_scans: bool = True
    rotation_is_nan: bool = False
    refuses: set[str] = field(default_factory=set)
    """Settings that are taken without an error and without an effect."""
    frame_ids: list[str] = field(default_factory=list)
    """The simulator's names of the frames that were taken, in order."""

    @property
    def beam(self):  # type: ignore[no-untyped-def]
        """Return the simulated beam."""
        return self.simulator.beam(self.beam_type)

    def now_s(self) -> float:
        """Return the present time, what nobody has looked at included."""
        return self.engine.clock.monotonic_s()

    def is_busy(self) -> bool:
        """Tell whether a preset or an auto function is at work, or the window scans live."""
        return self.is_working() or self.gui_scans

    def is_working(self) -> bool:
        """Tell whether a preset or an auto function is at work and says so."""
        return self.busy_from_s <= self.now_s() < self.busy_until_s

    def be_busy(self, duration_s: float) -> None:
        """Be at work for a while, beginning in a moment."""
        self.busy_from_s = self.now_s() + self.busy_delay_s
        self.busy_until_s = self.busy_from_s + duration_s

    def is_kept(self, setting: str) -> bool:
        """Tell whether a setting has an effect that lasts."""
        return setting not in self.refuses and self.now_s() >= self.resets_until_s

    def reset(self) -> None:
        """Reset what a preset resets, and be at work until that has an end (S5)."""
        self.be_busy(3.0)
        self.field_mm, self.shift_mm, self.rotation_deg = 0.1, (0.0, 0.0), 0.0
        self.resets_until_s = self.busy_until_s
        self._aim()

    def set_field(self, field_mm: float) -> None:
        """Set the view field; out of range is clipped without a word."""
        if self.is_kept("field"):
            low, high = self.field_range_mm
            self.field_mm = round(min(max(field_mm, low), high), 9)

    def rotation(self) -> float:
        """Return the image rotation, which is no number on the vendor's simulator."""
        return math.nan if self.rotation_is_nan else self.rotation_deg

    def set_rotation(self, rotation_deg: float) -> None:
        """Rotate the scan; the beam keeps its place on the sample."""
        if self.is_kept("rotation"):
            self.rotation_deg = round(rotation_deg, 6)
            self._aim()

    def set_shift(self, x_mm: float, y_mm: float) -> None:
        """Shift the beam along the column: before the scan rotation (S12)."""
        if self.is_kept("shift"):
            self.shift_mm = (round(x_mm, 9), round(y_mm, 9))
            self._aim()

    def _aim(self) -> None:
        """Hand rotation and shift to the simulated beam, whose shift is aligned with the image."""
        self.engine.settle()
        angle_rad = math.radians(self.rotation_deg)
        cos, sin = math.cos(angle_rad), math.sin(angle_rad)
        x_m, y_m = (value / 1e3 for value in self.shift_mm)
        self.beam.set_scan_rotation(angle_rad)
        self.beam.set_shift(ImagePoint(x_m * cos + y_m * sin, -x_m * sin + y_m * cos))

    def choose_detector(self, index: int) -> None:
        """Use a detector in channel 0."""
        if "detector" not in self.refuses:
            self.detector_index = index

    def gain_black(self) -> tuple[float, float]:
        """Return gain (contrast) and black level (brightness) in percent."""
        found = self.beam.detector()
        return round(found.contrast_fraction * 100, 6), round(found.brightness_fraction * 100, 6)

    def auto_signal(self) -> None:
        """Set gain and black level for the present field."""
        self._refuse_while_exposing()
        self.engine.settle()
        self.simulator.driver.machine.set_hfw(self.beam_type, self.field_mm / 1e3)  # type: ignore[attr-defined]
        self.beam.auto_contrast(cancel=CancelToken())
        self.be_busy(1.0)

    def set_gain_black(self, gain: float, black: float) -> None:
        """Set gain and black level in percent."""
        if "gain" not in self.refuses:
            self.simulator.equipment(self.beam_type).detectors.set_levels(
                brightness_fraction=black / 100, contrast_fraction=gain / 100
            )

    def switch(self, on: bool) -> None:
        """Switch the beam; it follows a few seconds later."""
        if "source" not in self.refuses:
            self.is_on = on
            self.engine.clock.sleep(3.0)

    def stop_scan(self) -> None:
        """End scanning."""
        self.gui_scans = False

    def lets_beam_through(self) -> bool:
        """Tell whether a scan shows more than darkness."""
        return self.is_on

    def frame(
        self, width: int, height: int, dwell_ns: int, bits: int, area: Area | None = None
    ) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Scan; a beam that does not reach the sample gives a dark frame."""
        self._refuse_while_exposing()
        if self.gui_scans:
            raise Refused("the window scans; stop it first")
        self.engine.settle()
        relative = _relative(area, width, height) if area is not None else None
        rows, columns = (height, width) if area is None else (area.bottom - area.top + 1, area.right - area.left + 1)
        if not self.lets_beam_through() or width * height == 1:
            self.simulator.clock.sleep(rows * columns * dwell_ns * 1e-9)
            return np.zeros((rows, columns), np.uint8 if bits == 8 else np.uint16)
        settings = ImageSettings(
            width_px=width,
            height_px=height,
            hfw_m=self.field_mm / 1e3,
            dwell_time_s=dwell_ns * 1e-9,
            bit_depth=bits,
            reduced_area=relative,
        )
        image = self.beam.acquire(settings, cancel=CancelToken())
        self.frame_ids.append(image.metadata.frame_id)
        return image.data

    def _refuse_while_exposing(self) -> None:
        if self.engine.status()[0] is EngineState.RUNNING:
            raise Refused("DrawBeam is exposing")


@dataclass(kw_only=True)
class ElectronColumn(Column):
    """The electron column: everything is settable."""

    blanker_mode: int = 0
    unblanked_at_s: float = -10.0
    voltage_v: float = 2000.0
    wd_mm: float = 7.0
    current_pa: float = 50.0
    settles_at_s: float = 0.0
    former_pa: float = 50.0
    focused_at_s: float = 0.0
    former_wd_mm: float = 7.0

    def get_current(self) -> float:
        """Return the current; a new one needs time to settle."""
        return self.current_pa if self.now_s() >= self.settles_at_s else self.former_pa

    def set_current(self, current_pa: float) -> None:
        """Take over the nearest current that the column has."""
        if "current" in self.refuses:
            return
        self.engine.settle()
        available = self.beam.available_currents_a
        current_a = min(available, key=lambda each: abs(each * 1e12 - current_pa))
        self.former_pa = self.get_current()
        self.current_pa = round(current_a * 1e12, 6)
        self.settles_at_s = self.now_s() + 2.0
        self.beam.set_current(current_a)

    def set_voltage(self, voltage_v: float) -> None:
        """Change the voltage, which blocks the instrument."""
        if "voltage" not in self.refuses:
            self.engine.clock.sleep(20.0 if voltage_v != self.voltage_v else 0.1)
            self.voltage_v = float(voltage_v)

    def get_wd(self) -> float:
        """Return the working distance; the automatic focus tells the new one when it has ended."""
        return self.wd_mm if self.now_s() >= self.focused_at_s else self.former_wd_mm

    def set_wd(self, wd_mm: float) -> None:
        """Focus."""
        if "wd" not in self.refuses:
            self.engine.settle()
            self.wd_mm = round(wd_mm, 9)
            self.beam.set_working_distance(self.wd_mm / 1e3)

    def auto_focus(self) -> None:
        """Focus on what the beam sees now."""
        self._refuse_while_exposing()
        self.engine.settle()
        self.simulator.driver.machine.set_hfw(self.beam_type, self.field_mm / 1e3)  # type: ignore[attr-defined]
        found_m = self.simulator.equipment(self.beam_type).auto_focus.focus(cancel=CancelToken())
        self.former_wd_mm, self.wd_mm = self.wd_mm, round(found_m * 1e3, 9)
        self.be_busy(4.0)
        self.focused_at_s = self.busy_until_s

    def activate(self, name: str) -> None:
        """Activate a preset; the electron column's change nothing but what they reset (S5)."""
        if name not in PRESETS:
            raise Refused(f"preset {name} cannot be activated")
        self._refuse_while_exposing()
        self.engine.settle()
        self.reset()

    def set_blanker(self, blanker: int, mode: int) -> None:
        """Switch the electrostatic blanker: 0 off, 1 on, 2 automatic."""
        if blanker == 0 and "blanker" not in self.refuses:
            if self.blanker_mode == 1 and mode != 1:
                self.unblanked_at_s = self.now_s()
            self.blanker_mode = mode

    def lets_beam_through(self) -> bool:
        """Dark while blanked and for a moment afterwards."""
        return self.is_on and self.blanker_mode != 1 and self.now_s() - self.unblanked_at_s >= UNBLANKING_S


@dataclass(frozen=True, slots=True)
class Preset:
    """What a preset delivers."""

    voltage_v: float
    current_pa: float


PRESETS: dict[str, Preset] = {
    "30 keV; 20 pA": Preset(30e3, 20),
    "30 keV; 60 pA": Preset(30e3, 60),
    "30 keV; 100 pA": Preset(30e3, 100),
    "30 keV; 300 pA ": Preset(30e3, 300),
    "30 keV; 740 pA": Preset(30e3, 740),
    "30 keV; 1 nA": Preset(30e3, 1000),
    "30 keV; 3uA Katka na image": Preset(30e3, 3000),
    "15 keV; 7.8 nA ": Preset(15e3, 7000),
}
PRESET_NAMES = [*PRESETS, "3.75 katka focused", "30 keV; 100 pA"]
"""As the instrument lists them: free text, trailing spaces, a duplicate, one nobody can parse (S11)."""


@dataclass(kw_only=True)
class IonColumn(Column):
    """The ion column: presets only; which one is active it does not tell."""

    preset: str = "30 keV; 20 pA"
    measured_ratio: float = 1.0
    """Current in the Faraday cup over the preset's nominal current."""

    @property
    def voltage_v(self) -> float:
        """Return the voltage of the active preset."""
        return PRESETS[self.preset].voltage_v if self.is_on else 0.0

    def activate(self, name: str) -> None:
        """Activate a preset; resets rotation, view field and shift (S5)."""
        if name not in PRESETS:
            raise Refused(f"preset {name} cannot be activated")
        self._refuse_while_exposing()
        self.engine.settle()
        if "preset" not in self.refuses:
            self.preset = name
            self.beam.set_current(PRESETS[name].current_pa / 1e12)
        self.reset()

    def probe_current_pa(self) -> float:
        """Measure; blocks a second, nothing to measure when the beam is off."""
        self.engine.clock.sleep(1.0)
        return PRESETS[self.preset].current_pa * self.measured_ratio if self.is_on else -0.1


def _relative(area: Area, width: int, height: int) -> RelativeArea:
    if not (0 <= area.left <= area.right < width and 0 <= area.top <= area.bottom < height):
        raise Refused("region outside the frame")
    return RelativeArea(
        left_fraction=area.left / width,
        top_fraction=area.top / height,
        width_fraction=(area.right - area.left + 1) / width,
        height_fraction=(area.bottom - area.top + 1) / height,
    )
