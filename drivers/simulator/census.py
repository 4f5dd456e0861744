"""Into which pieces milling has divided a sample, and which of them hang together with its rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.columns import STEP_M, Terrain, lay_out_terrain
from drivers.simulator.rays import lay_out_cuts
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.spans import find_spans, label_spans
from fibsem_runtime.core.units import NM, UM

Floats: TypeAlias = NDArray[np.float64]
Bounds: TypeAlias = tuple[tuple[float, float], tuple[float, float]]
"""Lowest and highest u, lowest and highest v, metres."""

RAY_COUNT: Final = 16_000
"""Rays of a first look (numerical): on-grid sites to 0.15 µm, lift-out sites to 0.4 µm, sever cuts are 1 µm wide."""

FINEST_M: Final = 50 * NM
LEAST_VOLUME_M3: Final = 0.05 * UM**3
"""Smaller remains are dust: they stay where they are and count as no body (assumed)."""

_ROOM_M: Final = 1 * UM
_MOST_TOLERANCE_M: Final = 0.6 * UM
_TOUCH_M: Final = 20 * NM


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lattice:
    """Parallel rays through a sample: (u, v) lie at ``origin + u axes[0] + v axes[1]``, w along ``axes[2]``."""

    origin: Floats
    axes: Floats
    u_m: Floats
    v_m: Floats
    pitch_m: float

    @property
    def shape(self) -> tuple[int, int]:
        """Return rows (v) and columns (u)."""
        return len(self.v_m), len(self.u_m)

    def points(self) -> Floats:
        """Return (rays, 3), row by row."""
        u, v = np.meshgrid(self.u_m, self.v_m)
        return np.ascontiguousarray(
            self.origin + np.multiply.outer(u.ravel(), self.axes[0]) + np.multiply.outer(v.ravel(), self.axes[1])
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Census:
    """Stretches of what is left on each ray of a lattice, with the number of the piece that each belongs to.

    ``spans``: (rays, stretches, 2) float64 along w; ``labels``: (rays, stretches) int64, -1 for none. ``loose`` are the
    numbers of pieces that reach neither the border of the lattice nor its end along the rays, largest first.
    """

    lattice: Lattice
    spans: Floats
    labels: NDArray[np.int64]
    loose: tuple[int, ...]

    def piece(self, number: int) -> tuple[Floats, Floats]:
        """Return (rows, columns) where a piece begins and ends along each ray; infinite where it is not."""
        own = self.labels == number
        begin = np.where(own, self.spans[..., 0], np.inf).min(axis=1)
        end = np.where(own, self.spans[..., 1], -np.inf).max(axis=1)
        return begin.reshape(self.lattice.shape), end.reshape(self.lattice.shape)

    def middle(self, number: int) -> Floats:
        """Return a point inside a piece: the middle of its longest stretch."""
        length = np.where(self.labels == number, self.spans[..., 1] - self.spans[..., 0], -np.inf)
        ray, stretch = np.unravel_index(int(length.argmax()), length.shape)
        return np.asarray(self.lattice.points()[ray] + self.spans[ray, stretch].mean() * self.lattice.axes[2])

    def number_at(self, point: Floats, *, reach_m: float = 0.0) -> int | None:
        """Return the piece at a point, or within ``reach_m`` along the ray beside it; None where there is none."""
        lattice = self.lattice
        u, v, w = lattice.axes @ (point - lattice.origin)
        column, row = round((u - lattice.u_m[0]) / lattice.pitch_m), round((v - lattice.v_m[0]) / lattice.pitch_m)
        if not (0 <= column < len(lattice.u_m) and 0 <= row < len(lattice.v_m)):
            return None
        around = math.ceil(reach_m / lattice.pitch_m)
        best, nearest_m = None, math.inf
        for j in range(max(0, row - around), min(len(lattice.v_m), row + around + 1)):
            for i in range(max(0, column - around), min(len(lattice.u_m), column + around + 1)):
                ray = j * len(lattice.u_m) + i
                aside_m = math.hypot(j - row, i - column) * lattice.pitch_m
                for label, (begin, end) in zip(self.labels[ray], self.spans[ray], strict=True):
                    away_m = math.hypot(aside_m, max(begin - w, w - end, 0.0))
                    if label >= 0 and away_m < nearest_m:
                        best, nearest_m = int(label), away_m
        return best if nearest_m <= reach_m + lattice.pitch_m else None


def bounds_of(cuts: Sequence[Cut], origin: Floats, axes: Floats, terrain: Terrain) -> tuple[Bounds, float]:
    """Return what the cuts reach in u and v of a frame, and how far along w they can have removed anything."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for cut in cuts:
        reached = np.isfinite(cut.front_m)
        if not reached.any():
            continue
        rows, columns = np.flatnonzero(reached.any(axis=1)), np.flatnonzero(reached.any(axis=0))
        corners = []
        for u in (cut.u0_m + cut.du_m * columns[0], cut.u0_m + cut.du_m * columns[-1]):
            for v in (cut.v0_m + cut.dv_m * rows[0], cut.v0_m + cut.dv_m * rows[-1]):
                foot = cut.origin + u * cut.axes[0] + v * cut.axes[1]
                first_m = (terrain.high_m - foot[2]) / cut.axes[2, 2]
                last_m = min(float(cut.front_m.max()), (terrain.low_m - foot[2]) / cut.axes[2, 2])
                corners += [foot + s * cut.axes[2] for s in (first_m, max(first_m, last_m))]
        at = (np.array(corners) - origin) @ axes.T
        low, high = np.minimum(low, at.min(axis=0)), np.maximum(high, at.max(axis=0))
    return ((float(low[0]), float(high[0])), (float(low[1]), float(high[1]))), float(high[2])


