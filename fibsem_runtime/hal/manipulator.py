"""The needle: where it is, where it may go, and how a move seen in an image becomes a move of its axes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.chain import KinematicChain
from fibsem_runtime.hal.forward import Matrix, Vector, chamber_view, rotation_about_x

Direction: TypeAlias = tuple[float, float, float]
"""Direction of length 1 in the chamber frame of `fibsem_runtime.hal.forward`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManipulatorPosition:
    """Raw manipulator frame, the one the vendor reports; ``r_rad`` is None where the needle does not turn."""

    x_m: float
    y_m: float
    z_m: float
    r_rad: float | None = None


class ManipulatorPose(StrEnum):
    """Name a position that the instrument keeps: out of the way, ready to approach, or at the sample."""

    PARKED = "parked"
    STANDBY = "standby"
    WORKING = "working"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManipulatorLimits:
    """Allowed ranges of the needle's axes, raw frame."""

    x_m: AxisLimits
    y_m: AxisLimits
    z_m: AxisLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ManipulatorChain:
    """Where the needle's axes point in the chamber, with the stage flat.

    ``rides_on_tilt``: the frame tilts with the stage although the needle does not (STAGE coordinates of Thermo,
    vendor-geometry.md section 8).
    """

    x_axis: Direction = (1.0, 0.0, 0.0)
    y_axis: Direction = (0.0, 1.0, 0.0)
    z_axis: Direction = (0.0, 0.0, 1.0)
    rides_on_tilt: bool = False

    def axes(self, stage_tilt_rad: float) -> Matrix:
        """Return (3, 3) with the directions of the x, y and z axis as columns, in the chamber."""
        flat = np.array([self.x_axis, self.y_axis, self.z_axis]).T
        # Positive tilt tips the surface towards the ion column, which stands at +y (`forward`).
        return rotation_about_x(-stage_tilt_rad) @ flat if self.rides_on_tilt else flat


class Manipulator(Protocol):
    """Needle that can be inserted, moved and retracted."""

    @property
    def chain(self) -> ManipulatorChain | None:
        """Return the directions of the axes, None where nobody has measured them."""

    @property
    def limits(self) -> ManipulatorLimits:
        """Return the ranges that the needle may not leave."""

    @property
    def is_held(self) -> bool:
        """Return whether it touches or holds the sample, as the runtime has said with `hold`."""

    def hold(self, *, held: bool) -> None:
        """Say that it touches or holds the sample, or no longer does.

        While it does, the safe state leaves it where it is and it cannot be retracted (safety.md section 2, step 5). A
        simulator that keeps its state keeps this too; after reopening an instrument it must be said again.
        """

    def is_inserted(self) -> bool:
        """Read whether it is in the chamber's working space."""

    def position(self) -> ManipulatorPosition:
        """Read where it is; never a cached value."""

    def saved_position(self, pose: ManipulatorPose) -> ManipulatorPosition:
        """Read a position that the instrument keeps; raise `NotSupportedError` when it keeps none of that name."""

    def insert(self, pose: ManipulatorPose, *, cancel: CancelToken) -> ManipulatorPosition:
        """Bring the retracted needle to a saved position and return the position read back."""

    def move_to(self, target: ManipulatorPosition, *, cancel: CancelToken) -> ManipulatorPosition:
        """Move the inserted needle in a straight line and return the position read back."""

    def retract(self, *, cancel: CancelToken) -> None:
        """Park it; safe to call twice. The guards refuse it while it is held."""


def image_move(
    position: ManipulatorPosition,
    move: ImagePoint,
    beam_type: BeamType,
    *,
    manipulator: ManipulatorChain,
    chain: KinematicChain,
    stage_tilt_rad: float,
    scan_rotation_rad: float,
) -> ManipulatorPosition:
    """Return where the needle must go for its tip to move by ``move`` in an image of ``beam_type``.

    A move in the electron image keeps the height. A move in the ion image goes along the electron column, so that the
    electron image shows only its part along x: needle over target is found in one image, the height in the other. The
    formula of vendor-geometry.md section 8 for the electron image at scan rotation 0. For the ion image that formula
    lifts the tip by ``dy``; this one moves it by as much as the ion image needs to show ``dy`` (1 / sin f more), and
    down, because what is higher appears lower there (`fibsem_runtime.hal.forward`, verified for the sample; scale and
    sense of the needle are unverified).
    """
    seen = chamber_view(chain, beam_type, scan_rotation_rad=scan_rotation_rad)
    along_y = np.array([0.0, 1.0, 0.0]) if beam_type is BeamType.ELECTRON else np.array([0.0, 0.0, 1.0])
    along_x = np.array([1.0, 0.0, 0.0])
    shown = np.array([[d @ seen.right for d in (along_x, along_y)], [d @ seen.up for d in (along_x, along_y)]])
    x_m, y_m = np.linalg.solve(shown, [move.x_m, move.y_m])
    return _shifted(position, manipulator.axes(stage_tilt_rad), x_m * along_x + y_m * along_y)


def _shifted(position: ManipulatorPosition, axes: Matrix, chamber_move_m: Vector) -> ManipulatorPosition:
    x_m, y_m, z_m = np.linalg.solve(axes, chamber_move_m)
    return ManipulatorPosition(
        x_m=position.x_m + float(x_m),
        y_m=position.y_m + float(y_m),
        z_m=position.z_m + float(z_m),
        r_rad=position.r_rad,
    )
