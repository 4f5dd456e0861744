"""Forward chain: where the specimen is in the chamber for a stage position, and what a beam sees of it.

Chamber frame: origin at the coincidence point, x to the right and y upwards in the electron image without scan
rotation, z towards the electron column. Sample content that moves by +x here moves to the right in both images.

Conventions and what they rest on (vendor-geometry.md sections 2, 5, 6 and 9):

- The ion column stands at ``(0, sin f, cos f)`` and its image's up is ``(0, cos f, -sin f)``: higher sample appears
  lower in an ion image without scan rotation. Positive tilt tips the surface towards the ion column. Both follow from
  hardware reports: a relative stage move by +c centres what is seen at +c (section 9), and lifting the sample by
  ``dy / sin f`` centres what the ion beam sees at +dy (section 6, fos#720 and the TESCAN check of 2026-07-22).
- Thermo: y and z ride on the tilt; TESCAN: y rides on it, z is vertical and counts downwards. Hardware-verified.
- Beam shift: +s moves the image content by +s, aligned with the image. Hardware-verified for scan rotation 0 and 180°.
- Scan rotation by phi turns the image's right and up counter-clockwise by phi. Verified for 0 and 180°, where the sense
  does not matter; the sense at other angles is an extrapolation of the file relation in section 9 and unverified.
- Rotation: the sense of +r (`KinematicChain.rotation_sign`) rests on one source of evidence M; half turns are verified.
- Compustage: plain kinematics. fibsemOS inverts y at the turned-over ion pose (section 5); neither is verified.
- The tilt axis runs through the coincidence point (at ``z = eucentric_z_m`` where z does not ride on the tilt); what an
  instrument deviates from that is not known here (non-eucentric tilt, physics.md section 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import BeamType, ImagePoint, SpecimenPosition, StagePosition
from fibsem_runtime.hal.chain import KinematicChain

Vector: TypeAlias = NDArray[np.float64]
"""Three metres, or a direction of length 1: (3,) float64."""
Matrix: TypeAlias = NDArray[np.float64]
"""Rows times columns of float64."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Placement:
    """Specimen frame in the chamber: ``chamber = rotation @ specimen + translation_m``; rotation is (3, 3)."""

    rotation: Matrix
    translation_m: Vector

    @property
    def normal(self) -> Vector:
        """Return the direction out of the sample surface, in the chamber."""
        return self.rotation[:, 2]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BeamView:
    """Parallel projection of one beam, in the frame that its user names (chamber or specimen).

    The image point (x, y) shows ``centre_m + x * right + y * up`` and everything behind it along ``towards_column``.
    The three directions are orthonormal and right-handed; ``centre_m`` lies in the plane of coincidence.
    """

    centre_m: Vector
    right: Vector
    up: Vector
    towards_column: Vector

    def project(self, point_m: Vector) -> ImagePoint:
        """Return where the image shows a point."""
        offset_m = point_m - self.centre_m
        return ImagePoint(float(offset_m @ self.right), float(offset_m @ self.up))


def rotation_about_x(angle_rad: float) -> Matrix:
    """Return the (3, 3) rotation that turns y towards z."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])


def rotation_about_z(angle_rad: float) -> Matrix:
    """Return the (3, 3) rotation that turns x towards y."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def stage_axes(chain: KinematicChain, t_rad: float) -> Matrix:
    """Return how sample content moves in the chamber per metre of stage x, y and z: one column an axis, (3, 3)."""
    plate = rotation_about_x(-t_rad)
    z_axis = plate[:, 2] if chain.z_rides_on_tilt else np.array([0.0, 0.0, 1.0])
    return np.column_stack((-chain.axis_sign_x * plate[:, 0], -chain.axis_sign_y * plate[:, 1], chain.z_sign * z_axis))


def placement(chain: KinematicChain, position: StagePosition) -> Placement:
    """Return where the specimen frame is when the stage stands at ``position``."""
    plate = rotation_about_x(-position.t_rad)
    turn = _turn(chain, position.r_rad)
    axis_m = np.array(
        [chain.axis_sign_x * chain.rotation_centre_x_m, chain.axis_sign_y * chain.rotation_centre_y_m, 0.0]
    )
    travel_m = np.array([position.x_m, position.y_m, position.z_m - chain.eucentric_z_m])
    return Placement(
        rotation=plate @ turn @ rotation_about_x(chain.pretilt_rad),
        translation_m=stage_axes(chain, position.t_rad) @ travel_m + plate @ (axis_m - turn @ axis_m),
    )


def _turn(chain: KinematicChain, r_rad: float) -> Matrix:
    """Return the rotation of the shuttle on the plate; a compustage has none."""
    if chain.is_compustage:
        return np.eye(3)
    return rotation_about_z(chain.rotation_sign * (r_rad - chain.rotation_reference_rad))


def chamber_view(
    chain: KinematicChain,
    beam_type: BeamType,
    *,
    scan_rotation_rad: float = 0.0,
    shift: ImagePoint = ImagePoint(0.0, 0.0),
) -> BeamView:
    """Return what a beam sees, in the chamber frame."""
    column_tilt_rad = chain.ion_column_tilt_rad if beam_type is BeamType.ION else 0.0
    axes = rotation_about_x(-column_tilt_rad) @ rotation_about_z(scan_rotation_rad)
    right, up, towards_column = axes[:, 0], axes[:, 1], axes[:, 2]
    centre_m = -shift.x_m * right - shift.y_m * up
    return BeamView(centre_m=centre_m, right=right, up=up, towards_column=towards_column)


def to_vector(point: SpecimenPosition) -> Vector:
    """Return a specimen position as (x, y, z) in metres."""
    return np.array([point.x_m, point.y_m, point.z_m])


def to_specimen_position(point_m: Vector) -> SpecimenPosition:
    """Return (x, y, z) in metres of the specimen frame as a value."""
    return SpecimenPosition(x_m=float(point_m[0]), y_m=float(point_m[1]), z_m=float(point_m[2]))
