"""The uncut sample as columns of layers, and how a straight ray passes from layer to layer.

Layers of a column: coating in the topmost `Sample.coating_m`, then ``material`` down to the film's top at z = 0, below
that the film, or the bar where the column reaches deeper than `BAR_DEPTH_M`; above a bar lies ice. Surfaces are
bilinear between the samples and straight within a step; beyond the map its outermost samples go on.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.kernels import with_memory
from drivers.simulator.sample import Material, Sample

STEP_M: Final = 0.15e-6
"""Length of one step along a ray: the pitch of the height field."""

BAR_DEPTH_M: Final = 1e-6
"""Columns reaching deeper below the film's top than this stand on a bar."""

VACUUM: Final = int(Material.VACUUM)
FILM: Final = int(Material.FILM)
ICE: Final = int(Material.ICE)
BAR: Final = int(Material.BAR)
COATING: Final = int(Material.COATING)


class Terrain(NamedTuple):
    """The uncut sample for compiled code; ``high_m`` and ``low_m`` bound it in z."""

    top_m: NDArray[np.float32]
    bottom_m: NDArray[np.float32]
    coating_m: NDArray[np.float32]
    material: NDArray[np.uint8]
    x0_m: float
    y0_m: float
    pitch_m: float
    high_m: float
    low_m: float


def lay_out_terrain(sample: Sample) -> Terrain:
    """Return the height field of a sample for compiled code, without a copy."""
    return Terrain(
        top_m=sample.top_m,
        bottom_m=sample.bottom_m,
        coating_m=sample.coating_m,
        material=sample.material,
        x0_m=float(sample.x0_m),
        y0_m=float(sample.y0_m),
        pitch_m=float(sample.pitch_m),
        high_m=float(sample.top_m.max()),
        low_m=float(sample.bottom_m.min()),
    )


@with_memory
def column_at(terrain: Any, x: float, y: float) -> Any:
    """Return (top, lower surface of the coating, bottom, material) of the column at (x, y)."""
    rows, columns = terrain.top_m.shape
    fx = min(max((x - terrain.x0_m) / terrain.pitch_m, 0.0), columns - 1.0)
    fy = min(max((y - terrain.y0_m) / terrain.pitch_m, 0.0), rows - 1.0)
    i, j = min(int(fx), columns - 2), min(int(fy), rows - 2)
    fx, fy = fx - i, fy - j
    a, b, c, d = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    t, m, g = terrain.top_m, terrain.bottom_m, terrain.coating_m
    top = a * t[j, i] + b * t[j, i + 1] + c * t[j + 1, i] + d * t[j + 1, i + 1]
    bottom = a * m[j, i] + b * m[j, i + 1] + c * m[j + 1, i] + d * m[j + 1, i + 1]
    coating = a * g[j, i] + b * g[j, i + 1] + c * g[j + 1, i] + d * g[j + 1, i + 1]
    return top, top - coating, bottom, terrain.material[j + (1 if fy > 0.5 else 0), i + (1 if fx > 0.5 else 0)]


@with_memory
def is_below(terrain: Any, column: Any, z: float) -> Any:
    """Tell whether a descending ray has nothing before it any more: it is under its column, or under everything."""
    return z <= terrain.low_m or (z < column[2] and column[0] > column[2])


@with_memory
def depths(column: Any, z: float) -> Any:
    """Return how far ``z`` lies below the column's top, its coating and the film's top, and above its bottom."""
    return column[0] - z, column[1] - z, -z, z - column[2]


@with_memory
def layer_at(t: float, start: Any, end: Any, first: Any, second: Any) -> int:
    """Return the material at the fraction ``t`` of a step between two columns, whose `depths` are given."""
    if start[0] + t * (end[0] - start[0]) <= 0.0 or start[3] + t * (end[3] - start[3]) <= 0.0:
        return VACUUM
    if start[1] + t * (end[1] - start[1]) <= 0.0:
        return COATING
    if start[2] + t * (end[2] - start[2]) > 0.0:
        return BAR if min(first[2], second[2]) < -BAR_DEPTH_M else FILM
    material = second[3] if t > 0.5 else first[3]
    return ICE if material == BAR or material == FILM else material


@with_memory
def piece_at(t: float, start: Any, end: Any, first: Any, second: Any) -> Any:
    """Return (fraction, material): up to where on a step, from the fraction ``t`` on, the material stays the same."""
    until = 1.0
    for n in range(4):
        if (start[n] > 0.0) != (end[n] > 0.0):
            crossing = start[n] / (start[n] - end[n])
            if t + 1e-9 < crossing < until:
                until = crossing
    return until, layer_at(0.5 * (t + until), start, end, first, second)
