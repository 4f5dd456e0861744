"""What a crash of the needle leaves in a body: the shape of its round tip, as deep as it was pushed."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from drivers.simulator.bodies import Body, Floats, Pose
from drivers.simulator.pieces import axes_along
from drivers.simulator.sample import Cut
from fibsem_runtime.core.units import UM

_PITCH_M: Final = 0.1 * UM
"""Distance of the samples of a dent (numerical)."""


def dent(body: Body, place: Pose, tip_m: Floats, along: Floats, radius_m: float) -> Cut:
    """Push a ball of a radius into a body at ``place``, its foremost point at ``tip_m``, along a direction of length 1.

    Both in the frame that ``place`` leads to. What was in its way is gone, as if it had been milled along the needle,
    which fills the space behind the ball anyway. Returns the cut, which is the body's last one.
    """
    axes = axes_along(np.asarray(along @ place.rotation))
    count = math.ceil(radius_m / _PITCH_M)
    at_m = _PITCH_M * np.arange(-count, count + 1)
    inside_m2 = radius_m**2 - at_m[np.newaxis, :] ** 2 - at_m[:, np.newaxis] ** 2
    front_m = np.where(inside_m2 >= 0, np.sqrt(np.maximum(inside_m2, 0)) - radius_m, -np.inf)
    cut = Cut(
        origin=np.ascontiguousarray(place.inward(tip_m)),
        axes=axes,
        u0_m=float(at_m[0]),
        du_m=_PITCH_M,
        v0_m=float(at_m[0]),
        dv_m=_PITCH_M,
        front_m=front_m.astype(np.float32),
        is_milled=False,
    )
    body.sample.cuts.append(cut)
    return cut
