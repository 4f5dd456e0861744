"""How much signal a point gives: material, slope, thickness, depth in a trench, roughness and curtains."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

from drivers.simulator.kernels import kernel
from drivers.simulator.sample import Material
from drivers.simulator.surface import BOTTOM, NOTHING, SURROUNDINGS, TOP, surface_at
from drivers.simulator.texture import roughness, smooth_noise
from drivers.simulator.tracing import trace

_FILM = int(Material.FILM)
_BAR = int(Material.BAR)
_COATING = int(Material.COATING)


class Look(IntEnum):
    """Place of each coefficient of a frame in the array that `shade` reads; the first eight are yields by `Material`.

    The gains are those of `OpticsSettings`; lengths in metres.
    """

    MILLED_FRACTION = 8
    UNDERSIDE_FRACTION = 9
    SOFTNESS = 10
    SHADOW_DEPTH_M = 11
    SHADOW_FLOOR_FRACTION = 12
    BACKGROUND = 13
    TEXTURE_FRACTION = 14
    CURTAIN_FRACTION = 15
    CURTAIN_WIDTH_M = 16
    RANGE_M = 17
    TRANSPARENCY_FRACTION = 18


_MILLED = int(Look.MILLED_FRACTION)
_UNDERSIDE = int(Look.UNDERSIDE_FRACTION)
_SOFTNESS = int(Look.SOFTNESS)
_SHADOW_DEPTH = int(Look.SHADOW_DEPTH_M)
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


@kernel
def gradient(grid: Any, layer: int, pitch_m: float, gx: float, gy: float) -> Any:
    """Return the slopes of a surface in x and y, from central differences interpolated between the samples."""
    rows, columns = grid.shape[0], grid.shape[1]
    i, j = min(max(int(gx), 1), columns - 3), min(max(int(gy), 1), rows - 3)
    fx, fy = min(max(gx - i, 0.0), 1.0), min(max(gy - j, 0.0), 1.0)
    slope_x, slope_y = 0.0, 0.0
    for dj in range(2):
        for di in range(2):
            weight = (fx if di else 1.0 - fx) * (fy if dj else 1.0 - fy)
            slope_x += weight * (grid[j + dj, i + di + 1, layer] - grid[j + dj, i + di - 1, layer])
            slope_y += weight * (grid[j + dj + 1, i + di, layer] - grid[j + dj - 1, i + di, layer])
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
def base_yield(grid: Any, look: Any, gx: float, gy: float, z: float, depth_m: float) -> float:
    """Return the signal of the layer at a point; thin coating lets what is below it through."""
    i, j = min(int(gx), grid.shape[1] - 2), min(int(gy), grid.shape[0] - 2)
    if z > 0.0:
        below = surface_at(grid, 3, gx, gy)
    else:
        below = look[_BAR] if grid[j, i, 1] < _BAR_DEPTH_M else look[_FILM]
    left_m = surface_at(grid, 2, gx, gy) - depth_m
    if left_m <= 0.0:
        return float(below)
    return float(look[_COATING] + math.exp(-left_m / look[_RANGE]) * (below - look[_COATING]))


@kernel
def shade_surface(
    grid: Any, place: Any, look: Any, kind: int, gx: float, gy: float, z: float, dx: float, dy: float, dz: float
) -> Any:
    """Return (signal at normal incidence, cosine of incidence) of an untouched surface."""
    layer = 0 if kind == TOP else 1
    side = 1.0 if kind == TOP else -1.0
    sx, sy = gradient(grid, layer, place[2], gx, gy)
    cosine = side * (sx * dx + sy * dy - dz) / math.sqrt(sx * sx + sy * sy + 1.0)
    if kind == BOTTOM:
        return base_yield(grid, look, gx, gy, z, 1.0) * look[_UNDERSIDE], cosine
    return base_yield(grid, look, gx, gy, z, 0.0) * solidity(grid, look, gx, gy, z), cosine


@kernel
def solidity(grid: Any, look: Any, gx: float, gy: float, z: float) -> float:
    """Return the share of the signal that is left because the beam partly passes through what lies below a point."""
    thickness_m = max(z - surface_at(grid, 1, gx, gy), 0.0)
    return float(1.0 - look[_TRANSPARENCY] * math.exp(-thickness_m / look[_RANGE]))


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
    place: Any,
    layout: Any,
    frame: Any,
    size: Any,
    fronts: Any,
    rays: Any,
    look: Any,
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
    x, y = place[0] + (gx + layout[0]) * place[2], place[1] + (gy + layout[1]) * place[2]
    rough = 0.0
    if look[_TEXTURE] > 0.0:
        rough = look[_TEXTURE] * roughness(volume, octaves, x, y, z)
    gx, gy = min(max(gx, 0.0), grid.shape[1] - 1.0), min(max(gy, 0.0), grid.shape[0] - 1.0)
    sky = 1.0
    if kind == SURROUNDINGS:
        signal, cosine = look[_COATING], -dz
    elif kind == TOP or kind == BOTTOM:
        signal, cosine = shade_surface(grid, place, look, kind, gx, gy, z, dx, dy, dz)
    else:
        depth_m = max(surface_at(grid, 0, gx, gy) - z, 0.0)
        nx, ny, nz = wall_normal(frame, size, fronts, cut, x, y, z)
        cosine = -(nx * dx + ny * dy + nz * dz)
        milled = 1.0 - math.exp(-depth_m / _MILLED_ONSET_M)
        signal = base_yield(grid, look, gx, gy, z, depth_m) * solidity(grid, look, gx, gy, z)
        signal *= 1.0 + (look[_MILLED] - 1.0) * milled
        rough *= 1.0 + (_WALL_ROUGHNESS - 1.0) * milled
        if look[_CURTAIN] > 0.0:
            signal *= 1.0 + look[_CURTAIN] * milled * curtains(look, volume, frame, cut, x, y, z)
        sky = look[_SHADOW_FLOOR] + (1.0 - look[_SHADOW_FLOOR]) * math.exp(-depth_m / look[_SHADOW_DEPTH])
    gain = (1.0 + look[_SOFTNESS]) / (max(cosine, 0.0) + look[_SOFTNESS])
    return signal * gain * sky * (1.0 + rough), sky


@kernel
def draw_rows(
    grid: Any,
    bounds: Any,
    place: Any,
    layout: Any,
    frame: Any,
    size: Any,
    fronts: Any,
    tile_starts: Any,
    lids: Any,
    tiles: Any,
    rays: Any,
    course: Any,
    paths: Any,
    raster: Any,
    look: Any,
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
            first, last = tile_starts[tile], tile_starts[tile + 1]
            total, open_sky = 0.0, 0.0
            for k in range(count):
                across, down = column + raster[0] + offsets[k, 1], row + raster[1] + offsets[k, 0]
                gx, gy, z, kind, cut = trace(
                    grid, bounds, layout, size, fronts, tiles, course, paths, first, last, lids[tile], across, down
                )
                if kind == NOTHING:
                    total += look[_BACKGROUND]
                    continue
                one, two = shade(
                    grid, place, layout, frame, size, fronts, rays, look, octaves, volume, kind, cut, gx, gy, z
                )
                total += one
                open_sky += two
            signal[row, column] = total / count
            sky[row, column] = open_sky / count


@kernel
def locate_rows(
    grid: Any,
    bounds: Any,
    place: Any,
    layout: Any,
    frame: Any,
    size: Any,
    fronts: Any,
    tile_starts: Any,
    lids: Any,
    tiles: Any,
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
            first, last = tile_starts[tile], tile_starts[tile + 1]
            across, down = column + raster[0] + 0.5, row + raster[1] + 0.5
            gx, gy, z, kind, _ = trace(
                grid, bounds, layout, size, fronts, tiles, course, paths, first, last, lids[tile], across, down
            )
            hit = kind != NOTHING
            kinds[row, column] = kind
            places[row, column, 0] = place[0] + (gx + layout[0]) * place[2] if hit else math.nan
            places[row, column, 1] = place[1] + (gy + layout[1]) * place[2] if hit else math.nan
            places[row, column, 2] = z if hit else math.nan
