"""Stage, beams and patterning: the small protocols that every driver implements, one capability each.

What an instrument may have beyond them is in `manipulator`, `gas`, `chamber` and `equipment`.

Calls block, take a cancel token and return what the instrument reads back. A value that the instrument refused is an
error, never a silent default. Every error is one of `fibsem_runtime.core.errors.HardwareError` or ``Cancelled``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from fibsem_runtime.core import (
    BeamSettings,
    BeamType,
    CancelToken,
    DetectorSettings,
    Image,
    ImagePoint,
    ImageSettings,
    StagePosition,
)
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.shapes import MillingSettings, Shape, ShapeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLimits:
    """Allowed ranges of the stage axes, m and rad."""

    x_m: AxisLimits
    y_m: AxisLimits
    z_m: AxisLimits
    r_rad: AxisLimits
    t_rad: AxisLimits


class Stage(Protocol):
    """Five-axis sample stage."""

    @property
    def limits(self) -> StageLimits:
        """Return the axis limits that the instrument enforces."""

    def position(self) -> StagePosition:
        """Read the encoders; never a cached value."""

    def move_to(self, target: StagePosition, *, cancel: CancelToken) -> StagePosition:
        """Move, wait until the stage stands still, return the position read back."""


class Beam(Protocol):
    """One column: its settings, its shift and its images."""

    @property
    def beam_type(self) -> BeamType:
        """Name the column."""

    @property
    def available_currents_a(self) -> Sequence[float]:
        """Return the beam currents that can be set, ascending."""

    @property
    def shift_limit_m(self) -> float:
        """Return the largest beam shift per axis."""

    def is_on(self) -> bool:
        """Read whether the source delivers a beam."""

    def is_blanked(self) -> bool:
        """Read whether the beam is kept off the sample."""

    def settings(self) -> BeamSettings:
        """Read the state of the beam."""

    def detector(self) -> DetectorSettings:
        """Read the detector in use."""

    def set_current(self, beam_current_a: float) -> float:
        """Select an available current and return the one read back."""

    def set_voltage(self, voltage_v: float) -> float:
        """Select a voltage and return the one read back."""

    def set_working_distance(self, working_distance_m: float) -> float:
        """Focus and return the working distance read back."""

    def set_shift(self, shift: ImagePoint) -> ImagePoint:
        """Set the beam shift and return it read back; +x moves the image content right, +y up."""

    def set_scan_rotation(self, scan_rotation_rad: float) -> float:
        """Rotate the scan and return the angle read back."""

    def set_blanked(self, *, blanked: bool) -> bool:
        """Blank or unblank the beam and return the state read back."""

    def auto_contrast(self, *, cancel: CancelToken) -> DetectorSettings:
        """Let the instrument set brightness and contrast for the present field and return them."""

    def acquire(self, settings: ImageSettings, *, cancel: CancelToken) -> Image:
        """Scan one frame and return it with the state it was taken in."""


class MillingState(StrEnum):
    """Name what the patterning engine does."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class MillingProgress:
    """Beam time of the drawn shapes so far; ``finished`` only when all of it was milled."""

    milled_s: float
    total_s: float
    finished: bool


class Milling(Protocol):
    """The patterning engine of the ion beam."""

    @property
    def shape_kinds(self) -> frozenset[ShapeKind]:
        """Return the shapes that can be drawn; any other is refused with `NotSupportedError`."""

    def draw(self, shapes: Sequence[Shape], settings: MillingSettings) -> float:
        """Replace what is drawn, validate it against the field and return the instrument's estimate in seconds.

        ``settings`` must equal the beam's present current and voltage; the field width is set to ``settings.hfw_m``.
        """

    def run(self, *, duration_s: float | None = None, skip_s: float = 0.0, cancel: CancelToken) -> MillingProgress:
        """Mill what is drawn for ``duration_s`` of beam time (all of it when None), then pause; call again to go on.

        ``skip_s`` leaves out beam time that an earlier, interrupted run has already spent; only with the first call.
        A run that is cancelled stops and returns the beam time spent, so that it can be recorded; with a token that is
        cancelled beforehand it raises ``Cancelled`` and mills nothing.
        """

    def stop(self) -> None:
        """Stop at once, confirm that the engine is idle and clear the drawing; safe to call twice."""

    def state(self) -> MillingState:
        """Read the state of the engine."""


class Driver(Protocol):
    """What every driver can do as a whole."""

    def safe_state(self) -> None:
        """Stop milling, blank the beams, retract gas needle and manipulator, leave the stage; safe to call twice.

        In this order, each action on its own (`fibsem_runtime.hal.attempt_all`), whatever state the instrument is in
        and from any thread; raises `HardwareError` naming what failed after everything was tried. A manipulator that
        touches or holds the sample stays where it is (safety.md section 2).
        """

    def close(self) -> None:
        """Release the instrument; it stays as it is."""