def around(cuts: Sequence[Cut], seeds: Sequence[Cut], origin: Floats, axes: Floats, terrain: Terrain) -> list[Cut]:
    """Return the milled cuts whose bounds overlap those of ``seeds``, over others too: together they free a piece."""
    waiting = [cut for cut in cuts if cut.is_milled and np.isfinite(cut.front_m).any()]
    boxes = {id(cut): np.array(bounds_of([cut], origin, axes, terrain)[0]) for cut in waiting}
    reached = [cut for cut in waiting if any(cut is seed for seed in seeds)]
    waiting = [cut for cut in waiting if not any(cut is one for one in reached)]
    for one in reached:
        near = [c for c in waiting if _overlap(boxes[id(c)], boxes[id(one)])]
        reached += near
        waiting = [c for c in waiting if not any(c is n for n in near)]
    return reached


def _overlap(one: Floats, two: Floats) -> bool:
    return bool((one[:, 0] <= two[:, 1]).all() and (two[:, 0] <= one[:, 1]).all())


def look(
    sample: Sample, origin: Floats, axes: Floats, bounds: Bounds, until_m: float, *, ray_count: int = RAY_COUNT
) -> Census:
    """Look at a part of a sample along ``axes[2]``, which goes down, with about ``ray_count`` rays."""
    sides_m = [high - low + 2 * _ROOM_M for low, high in bounds]
    pitch_m = max(math.sqrt(sides_m[0] * sides_m[1] / ray_count), FINEST_M)
    u_m, v_m = (np.arange(low - _ROOM_M, high + _ROOM_M + pitch_m, pitch_m) for low, high in bounds)
    lattice = Lattice(origin=origin, axes=np.ascontiguousarray(axes), u_m=u_m, v_m=v_m, pitch_m=pitch_m)
    terrain = lay_out_terrain(sample)
    cuts = lay_out_cuts([c for c in sample.cuts if np.isfinite(c.front_m).any()], _bundle(lattice), terrain)
    end_m = until_m + _ROOM_M + STEP_M
    spans, counts = find_spans(lattice.points(), lattice.axes[2], end_m, terrain, cuts)
    steepness = abs(axes[2, 2]) / max(math.hypot(axes[2, 0], axes[2, 1]), 1e-9)
    tolerance_m = min(pitch_m / steepness, _MOST_TOLERANCE_M) + _TOUCH_M
    labels = label_spans(spans, counts, *lattice.shape, tolerance_m)
    return Census(lattice=lattice, spans=spans, labels=labels, loose=_loose(lattice, spans, labels))


def _loose(lattice: Lattice, spans: Floats, labels: NDArray[np.int64]) -> tuple[int, ...]:
    """Return the pieces that touch no border and are more than dust."""
    grid = labels.reshape(*lattice.shape, -1)
    border = np.concatenate([a.ravel() for a in (grid[0], grid[-1], grid[:, 0], grid[:, -1])])
    held = set(border.tolist()) | set(labels[np.isinf(spans[..., 1])].tolist())
    numbers = [n for n in np.unique(labels) if n >= 0 and n not in held]
    area_m2 = lattice.pitch_m**2
    lengths_m = spans[..., 1] - spans[..., 0]
    volumes_m3 = {int(n): float(lengths_m[labels == n].sum()) * area_m2 for n in numbers}
    return tuple(sorted((n for n, v_m3 in volumes_m3.items() if v_m3 > LEAST_VOLUME_M3), key=lambda n: -volumes_m3[n]))


def _bundle(lattice: Lattice) -> Cut:
    """Return an empty cut with the rays of a lattice."""
    u, v = lattice.u_m, lattice.v_m
    return Cut(
        origin=lattice.origin,
        axes=lattice.axes,
        u0_m=float(u[0]),
        du_m=float(u[-1] - u[0]),
        v0_m=float(v[0]),
        dv_m=float(v[-1] - v[0]),
        front_m=np.full((2, 2), -np.inf, np.float32),
    )
