"""The truth in metres: what is where on the grid, and what has been milled away.

Frame: `SpecimenPosition` (x, y on the film, z out of the surface; the film's top is z = 0).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Material(IntEnum):
    """Number of a material in `Sample.material`."""

    VACUUM = 0
    FILM = 1
    ICE = 2
    CELL = 3
    BAR = 4
    COATING = 5
    COPPER = 6
    TUNGSTEN = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell lying on the film: footprint centre, semi-axes and height of the dome."""

    x_m: float
    y_m: float
    radius_x_m: float
    radius_y_m: float
    height_m: float


@dataclass(slots=True, kw_only=True)
class Cut:
    """Material removed along one beam direction.

    A specimen point p has coordinates ``axes @ (p - origin)`` = (u, v, w) with w along the travel of the ions. It is
    gone when ``w < front_m[v, u]``, interpolated linearly between the samples at ``u0 + i du`` and ``v0 + j dv``;
    ``-inf`` where the beam has removed nothing. Where a ray has passed through all material, the left-over dose goes on
    as virtual length, so that the front is smooth in v and an edge is exact to about a nanometre. ``is_milled`` is
    False for a cut that only says where a body ends. ``drawn_m``: (2, 2) lowest and highest (u, v) of the drawn shape,
    None where nothing was drawn.
    """

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]
    u0_m: float
    du_m: float
    v0_m: float
    dv_m: float
    front_m: NDArray[np.float32]
    is_milled: bool = True
    drawn_m: NDArray[np.float64] | None = None


@dataclass(slots=True, kw_only=True)
class Sample:
    """Height field plus cuts.

    ``top_m``, ``bottom_m``: (ny, nx) float32, upper and lower surface at ``x0 + i pitch``, ``y0 + j pitch``; a hole in
    the film has top <= bottom. ``coating_m``: (ny, nx) float32, thickness of the coating inside ``top_m``.
    ``material``: (ny, nx) uint8, `Material` below the coating. ``has_surroundings``: beyond the map a plane goes on at
    the height of its rim; otherwise there is nothing.

    The four maps are made read-only: who changes the surface assigns a new array, so that what is computed from one may
    be kept for as long as it lives. Cuts are changed in place.
    """

    x0_m: float
    y0_m: float
    pitch_m: float
    top_m: NDArray[np.float32]
    bottom_m: NDArray[np.float32]
    coating_m: NDArray[np.float32]
    material: NDArray[np.uint8]
    cells: list[Cell] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    has_surroundings: bool = True

    def __post_init__(self) -> None:
        """Make the height field read-only."""
        for array in (self.top_m, self.bottom_m, self.coating_m, self.material):
            array.setflags(write=False)
