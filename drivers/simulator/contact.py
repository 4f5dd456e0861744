"""Where two bodies touch: points on the skin of one that lie in the other, exactly."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bodies import Body, Floats
from drivers.simulator.columns import lay_out_terrain
from drivers.simulator.rays import lay_out_cuts
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.survey import standing
from fibsem_runtime.core.units import UM

SKIN_PITCH_M: Final = 0.3 * UM
"""Distance of the points that are tried (numerical)."""

TIP_LENGTH_M: Final = 40 * UM
"""How much of the needle can touch: what lies farther from its tip is above everything."""

_MOST_POINTS: Final = 6000


def skin(body: Body) -> tuple[Floats, float]:
    """Return (n, 3) points on and just within the surface of a body, in its own frame, and the area for each, m²."""
    low, high = body.extent_m.copy()
    if body.parent is None:
        high[:2] = np.minimum(high[:2], low[:2] + TIP_LENGTH_M)
        middle_m = (body.extent_m[0, 1] + body.extent_m[1, 1]) / 2
        low[1], high[1] = middle_m - TIP_LENGTH_M / 3, middle_m + TIP_LENGTH_M / 3
    pitch_m = max(SKIN_PITCH_M, float(np.prod(high - low) / 400_000) ** (1 / 3))
    axes = [np.arange(start, end + pitch_m, pitch_m) for start, end in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    solid = stands(body.sample, grid.reshape(-1, 3)).reshape(grid.shape[:3])
    inner = solid.copy()
    for axis in range(3):
        for step in (1, -1):
            beside = np.roll(solid, step, axis=axis)
            np.moveaxis(beside, axis, 0)[0 if step == 1 else -1] = False
            inner &= beside
    points = grid[solid & ~inner]
    stride = max(1, len(points) // _MOST_POINTS)
    return np.asarray(points[::stride]), stride * pitch_m**2


def stands(sample: Sample, points: Floats) -> NDArray[np.bool_]:
    """Tell for each of (n, 3) points of a sample's own frame whether there is material."""
    if not len(points):
        return np.zeros(0, np.bool_)
    low, high = points.min(axis=0), points.max(axis=0)
    rows, columns = sample.top_m.shape
    over = np.array([columns - 1, rows - 1]) * sample.pitch_m + (sample.x0_m, sample.y0_m)
    if (low[:2] > over).any() or (high[:2] < (sample.x0_m, sample.y0_m)).any():
        return np.zeros(len(points), np.bool_)
    terrain = lay_out_terrain(sample)
    around = Cut(
        origin=np.zeros(3),
        axes=np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]]),
        u0_m=float(low[0]),
        du_m=float(high[0] - low[0]) + 1e-9,
        v0_m=float(-high[1]),
        dv_m=float(high[1] - low[1]) + 1e-9,
        front_m=np.full((2, 2), -np.inf, np.float32),
    )
    cuts = lay_out_cuts(sample.cuts, around, terrain)
    return np.asarray(standing(np.ascontiguousarray(points), terrain, cuts), np.bool_)
