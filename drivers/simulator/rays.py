"""March ion rays through what is left of the sample: the compiled inner loops of milling."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.columns import (
    COATING,
    ICE,
    STEP_M,
    VACUUM,
    Terrain,
    column_at,
    depths,
    is_below,
    piece_at,
)
from drivers.simulator.kernels import with_memory
from drivers.simulator.sample import Cut

PARALLEL_LIMIT: Final = 1e-9
"""Largest difference between two beam directions that count as one (0.02 pm over 20 µm)."""

_NO_FRONT: Final = -np.inf


class OtherCuts(NamedTuple):
    """Cuts laid end to end.

    ``frame``: (cuts, 16) float64, origin, axes row by row, u0, 1 / du, v0, 1 / dv. ``size``: (cuts, 4) int64, samples
    in u and v, start in ``front_m``, 1 where the beam had the same direction as the ray.
    """

    frame: NDArray[np.float64]
    size: NDArray[np.int64]
    front_m: NDArray[np.float32]


def lay_out_cuts(cuts: list[Cut], rays: Cut, terrain: Terrain) -> OtherCuts:
    """Return those of ``cuts`` that can have removed anything on the rays of the grid of ``rays``."""
    direction, corners = rays.axes[2], _corners(rays, terrain)
    real = [c for c in cuts if min(c.front_m.shape) >= 2 and _covers(c, corners)]
    starts = np.cumsum([0] + [c.front_m.size for c in real])
    sizes = [
        (c.front_m.shape[1], c.front_m.shape[0], start, np.abs(c.axes[2] - direction).max() <= PARALLEL_LIMIT)
        for c, start in zip(real, starts, strict=False)
    ]
    frames = [(*c.origin, *c.axes.ravel(), c.u0_m, 1 / c.du_m, c.v0_m, 1 / c.dv_m) for c in real]
    return OtherCuts(
        frame=np.array(frames, np.float64).reshape(-1, 16),
        size=np.array(sizes, np.int64).reshape(-1, 4),
        front_m=np.concatenate([c.front_m.ravel() for c in real]) if real else np.empty(0, np.float32),
    )


def _corners(rays: Cut, terrain: Terrain) -> NDArray[np.float64]:
    """Return (8, 3): the corners of the bundle of rays between the sample's highest and lowest point."""
    u, v = _extent(rays)
    flat = [rays.origin + a * rays.axes[0] + b * rays.axes[1] for a in u for b in v]
    levels = (terrain.high_m, terrain.low_m)
    return np.array([p + rays.axes[2] * ((z_m - p[2]) / rays.axes[2][2]) for p in flat for z_m in levels])


def _extent(cut: Cut) -> tuple[tuple[float, float], tuple[float, float]]:
    rows, columns = cut.front_m.shape
    return (cut.u0_m, cut.u0_m + (columns - 1) * cut.du_m), (cut.v0_m, cut.v0_m + (rows - 1) * cut.dv_m)


def _covers(cut: Cut, points: NDArray[np.float64]) -> bool:
    """Tell whether the box around ``points`` overlaps what the cut's grid covers."""
    at = (points - cut.origin) @ cut.axes[:2].T
    return all(
        low <= float(at[:, n].max()) and float(at[:, n].min()) <= high for n, (low, high) in enumerate(_extent(cut))
    )


@with_memory
def front_at(cuts: Any, k: int, fu: float, fv: float) -> float:
    """Return the front of cut ``k`` at (fu, fv), counted in its samples; -inf where it has removed nothing."""
    columns, rows = cuts.size[k, 0], cuts.size[k, 1]
    if not (0.0 <= fu <= columns - 1.0 and 0.0 <= fv <= rows - 1.0):
        return _NO_FRONT
    i, j = min(int(fu), columns - 2), min(int(fv), rows - 2)
    fu, fv = fu - i, fv - j
    at = cuts.size[k, 2] + j * columns + i
    a, b = cuts.front_m[at], cuts.front_m[at + 1]
    c, d = cuts.front_m[at + columns], cuts.front_m[at + columns + 1]
    if min(a, b, c, d) == _NO_FRONT:
        # A corner without weight does not count, and infinity times zero must not become NaN.
        if (fu < 1.0 and fv < 1.0 and a == _NO_FRONT) or (fu > 0.0 and fv < 1.0 and b == _NO_FRONT):
            return _NO_FRONT
        if (fu < 1.0 and fv > 0.0 and c == _NO_FRONT) or (fu > 0.0 and fv > 0.0 and d == _NO_FRONT):
            return _NO_FRONT
        a, b = (b if fu == 1.0 else a), (a if fu == 0.0 else b)
        c, d = (d if fu == 1.0 else c), (c if fu == 0.0 else d)
        if fv == 0.0:
            c, d = a, b
        elif fv == 1.0:
            a, b = c, d
    low, high = a + fu * (b - a), c + fu * (d - c)
    return float(low + fv * (high - low))


@with_memory
def removed_until(cuts: Any, x: float, y: float, z: float) -> float:
    """Return up to which distance along the ray from (x, y, z) the cuts of its direction have removed everything."""
    furthest = _NO_FRONT
    f = cuts.frame
    for k in range(f.shape[0]):
        if cuts.size[k, 3] == 1:
            qx, qy, qz = x - f[k, 0], y - f[k, 1], z - f[k, 2]
            fv = (f[k, 6] * qx + f[k, 7] * qy + f[k, 8] * qz - f[k, 14]) * f[k, 15]
            if 0.0 <= fv <= cuts.size[k, 1] - 1.0:
                fu = (f[k, 3] * qx + f[k, 4] * qy + f[k, 5] * qz - f[k, 12]) * f[k, 13]
                front = front_at(cuts, k, fu, fv) - (f[k, 9] * qx + f[k, 10] * qy + f[k, 11] * qz)
                furthest = max(furthest, front)
    return furthest


