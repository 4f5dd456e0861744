"""Frozen bodies: a waffle on its grid and a block of tissue."""

from __future__ import annotations

import math

import numpy as np

from drivers.simulator.ground import add_bump, add_crystals, axis_of, coated, patches, rough, tissue
from drivers.simulator.noise_field import FloatMap, smooth_noise
from drivers.simulator.sample import Sample
from drivers.simulator.scene_kinds import BlockSettings, WaffleSettings
from fibsem_runtime.core.units import NM, UM

BUMPS_PER_CLUMP = 14
"""Pieces of ice of which a clump on a block consists (assumed)."""


def build_waffle(settings: WaffleSettings, rng: np.random.Generator) -> Sample:
    """Build a slab of ice of even thickness with the planchette's turning marks, on film and bars."""
    axis_m = axis_of(settings)
    shape = (len(axis_m), len(axis_m))
    surface_m = rough(settings, axis_m, rng) + np.float32(settings.thickness_um * UM)
    surface_m += _turning_marks(settings, axis_m, rng)
    add_crystals(surface_m, settings, axis_m, rng)
    is_cell = patches(settings, settings.cell_size_um, settings.cell_fraction, shape, int(rng.integers(2**31)))
    return coated(settings, axis_m, surface_m, _film_and_bars(settings, axis_m, rng), tissue(is_cell), rng)


def _turning_marks(settings: WaffleSettings, axis_m: FloatMap, rng: np.random.Generator) -> FloatMap:
    """Return ridges along circles about a far centre, as the lathe leaves them on a planchette."""
    angle_rad = rng.uniform(0, math.tau)
    far_m = 800 * UM
    dx = axis_m[np.newaxis, :] - np.float32(far_m * math.cos(angle_rad))
    dy = axis_m[:, np.newaxis] - np.float32(far_m * math.sin(angle_rad))
    radius = np.hypot(dx, dy) / np.float32(settings.mark_spacing_um * UM)
    wobble = smooth_noise(radius.shape, 20 / settings.pitch_um, rng)
    ridge = np.cos(np.float32(math.tau) * (radius + np.float32(0.15) * wobble)) * (1 + np.float32(0.3) * wobble)
    return np.asarray(np.float32(0.5 * settings.mark_height_nm * NM) * ridge, np.float32)


def _film_and_bars(settings: WaffleSettings, axis_m: FloatMap, rng: np.random.Generator) -> FloatMap:
    """Return the lower surface: the film, and the bars of a square mesh whose windows start at a random place."""
    pitch_m, shift = np.float32(settings.mesh_pitch_um * UM), rng.uniform(-0.15, 0.15, 2)
    half_bar_m = np.float32(settings.bar_width_um / 2 * UM)
    to_bar = [
        pitch_m / 2 - np.abs((axis_m + np.float32(s) * pitch_m + pitch_m / 2) % pitch_m - pitch_m / 2) for s in shift
    ]
    is_bar = np.minimum(to_bar[0][np.newaxis, :], to_bar[1][:, np.newaxis]) < half_bar_m
    film_m, bar_m = np.float32(-settings.film_thickness_nm * NM), np.float32(-settings.bar_thickness_um * UM)
    return np.where(is_bar, bar_m, film_m).astype(np.float32)


def build_block(settings: BlockSettings, rng: np.random.Generator) -> Sample:
    """Build a deep block with a rough surface and clumps of ice; its lower surface is out of the beams' reach."""
    axis_m = axis_of(settings)
    shape = (len(axis_m), len(axis_m))
    surface_m = rough(settings, axis_m, rng) + np.float32(settings.thickness_um * UM)
    for grain_um, share in ((settings.relief_grain_um, 0.8), (settings.relief_grain_um / 5, 0.4)):
        relief = smooth_noise(shape, grain_um / settings.pitch_um, rng)
        surface_m += np.float32(share * settings.relief_um * UM) * relief
    _add_clumps(surface_m, settings, axis_m, rng)
    add_crystals(surface_m, settings, axis_m, rng)
    is_cell = patches(settings, settings.cell_size_um, settings.cell_fraction, shape, int(rng.integers(2**31)))
    return coated(settings, axis_m, surface_m, np.zeros(shape, np.float32), tissue(is_cell), rng)


def _add_clumps(surface_m: FloatMap, settings: BlockSettings, axis_m: FloatMap, rng: np.random.Generator) -> None:
    for _ in range(settings.clump_count):
        centre_m = rng.uniform(axis_m[0], axis_m[-1], 2)
        radius_m = rng.uniform(*settings.clump_size_um) * UM / 2
        for _ in range(BUMPS_PER_CLUMP):
            x_m, y_m = centre_m + radius_m * rng.normal(size=2) * 0.5
            size_m = radius_m * rng.uniform(0.15, 0.5)
            add_bump(surface_m, axis_m, (x_m, y_m), size_m, size_m * rng.uniform(0.4, 1.0), rng.uniform(0, math.pi / 2))
