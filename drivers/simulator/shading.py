"""How much signal a point gives: material, slope, thickness, depth in a trench, roughness and curtains."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

import numpy as np

from drivers.simulator.kernels import kernel
from drivers.simulator.sample import Material
from drivers.simulator.surface import BOTTOM, NOTHING, SURROUNDINGS, TOP, surface_at
from drivers.simulator.texture import roughness, smooth_noise
from drivers.simulator.tracing import trace

_FILM = int(Material.FILM)
_BAR = int(Material.BAR)
_COATING = int(Material.COATING)


class Look(IntEnum):
    """Place of each coefficient of a frame in the array that `shade` reads.

    The gains are those of `OpticsSettings`; lengths in metres.
    """

    MILLED_FRACTION = 0
    UNDERSIDE_FRACTION = 1
    SOFTNESS = 2
    SHADOW_FLOOR_FRACTION = 3
    BACKGROUND = 4
    TEXTURE_FRACTION = 5
    CURTAIN_FRACTION = 6
    CURTAIN_WIDTH_M = 7
    RANGE_M = 8
    TRANSPARENCY_FRACTION = 9


_MILLED = int(Look.MILLED_FRACTION)
_UNDERSIDE = int(Look.UNDERSIDE_FRACTION)
_SOFTNESS = int(Look.SOFTNESS)
_SHADOW_FLOOR = int(Look.SHADOW_FLOOR_FRACTION)
_BACKGROUND = int(Look.BACKGROUND)
_TEXTURE = int(Look.TEXTURE_FRACTION)
_CURTAIN = int(Look.CURTAIN_FRACTION)
_CURTAIN_WIDTH = int(Look.CURTAIN_WIDTH_M)
_RANGE = int(Look.RANGE_M)
_TRANSPARENCY = int(Look.TRANSPARENCY_FRACTION)

_BAR_DEPTH_M = -1e-6
"""Columns reaching deeper below the film's top stand on a bar, with ice above it, as milling has it."""
_MILLED_ONSET_M = 0.3e-6
"""Depth over which a surface that the beam has grazed turns into a milled face; assumed."""
_WALL_ROUGHNESS = 0.35
"""Roughness of a milled face over that of the surface; assumed, a polished face is smoother."""
_OPAQUE_RANGES = 16.0
"""Ranges after which nothing of what lies below is seen: 1e-7 of the signal, the precision of float32."""


@kernel
def blend(skin: Any, layer: int, i: int, j: int, fx: Any, fy: Any) -> float:
    """Return the bilinear value of a layer of the skin at (fx, fy) in cell (i, j)."""
    low = skin[j, i, layer] + fx * (skin[j, i + 1, layer] - skin[j, i, layer])
    high = skin[j + 1, i, layer] + fx * (skin[j + 1, i + 1, layer] - skin[j + 1, i, layer])
    return float(low + fy * (high - low))


@kernel
def bottom_slopes(grid: Any, pitch_m: float, gx: float, gy: float) -> Any:
    """Return the slopes of the lower surface in x and y, from central differences interpolated between the samples."""
    rows, columns = grid.shape[0], grid.shape[1]
    i, j = min(max(int(gx), 1), columns - 3), min(max(int(gy), 1), rows - 3)
    fx, fy = min(max(gx - i, 0.0), 1.0), min(max(gy - j, 0.0), 1.0)
    slope_x, slope_y = 0.0, 0.0
    for dj in range(2):
        for di in range(2):
            weight = (fx if di else 1.0 - fx) * (fy if dj else 1.0 - fy)
            slope_x += weight * (grid[j + dj, i + di + 1, 1] - grid[j + dj, i + di - 1, 1])
            slope_y += weight * (grid[j + dj + 1, i + di, 1] - grid[j + dj - 1, i + di, 1])
    return slope_x / (2.0 * pitch_m), slope_y / (2.0 * pitch_m)