@with_memory
def is_removed(cuts: Any, x: float, y: float, z: float) -> bool:
    """Tell whether a cut of another direction than the ray's has removed the point."""
    f = cuts.frame
    for k in range(f.shape[0]):
        if cuts.size[k, 3] == 0:
            qx, qy, qz = x - f[k, 0], y - f[k, 1], z - f[k, 2]
            fu = (f[k, 3] * qx + f[k, 4] * qy + f[k, 5] * qz - f[k, 12]) * f[k, 13]
            fv = (f[k, 6] * qx + f[k, 7] * qy + f[k, 8] * qz - f[k, 14]) * f[k, 15]
            if f[k, 9] * qx + f[k, 10] * qy + f[k, 11] * qz < front_at(cuts, k, fu, fv):
                return True
    return False


@with_memory
def rate_at(layer: int, start: Any, end: Any, rates: Any) -> Any:
    """Return the removal rate of a layer on a step with the given `depths`: it rises with 1 / cos(incidence)."""
    # Incidence on the coating follows the sample's surface, on film and bars the film's plane.
    sunk = abs(end[0] - start[0]) if layer == COATING else abs(end[2] - start[2])
    return rates[0, layer] * min(rates[1, layer], STEP_M / max(min(sunk, STEP_M), 1e-15))


@with_memory
def eat(
    terrain: Any,
    cuts: Any,
    use_cuts: bool,
    rates: Any,
    px: float,
    py: float,
    pz: float,
    dx: float,
    dy: float,
    dz: float,
    s: float,
    charge: float,
) -> Any:
    """Spend ``charge`` (C/m²) on the ray p + s d from ``s`` on; return (s, charge left, whether there was material).

    ``rates``: (2, materials) float64, m³/C at normal incidence and its largest rise at grazing incidence.

    The returned ``s`` is where the charge ran out, else the end of the last material; unchanged when there was none.
    The ray ends where it has passed below a column, because what lies under the film is out of reach.
    """
    reached, touched = s, False
    x, y, z = px + s * dx, py + s * dy, pz + s * dz
    column = column_at(terrain, x, y)
    while not is_below(terrain, column, z):
        x1, y1, z1 = x + STEP_M * dx, y + STEP_M * dy, z + STEP_M * dz
        following = column_at(terrain, x1, y1)
        if z1 < max(column[0], following[0]):
            start, end = depths(column, z), depths(following, z1)
            t = 0.0
            while t < 1.0:
                until, layer = piece_at(t, start, end, column, following)
                m = 0.5 * (t + until)
                if layer != VACUUM and not (
                    use_cuts and is_removed(cuts, x + m * (x1 - x), y + m * (y1 - y), z + m * (z1 - z))
                ):
                    touched = True
                    need = (until - t) * STEP_M / rate_at(layer, start, end, rates)
                    if need >= charge:
                        return s + (t + (until - t) * charge / need) * STEP_M, 0.0, True
                    charge -= need
                    reached = s + until * STEP_M
                t = until
        s += STEP_M
        x, y, z, column = x1, y1, z1, following
    return reached, charge, touched


@with_memory
def advance(
    front: float,
    charge: float,
    px: float,
    py: float,
    pz: float,
    dx: float,
    dy: float,
    dz: float,
    terrain: Any,
    cuts: Any,
    rates: Any,
) -> Any:
    """Return where the front of one ray stands after ``charge`` more, in C/m².

    First what stands is eaten, then, where an earlier cut has left nothing, what the ray would have met without it,
    then vacuum at the rate of ice: so the front is smooth wherever the dose is, and no sliver stays where an earlier
    cut ends.
    """
    s = float(front)
    if s == _NO_FRONT:
        s = (terrain.high_m + STEP_M - pz) / dz
    elif is_below(terrain, column_at(terrain, px + s * dx, py + s * dy), pz + s * dz):
        return s + charge * rates[0, ICE]
    start = max(s, removed_until(cuts, px, py, pz))
    reached, charge, touched = eat(terrain, cuts, True, rates, px, py, pz, dx, dy, dz, start, charge)
    if touched:
        s = reached
    if charge > 0.0:
        s, charge, touched = eat(terrain, cuts, False, rates, px, py, pz, dx, dy, dz, s, charge)
    if charge > 0.0:
        # A ray that meets nothing at all ends at the film's plane.
        s = max(s, -pz / dz) + charge * rates[0, ICE]
    return s


@with_memory
def deepen(front_m: Any, grid: Any, charge: Any, terrain: Any, cuts: Any, rates: Any, least_m: float) -> None:
    """Deposit ``charge``, (v, u) float64 in C/m², on a cut.

    ``front_m``: (v, u) float32, changed in place. ``grid``: (16,) float64, its origin, axes row by row, u0, du, v0, dv.
    Charge that would remove less than ``least_m`` of ice is left out.
    """
    dx, dy, dz = grid[9], grid[10], grid[11]
    for j in range(front_m.shape[0]):
        v = grid[14] + j * grid[15]
        for i in range(front_m.shape[1]):
            if charge[j, i] * rates[0, ICE] >= least_m:
                u = grid[12] + i * grid[13]
                px = grid[0] + u * grid[3] + v * grid[6]
                py = grid[1] + u * grid[4] + v * grid[7]
                pz = grid[2] + u * grid[5] + v * grid[8]
                front_m[j, i] = advance(front_m[j, i], charge[j, i], px, py, pz, dx, dy, dz, terrain, cuts, rates)
