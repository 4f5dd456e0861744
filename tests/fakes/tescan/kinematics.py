"""From TESCAN's stage to the simulator's, by the kinematics of vendor-geometry.md section 2.

Written from the table and not with the runtime's solver, so that a wrong sign in a driver's chain shows as a wrong
image. Chamber: x right, y up in the electron image, z towards the electron column.
"""

from __future__ import annotations

import math

from fibsem_runtime.core import StagePosition

Axes = tuple[float, float, float, float, float]
"""x, y, z in mm, rotation and tilt in degrees: the order of the vendor's calls."""


def to_simulator(axes: Axes, *, eucentric_z_mm: float, simulator_z_m: float) -> StagePosition:
    """Return the simulator position that puts the sample where TESCAN's axes put it.

    TESCAN: x and y inverted versus the image, so that the content moves with +x and +y; y rides on the tilt; z is
    vertical and counts down. Simulator: content moves against x and y; y and z ride on the tilt.
    """
    x, y, z, rotation, tilt = axes
    t_rad = math.radians(tilt)
    lift_m = -(z - eucentric_z_mm) / 1e3
    # Positive tilt lowers the side of +y: the plate's y points to (cos t, -sin t), its normal to (sin t, cos t).
    along_plate_m = y / 1e3 - lift_m * math.sin(t_rad)
    along_normal_m = lift_m * math.cos(t_rad)
    return StagePosition(
        x_m=-x / 1e3,
        y_m=-along_plate_m,
        z_m=simulator_z_m + along_normal_m,
        r_rad=math.radians(rotation),
        t_rad=t_rad,
    )
