"""How a ray steps from block to block and where it meets a bilinear patch."""

from __future__ import annotations

import math
from typing import Final

from drivers.simulator.kernels import kernel

STEP_PAST_M: Final = 1e-13
"""Put on top of a step, so that rounding cannot leave a ray on the near side of a border."""
FAR_M: Final = 1e9


@kernel
def to_exit(position: float, rate: float, inverse: float, cell: int, shift: int) -> float:
    """Return the distance along the ray to the far side of a block; ``rate`` cells a metre."""
    if rate > 0.0:
        return (((cell + 1) << shift) - position) * inverse
    return ((cell << shift) - position) * inverse


@kernel
def first_root(start: float, slope: float, bend: float) -> float:
    """Return the first root at 0 or later of ``start + slope t + bend t^2``, a large number when there is none."""
    root = slope * slope - 4.0 * bend * start
    if root < 0.0:
        return FAR_M
    root = math.sqrt(root)
    mean = -0.5 * (slope + root) if slope > 0.0 else -0.5 * (slope - root)
    # The root start / mean is the nearer to 0 of the two.
    one = start / mean if mean != 0.0 else -1.0
    if one >= 0.0:
        return one
    two = mean / bend if bend != 0.0 else -1.0
    return two if two >= 0.0 else FAR_M
