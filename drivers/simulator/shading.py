"""How much signal a point gives: material, slope, depth in a trench, roughness and curtains."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from drivers.simulator.sample import Material
from drivers.simulator.texture import roughness, smooth_noise
from drivers.simulator.tracing import BOTTOM, NOTHING, TOP, interpolate, trace

_FILM = int(Material.FILM)
_COATING = int(Material.COATING)


class Look(NamedTuple):
    """Coefficients of one frame, unpacked from `OpticsSettings` for one beam.

    ``yields``: (materials,) float32, signal at normal incidence; ``grazing_ratio``: signal at grazing over normal
    incidence; ``shadow_depth_m`` and ``shadow_floor_fraction``: how the signal falls with depth below the surface.
    """

    yields: NDArray[np.float32]
    milled_fraction: float
    underside_fraction: float
    grazing_ratio: float
    shadow_depth_m: float
    shadow_floor_fraction: float
    background: float
    texture_fraction: float
    curtain_fraction: float
    curtain_width_m: float
    wavelengths_m: NDArray[np.float64]
    weights: NDArray[np.float32]
    volume: NDArray[np.float32]


class Raster(NamedTuple):
    """Pixels to look through: the ray of (row, column) starts at ``corner + column across + row down``."""

    corner: NDArray[np.float64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]
    direction: NDArray[np.float64]
    tile_px: int
    tile_columns: int
    tile_starts: NDArray[np.int64]
    tile_cuts: NDArray[np.int64]


@njit(cache=True, nogil=True)
def gradient(grid: Any, pitch_m: float, gx: float, gy: float) -> Any:
    """Return the slopes of a surface in x and y, from central differences interpolated between the samples."""
    rows, columns = grid.shape
    i, j = min(int(gx), columns - 2), min(int(gy), rows - 2)
    fx, fy = gx - i, gy - j
    slope_x, slope_y = 0.0, 0.0
    for dj in range(2):
        for di in range(2):
            weight = (fx if di else 1.0 - fx) * (fy if dj else 1.0 - fy)
            left, right = max(i + di - 1, 0), min(i + di + 1, columns - 1)
            down, up = max(j + dj - 1, 0), min(j + dj + 1, rows - 1)
            slope_x += weight * (grid[j + dj, right] - grid[j + dj, left]) / ((right - left) * pitch_m)
            slope_y += weight * (grid[up, i + di] - grid[down, i + di]) / ((up - down) * pitch_m)
    return slope_x, slope_y


@njit(cache=True, nogil=True)
def wall_normal(cuts: Any, c: int, x: float, y: float, z: float) -> Any:
    """Return the outward normal of the face that a cut has left at a point on it."""
    f = cuts.frame[c]
    qx, qy, qz = x - f[0], y - f[1], z - f[2]
    gu = (f[3] * qx + f[4] * qy + f[5] * qz - f[12]) / f[13]
    gv = (f[6] * qx + f[7] * qy + f[8] * qz - f[14]) / f[15]
    width, height = cuts.size[c, 0], cuts.size[c, 1]
    i, j = min(max(int(gu), 0), width - 2), min(max(int(gv), 0), height - 2)
    k = cuts.size[c, 2] + j * width + i
    fu, fv = gu - i, gv - j
    a, b = cuts.front_m[k], cuts.front_m[k + 1]
    d, e = cuts.front_m[k + width], cuts.front_m[k + width + 1]
    nu = ((b - a) * (1.0 - fv) + (e - d) * fv) / f[13]
    nv = ((d - a) * (1.0 - fu) + (e - b) * fu) / f[15]
    length = math.sqrt(nu * nu + nv * nv + 1.0)
    nu, nv, nw = nu / length, nv / length, -1.0 / length
    return (nu * f[3] + nv * f[6] + nw * f[9], nu * f[4] + nv * f[7] + nw * f[10], nu * f[5] + nv * f[8] + nw * f[11])


@njit(cache=True, nogil=True)
def base_yield(solid: Any, look: Any, gx: float, gy: float, z: float, depth_m: float) -> float:
    """Return the signal of the material at a point, blended over the cells around it."""
    i, j = min(int(gx), solid.top_m.shape[1] - 2), min(int(gy), solid.top_m.shape[0] - 2)
    fx, fy = gx - i, gy - j
    total = 0.0
    for dj in range(2):
        for di in range(2):
            weight = (fx if di else 1.0 - fx) * (fy if dj else 1.0 - fy)
            m = solid.material[j + dj, i + di]
            if solid.coating_m[j + dj, i + di] > depth_m:
                m = _COATING
            elif z < 0.0 and solid.top_m[j + dj, i + di] > 0.0 and m != 4:
                m = _FILM
            total += weight * look.yields[m]
    return total


@njit(cache=True, nogil=True)
def shade(
    solid: Any, cuts: Any, look: Any, kind: int, cut: int, x: float, y: float, z: float, dx: float, dy: float, dz: float
) -> Any:
    """Return (signal, open sky) of a hit; open sky is 1 on the surface and falls towards 0 deep in a trench."""
    gx = min(max((x - solid.x0_m) / solid.pitch_m, 0.0), solid.top_m.shape[1] - 1.0)
    gy = min(max((y - solid.y0_m) / solid.pitch_m, 0.0), solid.top_m.shape[0] - 1.0)
    depth_m = max(interpolate(solid.top_m, gx, gy) - z, 0.0) if kind != TOP else 0.0
    sky = 1.0
    if kind == TOP:
        sx, sy = gradient(solid.top_m, solid.pitch_m, gx, gy)
        cosine = (sx * dx + sy * dy - dz) / math.sqrt(sx * sx + sy * sy + 1.0)
        signal = base_yield(solid, look, gx, gy, z, depth_m)
        rough = roughness(look.volume, look.wavelengths_m, look.weights, x, y, z)
    elif kind == BOTTOM:
        sx, sy = gradient(solid.bottom_m, solid.pitch_m, gx, gy)
        cosine = -(sx * dx + sy * dy - dz) / math.sqrt(sx * sx + sy * sy + 1.0)
        signal = base_yield(solid, look, gx, gy, z, depth_m) * look.underside_fraction
        rough = roughness(look.volume, look.wavelengths_m, look.weights, x, y, z)
    else:
        nx, ny, nz = wall_normal(cuts, cut, x, y, z)
        cosine = -(nx * dx + ny * dy + nz * dz)
        signal = base_yield(solid, look, gx, gy, z, depth_m) * look.milled_fraction
        rough = 0.35 * roughness(look.volume, look.wavelengths_m, look.weights, x, y, z)
        f = cuts.frame[cut]
        q = 1.0 / look.curtain_width_m
        u, v, w = f[3] * x + f[4] * y + f[5] * z, f[6] * x + f[7] * y + f[8] * z, f[9] * x + f[10] * y + f[11] * z
        curtain = smooth_noise(look.volume, u * q, 0.2 * v * q, 0.04 * w * q) + 0.5 * smooth_noise(
            look.volume, 2.7 * u * q, 0.2 * v * q, 0.08 * w * q
        )
        signal *= 1.0 + look.curtain_fraction * curtain * (1.0 - math.exp(-depth_m / 0.5e-6))
        sky = look.shadow_floor_fraction + (1.0 - look.shadow_floor_fraction) * math.exp(-depth_m / look.shadow_depth_m)
    softness = 1.0 / (look.grazing_ratio - 1.0)
    slope_gain = (1.0 + softness) / (max(cosine, 0.0) + softness)
    return signal * slope_gain * sky * (1.0 + look.texture_fraction * rough), sky


@njit(cache=True, nogil=True)
def look_through(
    solid: Any, cuts: Any, look: Any, raster: Any, row: float, column: float, first: int, last: int
) -> Any:
    """Return (signal, open sky) of the ray through a point of the raster."""
    c, a, d, n = raster.corner, raster.across, raster.down, raster.direction
    px = c[0] + column * a[0] + row * d[0]
    py = c[1] + column * a[1] + row * d[1]
    pz = c[2] + column * a[2] + row * d[2]
    s, kind, cut = trace(solid, cuts, raster.tile_cuts, first, last, px, py, pz, n[0], n[1], n[2])
    if kind == NOTHING:
        return look.background, 0.0
    return shade(solid, cuts, look, kind, cut, px + s * n[0], py + s * n[1], pz + s * n[2], n[0], n[1], n[2])


@njit(cache=True, nogil=True)
def draw_rows(
    solid: Any,
    cuts: Any,
    look: Any,
    raster: Any,
    offsets: Any,
    wanted: Any,
    first_row: int,
    last_row: int,
    signal: Any,
    sky: Any,
) -> None:
    """Fill rows of ``signal`` and ``sky`` where ``wanted``, each the mean over the rays at ``offsets`` in the pixel."""
    count = offsets.shape[0]
    for row in range(first_row, last_row):
        for column in range(signal.shape[1]):
            if not wanted[row, column]:
                continue
            tile = (row // raster.tile_px) * raster.tile_columns + column // raster.tile_px
            first, last = raster.tile_starts[tile], raster.tile_starts[tile + 1]
            total, open_sky = 0.0, 0.0
            for k in range(count):
                one, two = look_through(
                    solid, cuts, look, raster, row + offsets[k, 0], column + offsets[k, 1], first, last
                )
                total += one
                open_sky += two
            signal[row, column] = total / count
            sky[row, column] = open_sky / count


@njit(cache=True, nogil=True)
def locate_rows(solid: Any, cuts: Any, raster: Any, first_row: int, last_row: int, places: Any, kinds: Any) -> None:
    """Fill rows of ``places`` (rows, columns, 3) with the specimen points that pixel centres show, and their kinds."""
    c, a, d, n = raster.corner, raster.across, raster.down, raster.direction
    for row in range(first_row, last_row):
        for column in range(kinds.shape[1]):
            tile = (row // raster.tile_px) * raster.tile_columns + column // raster.tile_px
            first, last = raster.tile_starts[tile], raster.tile_starts[tile + 1]
            px = c[0] + (column + 0.5) * a[0] + (row + 0.5) * d[0]
            py = c[1] + (column + 0.5) * a[1] + (row + 0.5) * d[1]
            pz = c[2] + (column + 0.5) * a[2] + (row + 0.5) * d[2]
            s, kind, _ = trace(solid, cuts, raster.tile_cuts, first, last, px, py, pz, n[0], n[1], n[2])
            kinds[row, column] = kind
            for axis in range(3):
                places[row, column, axis] = (px, py, pz)[axis] + s * n[axis] if kind != NOTHING else np.nan
