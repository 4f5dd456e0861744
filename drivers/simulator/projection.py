"""From the true pose of the stage to what a beam sees of the specimen.

Derived independently of `fibsem_runtime.hal.kinematics`, so that a wrong formula cannot hide in both: the rays of a
column start in the chamber and every motion of the stage is undone on them, one after the other, until they are in the
specimen frame.

Chamber: origin at the coincidence point, x right and y up in the electron image without scan rotation, z towards the
electron column. The sample moves against stage x and y (a stage move by +c centres what is seen at +c) and with z; y
and z ride on the tilt; positive tilt tips the surface towards the ion column, which stands on the side of +y; +r turns
the sample clockwise seen from above (vendor-geometry.md sections 2, 6, 9).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.view import View
from fibsem_runtime.core import BeamType, ImagePoint, StagePosition
from fibsem_runtime.hal.chain import KinematicChain

Vector: TypeAlias = NDArray[np.float64]
"""(3,) float64: metres, or a direction of length 1."""

X_AXIS = np.array([1.0, 0.0, 0.0])
Y_AXIS = np.array([0.0, 1.0, 0.0])
Z_AXIS = np.array([0.0, 0.0, 1.0])


def _zero() -> Vector:
    return np.zeros(3)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Errors:
    """How the instrument deviates from its chain at one moment, metres; all zero for an ideal one.

    ``drift_m`` in the chamber; ``recall_m`` of the sample against the encoders, on the plate; ``tilt_axis_m`` of the
    tilt axis from coincidence, in the chamber; ``rotation_centre_m`` of the rotation axis, on the plate; ``height_m``
    of the specimen frame along its normal.
    """

    drift_m: Vector = field(default_factory=_zero)
    recall_m: Vector = field(default_factory=_zero)
    tilt_axis_m: Vector = field(default_factory=_zero)
    rotation_centre_m: Vector = field(default_factory=_zero)
    height_m: float = 0.0


def rotation_matrix(axis: Vector, angle_rad: float) -> NDArray[np.float64]:
    """Return the (3, 3) right-handed rotation about a unit vector (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle_rad) * cross + (1.0 - np.cos(angle_rad)) * (cross @ cross))


def column_rays(
    chain: KinematicChain, beam_type: BeamType, *, scan_rotation_rad: float, content_shift: ImagePoint
) -> View:
    """Return the rays of a column in the chamber; ``content_shift`` is how far the image content is moved.

    Scan rotation turns right and up counter-clockwise about the axis towards the column; the shift is aligned with the
    image (vendor-geometry.md section 9).
    """
    column_tilt_rad = chain.ion_column_tilt_rad if beam_type is BeamType.ION else 0.0
    tilt = rotation_matrix(X_AXIS, -column_tilt_rad)
    towards_column = tilt @ Z_AXIS
    scan = rotation_matrix(towards_column, scan_rotation_rad)
    right, up = scan @ X_AXIS, scan @ (tilt @ Y_AXIS)
    origin = -(content_shift.x_m * right + content_shift.y_m * up)
    return View(origin=origin, right=right, up=up, direction=-towards_column)


def to_specimen(chain: KinematicChain, rays: View, position: StagePosition, errors: Errors) -> View:
    """Undo drift, tilt, travel, rotation, pre-tilt and height on rays of the chamber; ``position`` is the encoders'."""
    rays = _moved(rays, -errors.drift_m)
    # The tilt axis is off coincidence; the instrument was made coincident at the flat-to-electron pose, t = pre-tilt.
    rays = _turned(rays, X_AXIS, position.t_rad, about=errors.tilt_axis_m)
    rays = _moved(rays, rotation_matrix(X_AXIS, chain.pretilt_rad) @ errors.tilt_axis_m - errors.tilt_axis_m)
    travel_m = np.array([-position.x_m, -position.y_m, position.z_m - chain.eucentric_z_m])
    rays = _moved(rays, -(travel_m + errors.recall_m))
    rays = _turned(rays, Z_AXIS, position.r_rad - chain.rotation_reference_rad, about=errors.rotation_centre_m)
    rays = _turned(rays, X_AXIS, -chain.pretilt_rad, about=_zero())
    return _moved(rays, -errors.height_m * Z_AXIS)


def _moved(rays: View, by_m: Vector) -> View:
    return View(origin=rays.origin + by_m, right=rays.right, up=rays.up, direction=rays.direction)


def _turned(rays: View, axis: Vector, angle_rad: float, *, about: Vector) -> View:
    turn = rotation_matrix(axis, angle_rad)
    return View(
        origin=about + turn @ (rays.origin - about),
        right=turn @ rays.right,
        up=turn @ rays.up,
        direction=turn @ rays.direction,
    )
