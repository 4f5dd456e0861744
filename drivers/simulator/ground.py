"""Height fields of frozen blocks and of copper, the common parts: relief, crystals, coating."""

from __future__ import annotations

import math

import numpy as np

from drivers.simulator.noise_field import FloatMap, smooth_noise
from drivers.simulator.sample import Material, Sample
from drivers.simulator.scene_kinds import CoatedSurface
from fibsem_runtime.core.units import NM, UM

ROUGHNESS_GRAIN_UM = 0.5
"""Grain of a surface's roughness, Gaussian sigma (assumed)."""

COATING_GRAIN_UM = 1.5
"""Grain of the uneven coating, Gaussian sigma (assumed)."""


HOLE_M = 0.1 * UM
"""By how much the lower surface of a hole lies above the upper one, so that no ray meets either."""


def axis_of(settings: CoatedSurface) -> FloatMap:
    """Return the coordinates of the samples of a square map around the origin, metres."""
    size = round(settings.map_width_um / settings.pitch_um) + 1
    return ((np.arange(size) - (size - 1) / 2) * settings.pitch_um * UM).astype(np.float32)


def rough(settings: CoatedSurface, axis_m: FloatMap, rng: np.random.Generator) -> FloatMap:
    """Return the roughness of a surface, metres about 0."""
    noise = smooth_noise((len(axis_m), len(axis_m)), ROUGHNESS_GRAIN_UM / settings.pitch_um, rng)
    return noise * np.float32(settings.roughness_nm * NM)


def add_crystals(height_m: FloatMap, settings: CoatedSurface, axis_m: FloatMap, rng: np.random.Generator) -> None:
    """Add small pyramids of contaminating ice to a surface, also where nothing carries them: that is cut off later."""
    for _ in range(settings.crystal_count):
        x_m, y_m = rng.uniform(axis_m[0], axis_m[-1], 2)
        radius_m = rng.uniform(*settings.crystal_size_um) * UM / 2
        add_bump(height_m, axis_m, (x_m, y_m), radius_m, radius_m * rng.uniform(0.5, 1.5), rng.uniform(0, math.pi / 2))


def add_bump(
    height_m: FloatMap,
    axis_m: FloatMap,
    place_m: tuple[float, float],
    radius_m: float,
    top_m: float,
    angle_rad: float,
) -> None:
    """Add one pyramid with a flat top."""
    slices, offsets = [], []
    for at_m in place_m[::-1]:
        first, last = np.searchsorted(axis_m, (at_m - 1.5 * radius_m, at_m + 1.5 * radius_m))
        slices.append(slice(int(first), int(last)))
        offsets.append(axis_m[int(first) : int(last)] - at_m)
    dx, dy = offsets[1][np.newaxis, :], offsets[0][:, np.newaxis]
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    across = np.maximum(np.abs(cos * dx + sin * dy), np.abs(cos * dy - sin * dx))
    height_m[slices[0], slices[1]] += (top_m * np.clip(1.3 * (1 - across / radius_m), 0, 1)).astype(np.float32)


def patches(settings: CoatedSurface, size_um: float, fraction: float, shape: tuple[int, int], seed: int) -> FloatMap:
    """Return 1 on a share of the map in patches of about a size, 0 elsewhere."""
    noise = smooth_noise(shape, size_um / 3 / settings.pitch_um, np.random.default_rng(seed))
    return np.asarray(noise > np.quantile(noise, 1 - fraction) if fraction > 0 else np.zeros(shape, np.bool_))


def coated(
    settings: CoatedSurface,
    axis_m: FloatMap,
    surface_m: FloatMap,
    bottom_m: FloatMap,
    material: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
    rng: np.random.Generator,
) -> Sample:
    """Return the sample with its coating on everything that stands; where ``surface_m`` is 0 there is nothing."""
    uneven = smooth_noise(surface_m.shape, COATING_GRAIN_UM / settings.pitch_um, rng)
    gas_m = np.float32(settings.coating_um * UM) * np.maximum(
        1 + np.float32(settings.coating_variation_fraction) * uneven, 0
    )
    stands = surface_m > bottom_m
    coating_m = np.where(stands, gas_m + np.float32(settings.sputter_nm * NM), 0).astype(np.float32)
    return Sample(
        x0_m=float(axis_m[0]),
        y0_m=float(axis_m[0]),
        pitch_m=settings.pitch_um * UM,
        top_m=np.where(stands, surface_m + coating_m, bottom_m).astype(np.float32),
        bottom_m=np.where(stands, bottom_m, bottom_m + np.float32(HOLE_M)).astype(np.float32),
        coating_m=coating_m,
        material=material.astype(np.uint8),
    )


def tissue(is_cell: FloatMap) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return ice with cells in it."""
    return np.where(is_cell, Material.CELL, Material.ICE).astype(np.uint8)