@kernel
def wall_normal(frame: Any, size: Any, fronts: Any, c: int, x: float, y: float, z: float) -> Any:
    """Return the outward normal of the face that a cut has left at a point on it."""
    f = frame[c]
    qx, qy, qz = x - f[0], y - f[1], z - f[2]
    gu = (f[3] * qx + f[4] * qy + f[5] * qz - f[12]) / f[13]
    gv = (f[6] * qx + f[7] * qy + f[8] * qz - f[14]) / f[15]
    width = size[c, 0]
    i, j = min(max(int(gu), 0), width - 2), min(max(int(gv), 0), size[c, 1] - 2)
    k = size[c, 2] + j * width + i
    fu, fv = gu - i, gv - j
    a, b = fronts[k], fronts[k + 1]
    d, e = fronts[k + width], fronts[k + width + 1]
    nu = ((b - a) * (1.0 - fv) + (e - d) * fv) / f[13]
    nv = ((d - a) * (1.0 - fu) + (e - b) * fu) / f[15]
    scale = 1.0 / math.sqrt(nu * nu + nv * nv + 1.0)
    nu, nv, nw = nu * scale, nv * scale, -scale
    return (nu * f[3] + nv * f[6] + nw * f[9], nu * f[4] + nv * f[7] + nw * f[10], nu * f[5] + nv * f[8] + nw * f[11])


@kernel
def base_yield(
    grid: Any, skin: Any, look: Any, yields: Any, i: int, j: int, fx: Any, fy: Any, z: float, depth_m: float
) -> float:
    """Return the signal of the layer at a point; thin coating lets what is below it through."""
    left_m = blend(skin, 0, i, j, fx, fy) - depth_m
    coating = yields[0, _COATING]
    if left_m > _OPAQUE_RANGES * look[_RANGE]:
        return float(coating)
    if z > 0.0:
        a, b = yields[1, int(skin[j, i, 3])], yields[1, int(skin[j, i + 1, 3])]
        c, d = yields[1, int(skin[j + 1, i, 3])], yields[1, int(skin[j + 1, i + 1, 3])]
        below = (a + fx * (b - a)) * (1.0 - fy) + (c + fx * (d - c)) * fy
    else:
        below = yields[0, _BAR] if grid[j, i, 1] < _BAR_DEPTH_M else yields[0, _FILM]
    if left_m <= 0.0:
        return float(below)
    return float(coating + math.exp(np.float32(-left_m / look[_RANGE])) * (below - coating))


@kernel
def solidity(look: Any, thickness_m: float) -> float:
    """Return the share of the signal that is left because the beam partly passes through what lies below a point."""
    if look[_TRANSPARENCY] == 0.0 or thickness_m > _OPAQUE_RANGES * look[_RANGE]:
        return 1.0
    return float(1.0 - look[_TRANSPARENCY] * math.exp(np.float32(-max(thickness_m, 0.0) / look[_RANGE])))


@kernel
def curtains(look: Any, volume: Any, frame: Any, cut: int, x: float, y: float, z: float) -> float:
    """Return the streaks of a milled face: they run along the ions and stay where they are when it is milled again."""
    q = 1.0 / look[_CURTAIN_WIDTH]
    u = (frame[cut, 3] * x + frame[cut, 4] * y + frame[cut, 5] * z) * q
    v = (frame[cut, 6] * x + frame[cut, 7] * y + frame[cut, 8] * z) * q
    w = (frame[cut, 9] * x + frame[cut, 10] * y + frame[cut, 11] * z) * q
    coarse = smooth_noise(volume, u, 0.2 * v, 0.04 * w)
    return float(coarse + 0.5 * smooth_noise(volume, 2.7 * u + 9.1, 0.2 * v, 0.08 * w))


