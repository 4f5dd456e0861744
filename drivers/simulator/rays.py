"""March ion rays through what is left of the sample: the compiled inner loops of milling.

Layers of a column: coating in the topmost `Sample.coating_m`, then ``material`` down to the film's top at z = 0, below
that the film, or the bar where the column reaches deeper than `BAR_DEPTH_M`; above a bar lies ice. Surfaces are
bilinear between the samples and straight within a step; beyond the map its outermost samples go on.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from drivers.simulator.sample import Cut, Material, Sample

STEP_M: Final = 0.15e-6
"""Length of one step along a ray: the pitch of the height field."""

BAR_DEPTH_M: Final = 1e-6
"""Columns reaching deeper below the film's top than this stand on a bar."""

PARALLEL_LIMIT: Final = 1e-9
"""Largest difference between two beam directions that count as one (0.02 pm over 20 µm)."""

_VACUUM: Final = int(Material.VACUUM)
_FILM: Final = int(Material.FILM)
_ICE: Final = int(Material.ICE)
_BAR: Final = int(Material.BAR)
_COATING: Final = int(Material.COATING)

_NO_FRONT: Final = -np.inf


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


class OtherCuts(NamedTuple):
    """Cuts laid end to end.

    ``frame``: (cuts, 16) float64, origin, axes row by row, u0, 1 / du, v0, 1 / dv. ``size``: (cuts, 4) int64, samples in u and v,
    start in ``front_m``, 1 where the beam had the same direction as the ray.
    """

    frame: NDArray[np.float64]
    size: NDArray[np.int64]
    front_m: NDArray[np.float32]


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


def lay_out_cuts(cuts: list[Cut], rays: Cut, terrain: Terrain) -> OtherCuts:
    """Return those of ``cuts`` that can have removed anything on the rays of ``rays``, from its highest to its lowest point."""
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def column_at(terrain: Any, x: float, y: float) -> Any:
    """Return (top, coating's lower surface, bottom, material) of the column at (x, y)."""
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


@njit(cache=True, nogil=True)
def layer_of(
    below_top: float, below_coating: float, below_film_top: float, above_bottom: float, bottom: float, material: int
) -> int:
    """Return the material at a point from its heights relative to the surfaces of its column."""
    if below_top <= 0.0 or above_bottom <= 0.0:
        return _VACUUM
    if below_coating <= 0.0:
        return _COATING
    if below_film_top > 0.0:
        return _BAR if bottom < -BAR_DEPTH_M else _FILM
    return _ICE if material == _BAR or material == _FILM else material


@njit(cache=True, nogil=True)
def next_crossing(t: float, a: Any, b: Any) -> float:
    """Return the first sign change after ``t`` of the lines from ``a`` (t = 0) to ``b`` (t = 1); 1 when there is none."""
    crossing = 1.0
    for n in range(4):
        if (a[n] > 0.0) != (b[n] > 0.0):
            at = a[n] / (a[n] - b[n])
            if t + 1e-9 < at < crossing:
                crossing = at
    return crossing


@njit(cache=True, nogil=True)
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

    The returned ``s`` is where the charge ran out, else the end of the last material; unchanged when there was none.
    The ray ends where it has passed below a column, because it cannot come up again.
    """
    reached, touched = s, False
    x, y, z = px + s * dx, py + s * dy, pz + s * dz
    top, under_coating, bottom, material = column_at(terrain, x, y)
    while z > terrain.low_m and not (z < bottom and top > bottom):
        x1, y1, z1 = x + STEP_M * dx, y + STEP_M * dy, z + STEP_M * dz
        top1, under_coating1, bottom1, material1 = column_at(terrain, x1, y1)
        if z1 < max(top, top1):
            a = (top - z, under_coating - z, -z, z - bottom)
            b = (top1 - z1, under_coating1 - z1, -z1, z1 - bottom1)
            t = 0.0
            while t < 1.0:
                end = next_crossing(t, a, b)
                m = 0.5 * (t + end)
                layer = layer_of(
                    a[0] + m * (b[0] - a[0]),
                    a[1] + m * (b[1] - a[1]),
                    a[2] + m * (b[2] - a[2]),
                    a[3] + m * (b[3] - a[3]),
                    min(bottom, bottom1),
                    material1 if m > 0.5 else material,
                )
                if layer != _VACUUM and not (
                    use_cuts and is_removed(cuts, x + m * (x1 - x), y + m * (y1 - y), z + m * (z1 - z))
                ):
                    touched = True
                    need = (end - t) * STEP_M / rates[layer]
                    if need >= charge:
                        return s + (t + (end - t) * charge / need) * STEP_M, 0.0, True
                    charge -= need
                    reached = s + end * STEP_M
                t = end
        s += STEP_M
        x, y, z = x1, y1, z1
        top, under_coating, bottom, material = top1, under_coating1, bottom1, material1
    return reached, charge, touched


@njit(cache=True, nogil=True)
def has_left(terrain: Any, x: float, y: float, z: float) -> bool:
    """Tell whether a ray going down has nothing before it any more at (x, y, z)."""
    top, _, bottom, _ = column_at(terrain, x, y)
    return z <= terrain.low_m or (z < bottom and top > bottom)


@njit(cache=True, nogil=True)
def deepen(
    front_m: Any, grid: Any, charge_u: Any, charge_v: Any, terrain: Any, cuts: Any, rates: Any, least_m: float
) -> None:
    """Deposit a dose on a cut: at (v, u) the charge sum_k charge_v[k, v] x charge_u[k, u] in C/m².

    ``front_m``: (v, u) float32, changed in place. ``grid``: (16,) float64, its origin, axes row by row, u0, du, v0, dv. Charge
    that would remove less than ``least_m`` of ice is left out. First what stands is eaten, then, where an earlier cut has
    left nothing, what the ray would have met without it, then vacuum at the rate of ice: so the front is smooth wherever
    the dose is, and no sliver stays at the border of an earlier cut.
    """
    dx, dy, dz = grid[9], grid[10], grid[11]
    ice = rates[_ICE]
    for j in range(front_m.shape[0]):
        v = grid[14] + j * grid[15]
        for i in range(front_m.shape[1]):
            charge = 0.0
            for k in range(charge_u.shape[0]):
                charge += charge_v[k, j] * charge_u[k, i]
            if charge * ice < least_m:
                continue
            u = grid[12] + i * grid[13]
            px = grid[0] + u * grid[3] + v * grid[6]
            py = grid[1] + u * grid[4] + v * grid[7]
            pz = grid[2] + u * grid[5] + v * grid[8]
            s = float(front_m[j, i])
            if s == _NO_FRONT:
                s = (terrain.high_m + STEP_M - pz) / dz
            elif has_left(terrain, px + s * dx, py + s * dy, pz + s * dz):
                front_m[j, i] = s + charge * ice
                continue
            start = max(s, removed_until(cuts, px, py, pz))
            reached, charge, touched = eat(terrain, cuts, True, rates, px, py, pz, dx, dy, dz, start, charge)
            if touched:
                s = reached
            if charge > 0.0:
                s, charge, touched = eat(terrain, cuts, False, rates, px, py, pz, dx, dy, dz, s, charge)
            if charge > 0.0:
                # A ray that meets nothing at all ends at the film's plane.
                s = max(s, -pz / dz) + charge * ice
            front_m[j, i] = s
