"""What a driver declares about its stage and columns; `kinematics` turns it into moves and projections."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KinematicChain:
    """Geometry of one instrument with one shuttle (vendor-geometry.md sections 1-4).

    ``axis_sign_x``/``axis_sign_y`` are +1 where a stage move by +c centres what is seen at image offset +c (Thermo) and
    -1 where it is inverted (TESCAN); ``z_sign`` is +1 where +z lifts the sample towards the electron column.
    ``z_rides_on_tilt``: Thermo carries y and z on the tilt, TESCAN only y.
    ``is_compustage``: no rotation axis, the grid is turned over by tilting.
    ``rotation_sign`` is -1 where +r turns the sample clockwise for an observer in the electron column (Thermo,
    section 2, evidence M; half turns do not depend on it). ``rotation_centre_x_m``/``rotation_centre_y_m`` are the raw
    stage coordinates at which the rotation axis runs through the coincidence point (section 7).
    """

    ion_column_tilt_rad: float
    pretilt_rad: float
    rotation_reference_rad: float
    eucentric_z_m: float
    eucentric_working_distance_electron_m: float
    eucentric_working_distance_ion_m: float
    axis_sign_x: int = 1
    axis_sign_y: int = 1
    z_sign: int = 1
    z_rides_on_tilt: bool = True
    is_compustage: bool = False
    rotation_sign: int = -1
    rotation_centre_x_m: float = 0.0
    rotation_centre_y_m: float = 0.0