@kernel
def shade(
    grid: Any,
    skin: Any,
    place: Any,
    frame: Any,
    size: Any,
    fronts: Any,
    rays: Any,
    look: Any,
    yields: Any,
    octaves: Any,
    volume: Any,
    kind: int,
    cut: int,
    gx: float,
    gy: float,
    z: float,
) -> Any:
    """Return (signal, open sky) of a hit; open sky is 1 on the surface and falls towards 0 deep in a trench."""
    dx, dy, dz = rays[3, 0], rays[3, 1], rays[3, 2]
    x, y = place[0] + gx * place[2], place[1] + gy * place[2]
    rough = 0.0
    if look[_TEXTURE] > 0.0:
        rough = look[_TEXTURE] * roughness(volume, octaves, x, y, z)
    gx, gy = min(max(gx, 0.0), grid.shape[1] - 1.0), min(max(gy, 0.0), grid.shape[0] - 1.0)
    i, j = min(int(gx), grid.shape[1] - 2), min(int(gy), grid.shape[0] - 2)
    fx, fy = np.float32(gx - i), np.float32(gy - j)
    sky = 1.0
    if kind == SURROUNDINGS:
        signal, cosine = float(yields[0, _COATING]), -dz
    elif kind == TOP:
        sx, sy = blend(skin, 1, i, j, fx, fy), blend(skin, 2, i, j, fx, fy)
        cosine = (sx * dx + sy * dy - dz) / math.sqrt(sx * sx + sy * sy + 1.0)
        signal = base_yield(grid, skin, look, yields, i, j, fx, fy, z, 0.0)
        signal *= solidity(look, z - surface_at(grid, 1, gx, gy))
    elif kind == BOTTOM:
        sx, sy = bottom_slopes(grid, place[2], gx, gy)
        cosine = (dz - sx * dx - sy * dy) / math.sqrt(sx * sx + sy * sy + 1.0)
        signal = base_yield(grid, skin, look, yields, i, j, fx, fy, z, 1.0) * look[_UNDERSIDE]
    else:
        depth_m = max(surface_at(grid, 0, gx, gy) - z, 0.0)
        nx, ny, nz = wall_normal(frame, size, fronts, cut, x, y, z)
        cosine = -(nx * dx + ny * dy + nz * dz)
        milled = 1.0 - math.exp(np.float32(-depth_m / _MILLED_ONSET_M))
        signal = base_yield(grid, skin, look, yields, i, j, fx, fy, z, depth_m)
        signal *= solidity(look, z - surface_at(grid, 1, gx, gy)) * (1.0 + (look[_MILLED] - 1.0) * milled)
        rough *= 1.0 + (_WALL_ROUGHNESS - 1.0) * milled
        if look[_CURTAIN] > 0.0:
            signal *= 1.0 + look[_CURTAIN] * milled * curtains(look, volume, frame, cut, x, y, z)
        # What the middle of a round hole sees of its mouth, as a share of the sky.
        open_share = frame[cut, 17] / (frame[cut, 17] + depth_m * depth_m)
        sky = look[_SHADOW_FLOOR] + (1.0 - look[_SHADOW_FLOOR]) * open_share
    gain = (1.0 + look[_SOFTNESS]) / (max(cosine, 0.0) + look[_SOFTNESS])
    return signal * gain * sky * (1.0 + rough), sky


@kernel
def draw_rows(
    grid: Any,
    skin: Any,
    bounds: Any,
    place: Any,
    layout: Any,
    frame: Any,
    size: Any,
    fronts: Any,
    firsts: Any,
    tiles: Any,
    starts: Any,
    rays: Any,
    course: Any,
    paths: Any,
    raster: Any,
    look: Any,
    yields: Any,
    octaves: Any,
    volume: Any,
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
            tile = (row >> raster[2]) * raster[3] + (column >> raster[2])
            first, last = firsts[tile], firsts[tile + 1]
            start = starts[row >> raster[4], column >> raster[4]]
            total, open_sky = 0.0, 0.0
            for k in range(count):
                across, down = column + raster[0] + offsets[k, 1], row + raster[1] + offsets[k, 0]
                gx, gy, z, kind, cut = trace(
                    grid, bounds, layout, size, fronts, tiles, course, paths, first, last, start, across, down
                )
                if kind == NOTHING:
                    total += look[_BACKGROUND]
                    continue
                one, two = shade(
                    grid, skin, place, frame, size, fronts, rays, look, yields, octaves, volume, kind, cut, gx, gy, z
                )
                total += one
                open_sky += two
            signal[row, column] = total / count
            sky[row, column] = open_sky / count


@kernel
def locate_rows(
    grid: Any,
    skin: Any,
    bounds: Any,
    place: Any,
    layout: Any,
    frame: Any,
    size: Any,
    fronts: Any,
    firsts: Any,
    tiles: Any,
    starts: Any,
    rays: Any,
    course: Any,
    paths: Any,
    raster: Any,
    first_row: int,
    last_row: int,
    places: Any,
    kinds: Any,
) -> None:
    """Fill rows of ``places`` (rows, columns, 3) with the specimen points that pixel centres show, and their kinds."""
    for row in range(first_row, last_row):
        for column in range(kinds.shape[1]):
            tile = (row >> raster[2]) * raster[3] + (column >> raster[2])
            first, last = firsts[tile], firsts[tile + 1]
            start = starts[row >> raster[4], column >> raster[4]]
            across, down = column + raster[0] + 0.5, row + raster[1] + 0.5
            gx, gy, z, kind, _ = trace(
                grid, bounds, layout, size, fronts, tiles, course, paths, first, last, start, across, down
            )
            hit = kind != NOTHING
            kinds[row, column] = kind
            places[row, column, 0] = place[0] + gx * place[2] if hit else math.nan
            places[row, column, 1] = place[1] + gy * place[2] if hit else math.nan
            places[row, column, 2] = z if hit else math.nan
