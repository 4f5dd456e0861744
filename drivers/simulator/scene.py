"""Build the sample: a grid square with film, ice, cells, contamination and coating, all from one seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.colony import place_cells
from drivers.simulator.dome import grow_cell, window
from drivers.simulator.noise_field import FloatMap, smooth_noise
from drivers.simulator.sample import Cell, Material, Sample
from drivers.simulator.scene_settings import HoleSettings, SceneSettings
from drivers.simulator.square import Square
from fibsem_runtime.core.units import NM, UM

__all__ = ["HoleSettings", "SceneSettings", "build_sample"]

SEED_STREAM = 1
"""Keeps the scene's random numbers apart from those that the machine draws from the same seed."""

ROUGHNESS_GRAIN_UM = 0.4
"""Grain of the frozen surface, Gaussian sigma (assumed)."""

COATING_GRAIN_UM = 1.5
"""Grain of the uneven coating, Gaussian sigma (assumed)."""

BARE_FILM_M = 2 * NM
"""Ice thinner than this does not count as ice."""


def build_sample(settings: SceneSettings, *, seed: int) -> Sample:
    """Build the sample of ``seed``; the same settings and seed give the same bytes."""
    rng = np.random.default_rng([seed, SEED_STREAM])
    size = round(settings.map_width_um / settings.pitch_um) + 1
    axis_m = ((np.arange(size) - (size - 1) / 2) * settings.pitch_um * UM).astype(np.float32)
    square = Square.draw(settings, rng)
    cells = place_cells(settings, square, rng)
    bottom_m, material = _bare_grid(settings, square, axis_m)
    ice_m = _freeze(settings, cells, material, axis_m, rng)
    _add_crystals(ice_m, settings, axis_m, rng)
    top_m, coating_m = _cover(settings, bottom_m, material, ice_m, rng)
    return Sample(
        x0_m=float(axis_m[0]),
        y0_m=float(axis_m[0]),
        pitch_m=settings.pitch_um * UM,
        top_m=top_m,
        bottom_m=bottom_m,
        coating_m=coating_m,
        material=material,
        cells=cells,
    )


def _bare_grid(settings: SceneSettings, square: Square, axis_m: FloatMap) -> tuple[FloatMap, NDArray[np.uint8]]:
    """Return lower surface and material of film and bars without anything on them."""
    along = square.along_sides(axis_m)
    is_bar = square.free_distance_m(along) < 0
    bottom_m = np.where(
        is_bar, np.float32(-settings.bar_thickness_um * UM), np.float32(-settings.film_thickness_nm * NM)
    )
    if settings.holes is not None:
        bottom_m[~is_bar & (square.hole_distance_m(along, settings.holes) > 0)] = 0
    return bottom_m, np.where(is_bar, Material.BAR, Material.FILM).astype(np.uint8)


def _freeze(
    settings: SceneSettings,
    cells: list[Cell],
    material: NDArray[np.uint8],
    axis_m: FloatMap,
    rng: np.random.Generator,
) -> FloatMap:
    """Lay cells and ice on the film and return their thickness; marks the cells in ``material``."""
    roughness = smooth_noise(material.shape, ROUGHNESS_GRAIN_UM / settings.pitch_um, rng) * np.float32(
        settings.roughness_nm * NM
    )
    ice_m = np.full(material.shape, settings.ice_film_um * UM, np.float32)
    for cell in cells:
        surface = grow_cell(cell, settings, axis_m, rng)
        part = ice_m[surface.rows, surface.columns]
        np.maximum(part, np.maximum(surface.height_m, surface.halo_m), out=part)
        material[surface.rows, surface.columns][surface.height_m > 0] = Material.CELL
    return np.where(ice_m > 0, np.maximum(ice_m + roughness, 0), 0).astype(np.float32)


def _add_crystals(ice_m: FloatMap, settings: SceneSettings, axis_m: FloatMap, rng: np.random.Generator) -> None:
    """Add small pyramids of contaminating ice, also on cells, whose material they keep."""
    for _ in range(settings.crystal_count):
        x_m, y_m = rng.uniform(axis_m[0], axis_m[-1], 2)
        radius_m = rng.uniform(*settings.crystal_size_um) * UM / 2
        height_m = radius_m * rng.uniform(0.5, 1.5)
        angle_rad = rng.uniform(0, math.pi / 2)
        rows, columns = window(axis_m, y_m, 1.5 * radius_m), window(axis_m, x_m, 1.5 * radius_m)
        dx, dy = (axis_m[columns] - x_m)[np.newaxis, :], (axis_m[rows] - y_m)[:, np.newaxis]
        across = np.maximum(
            np.abs(math.cos(angle_rad) * dx + math.sin(angle_rad) * dy),
            np.abs(math.cos(angle_rad) * dy - math.sin(angle_rad) * dx),
        )
        ice_m[rows, columns] += (height_m * np.clip(1.3 * (1 - across / radius_m), 0, 1)).astype(np.float32)


def _cover(
    settings: SceneSettings,
    bottom_m: FloatMap,
    material: NDArray[np.uint8],
    ice_m: FloatMap,
    rng: np.random.Generator,
) -> tuple[FloatMap, FloatMap]:
    """Put the coating on everything that is there and return the upper surface and the thickness of the coating.

    A hole in the film without ice stays open; it is marked in ``bottom_m`` and ``material``, ice in the latter.
    """
    uneven = smooth_noise(ice_m.shape, COATING_GRAIN_UM / settings.pitch_um, rng)
    coating_m = np.float32(settings.coating_um * UM) * np.maximum(
        1 + np.float32(settings.coating_variation_fraction) * uneven, 0
    )
    is_open = (bottom_m == 0) & (ice_m < BARE_FILM_M)
    coating_m[is_open] = 0
    top_m = np.where(is_open, np.float32(-settings.film_thickness_nm * NM), ice_m + coating_m)
    bottom_m[is_open] = np.float32(-settings.film_thickness_nm * NM)
    material[(material == Material.FILM) & (ice_m >= BARE_FILM_M) & ~is_open] = Material.ICE
    material[is_open] = Material.VACUUM
    return top_m, coating_m
