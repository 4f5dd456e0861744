"""What the interfaces to a TESCAN instrument must offer, in SI units; each driver implements these ports.

Every call raises one of `fibsem_runtime.core.errors.HardwareError` with the vendor's text, or ``Cancelled``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from fibsem_runtime.core import CancelToken, DetectorSettings, ImagePoint, Pixels, StagePosition
from fibsem_runtime.hal.shapes import CrossSection, ShapeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisTargets:
    """Target of a move in the raw stage frame; None keeps an axis."""

    x_m: float | None = None
    y_m: float | None = None
    z_m: float | None = None
    r_rad: float | None = None
    t_rad: float | None = None


class StagePort(Protocol):
    """The stage."""

    def position(self) -> StagePosition:
        """Read the encoders."""

    def is_calibrated(self) -> bool:
        """Read whether moves are carried out at all (an uncalibrated stage ignores them)."""

    def move(self, targets: AxisTargets, *, cancel: CancelToken) -> None:
        """Move the named axes and wait until the instrument says that the move has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One frame: the full frame's size and the part of it that is scanned (pixels; None is all of it)."""

    width_px: int
    height_px: int
    area_px: tuple[int, int, int, int] | None
    dwell_time_ns: int
    bit_depth: int

    @property
    def duration_s(self) -> float:
        """Return pixels x dwell time of the full frame: the longest it can take without overhead."""
        return self.width_px * self.height_px * self.dwell_time_ns * 1e-9


class ColumnPort(Protocol):
    """What both columns offer. The shift is aligned with the column, not with the image (vendor-geometry.md 9)."""

    def is_on(self) -> bool:
        """Read whether the source delivers a beam."""

    def is_off(self) -> bool:
        """Read whether the source is off for certain; one that is changing or unknown is neither on nor off."""

    def is_busy(self) -> bool:
        """Read whether a preset, optics or an auto function is still at work."""

    def voltage_v(self) -> float:
        """Read the acceleration voltage."""

    def field_m(self) -> float:
        """Read the field width."""

    def set_field(self, hfw_m: float) -> None:
        """Set the field width."""

    def scan_rotation_rad(self) -> float:
        """Read the scan rotation; NaN where the instrument cannot tell."""

    def set_scan_rotation(self, scan_rotation_rad: float) -> None:
        """Rotate the scan."""

    def column_shift(self) -> ImagePoint:
        """Read the beam shift along the axes of the column."""

    def set_column_shift(self, shift: ImagePoint) -> None:
        """Set the beam shift along the axes of the column."""

    def detector(self) -> DetectorSettings:
        """Read the detector in use."""

    def auto_signal(self) -> None:
        """Let the instrument set gain and black level."""

    def turn_on(self) -> None:
        """Switch the beam on; it comes on later."""

    def turn_off(self) -> None:
        """Switch the beam off; it goes off later."""

    def detectors(self) -> Sequence[str]:
        """Read the names of the detectors."""

    def select_detector(self, name: str) -> None:
        """Use one of the detectors and read back that it is in use; raise `RefusedSettingError` when it is not."""

    def set_levels(self, *, brightness_fraction: float, contrast_fraction: float) -> None:
        """Set black level (brightness) and gain (contrast) of the detector in use."""

    def scan(self, request: Scan, *, cancel: CancelToken) -> Pixels:
        """Scan one frame and return the pixels of the scanned area."""

    def stop_scan(self) -> None:
        """End scanning, whoever began it."""


class ElectronPort(ColumnPort, Protocol):
    """The electron column."""

    def current_a(self) -> float:
        """Read the beam current."""

    def set_current(self, beam_current_a: float) -> None:
        """Set the beam current; it settles later."""

    def set_voltage(self, voltage_v: float) -> None:
        """Set the acceleration voltage."""

    def working_distance_m(self) -> float:
        """Read the working distance."""

    def set_working_distance(self, working_distance_m: float) -> None:
        """Focus."""

    def auto_focus(self) -> None:
        """Let the instrument focus."""

    def presets(self) -> Sequence[str]:
        """Read the names of the presets, exactly as the instrument spells them."""

    def activate(self, preset: str) -> None:
        """Activate a preset; resets rotation, field and shift."""

    def is_blanked(self) -> bool:
        """Read the blanker."""

    def set_blanked(self, *, blanked: bool) -> None:
        """Switch the blanker."""


class IonPort(ColumnPort, Protocol):
    """The ion column: presets instead of settings, and no blanker."""

    def presets(self) -> Sequence[str]:
        """Read the names of the presets, exactly as the instrument spells them."""

    def activate(self, preset: str) -> None:
        """Activate a preset; resets rotation, field and shift."""

    def probe_current_a(self) -> float:
        """Measure the current in the Faraday cup (blocks about a second)."""

    def is_scanning(self) -> bool:
        """Read whether the beam is scanned over the sample."""


class Phase(StrEnum):
    """Name what DrawBeam does."""

    EMPTY = "no layer loaded"
    LOADED = "loaded"
    RUNNING = "exposing"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """What DrawBeam says; ``total_s`` is 0 until it has begun."""

    phase: Phase
    total_s: float
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerObject:
    """One rectangle of a layer: metres from the field centre, x right, y up; ``angle_rad`` counter-clockwise."""

    kind: CrossSection
    centre_x_m: float
    centre_y_m: float
    width_m: float
    height_m: float
    depth_m: float
    angle_rad: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLine:
    """One line of a layer, as wide as the layer's spot: metres from the field centre, x right, y up."""

    start: ImagePoint
    end: ImagePoint
    depth_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerAnnulus:
    """One disc or ring of a layer: metres from the field centre, x right, y up."""

    centre: ImagePoint
    outer_radius_m: float
    inner_radius_m: float
    depth_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDot:
    """One point of a layer that is exposed for ``duration_s``."""

    point: ImagePoint
    duration_s: float


AnyLayerObject: TypeAlias = LayerObject | LayerLine | LayerAnnulus | LayerDot


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What DrawBeam mills, object after object; ``rate_m3_per_c`` in m³/A/s."""

    field_m: float
    beam_current_a: float
    spot_size_m: float
    rate_m3_per_c: float
    dwell_time_s: float
    spacing_ratio: float
    objects: tuple[AnyLayerObject, ...]


class DrawBeamPort(Protocol):
    """The patterning engine."""

    @property
    def shape_kinds(self) -> frozenset[ShapeKind]:
        """Return the shapes that a layer of this interface can hold."""

    def load(self, layer: Layer) -> None:
        """Load a layer; refused while another is loaded."""

    def unload(self) -> None:
        """Unload the layer; refused when none is loaded or while exposing."""

    def estimate_s(self) -> float:
        """Return how long the loaded layer takes."""

    def status(self) -> EngineStatus:
        """Read what the engine does."""

    def start(self) -> None:
        """Begin to mill the loaded layer; returns at once."""

    def pause(self) -> None:
        """Interrupt."""

    def resume(self) -> None:
        """Go on after an interruption."""

    def stop(self) -> None:
        """End the exposure."""

    def urgent(self) -> AbstractContextManager[DrawBeamPort]:
        """Return the same engine over a connection that nothing else holds up, for a stop."""
