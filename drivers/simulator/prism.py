"""The wide piece between two trenches: a block to lift out, or the slab of a waffle before it is thinned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.lamella_site import open_site
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.slab_search import Gap
from drivers.simulator.survey import standing
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal.truth import ObjectClass

Floats: TypeAlias = NDArray[np.float64]

WIDEST_M: Final = 32 * UM
"""Widest piece between two trenches (methods.md sections 6, 8 and 9: 25, 10 and, before undercutting, 25 µm)."""

_WALL_M: Final = 0.4 * UM
"""How far a wall may lie outside the piece's edges: they are those of half the dose, walls not straight (assumed)."""

_ABOVE_M: Final = 15 * UM
"""How far above the trenches' origin the piece may begin: clumps and relief of the surface (assumed)."""

_FLOOR_M: Final = 0.5 * UM
"""What lies nearer to the floor of the trenches is floor (assumed)."""

_BESIDE_M: Final = 0.7 * UM
_PROBE_COUNT: Final = 9


@dataclass(frozen=True, eq=False)
class PrismThing:
    """What stands in a gap: its upper face and its walls down to the floor of the shallower trench."""

    gap: Gap
    sample: Sample
    object_class: ObjectClass
    body: int

    @property
    def thickness_m(self) -> float | None:
        """Return None: it is no lamella yet."""
        return None

    @cached_property
    def _box(self) -> Floats:
        """Return (3, 2) lowest and highest u, v and w in the axes of the gap."""
        gap = self.gap
        half = np.array([gap.reach_u_m + _WALL_M, gap.width_m / 2 + _WALL_M])
        middle = np.array([gap.u_m, gap.v_m])
        depth_m = min(_floor_m(self.gap.cut), _floor_m(self.gap.other))
        surface_m = float(self.sample.top_m.max() - gap.cut.origin[2]) / float(gap.cut.axes[2, 2])
        sides = np.stack([middle - half, middle + half], axis=1)
        return np.vstack([sides, [[surface_m - _ABOVE_M, depth_m - _FLOOR_M]]])

    def corners(self) -> Floats:
        """Return the eight corners of the box that it fills."""
        return np.asarray(self.gap.cut.origin + np.array(list(product(*self._box))) @ self.gap.cut.axes)

    def holds(self, places: Floats) -> NDArray[np.bool_]:
        """Tell which places lie in its box; NaN does not."""
        at = (places - self.gap.cut.origin) @ self.gap.cut.axes.T
        return np.asarray(((at >= self._box[:, 0]) & (at <= self._box[:, 1])).all(axis=-1))

    @cached_property
    def attached_to(self) -> tuple[str, ...]:
        """Name the sides on which material stands right beside it: left and right as the beam saw it, and below."""
        site = open_site(self.sample, self.gap.target(), self.gap.view())
        if site is None:
            return ()
        (left_m, right_m), (low_m, high_m), (_, floor_m) = self._box
        v = np.linspace(low_m + 2 * _WALL_M, high_m - 2 * _WALL_M, _PROBE_COUNT)
        w = np.linspace(floor_m - 10 * UM, floor_m - 1 * UM, _PROBE_COUNT)
        u = np.linspace(left_m + 2 * _WALL_M, right_m - 2 * _WALL_M, _PROBE_COUNT)
        faces = {
            "left": (left_m - _BESIDE_M, v, w),
            "right": (right_m + _BESIDE_M, v, w),
            "below": (u, v, floor_m + _FLOOR_M + _BESIDE_M),
        }
        return tuple(name for name, face in faces.items() if self._stands(face, site.terrain, site.cuts))

    def _stands(self, face_m: tuple[Floats | float, ...], terrain: object, cuts: object) -> bool:
        grid = np.stack(np.meshgrid(*face_m, indexing="ij"), axis=-1).reshape(-1, 3)
        points = np.ascontiguousarray(self.gap.cut.origin + grid @ self.gap.cut.axes)
        return bool(np.asarray(standing(points, terrain, cuts)).any())


def _floor_m(cut: Cut) -> float:
    """Return how deep a trench is over most of its area, along its beam."""
    dug = cut.front_m[np.isfinite(cut.front_m)]
    return float(np.quantile(dug, 0.75))
