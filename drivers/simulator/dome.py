"""One cell as a height field: an irregular dome with a bulge over its nucleus, a rough surface and ice around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivers.simulator.noise_field import FloatMap, smooth_noise
from drivers.simulator.sample import Cell
from drivers.simulator.scene_settings import SceneSettings
from fibsem_runtime.core.units import UM

OUTLINE_AMPLITUDE = 0.07
"""Relative radius change of each of the outline's waves around the cell (assumed)."""

HALO_DECAY_FRACTION = 0.35
"""Distance over which the ice around a cell falls to 1/e, in cell radii (assumed)."""

TEXTURE_GRAINS_UM = (0.35, 1.2)
"""Grain of the cell surface, Gaussian sigma: filopodia and organelles below the membrane (assumed)."""

WINDOW_RADII = 3.0
"""Half width of the part of the map that a cell and its ice touch, in its larger radius."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CellSurface:
    """Part of the map: ``height_m`` of the cell above the film and ``halo_m`` of the ice around it."""

    rows: slice
    columns: slice
    height_m: FloatMap
    halo_m: FloatMap


def grow_cell(cell: Cell, settings: SceneSettings, axis_m: FloatMap, rng: np.random.Generator) -> CellSurface:
    """Draw the surface of one cell on a map whose rows and columns lie at ``axis_m``."""
    pitch_m = settings.pitch_um * UM
    rows, columns = window(axis_m, cell.y_m, _reach_m(cell)), window(axis_m, cell.x_m, _reach_m(cell))
    dx = ((axis_m[columns] - cell.x_m) / cell.radius_x_m).astype(np.float32)[np.newaxis, :]
    dy = ((axis_m[rows] - cell.y_m) / cell.radius_y_m).astype(np.float32)[:, np.newaxis]
    radius = np.hypot(dx, dy) / _outline(np.arctan2(dy, dx), rng)
    height = np.maximum(1 - radius**2, 0) ** np.float32(rng.uniform(0.6, 1.0))
    nucleus = rng.uniform(-0.3, 0.3, 2).astype(np.float32)
    bulge = np.exp(-((dx - nucleus[0]) ** 2 + (dy - nucleus[1]) ** 2) / np.float32(0.18))
    height = height * (1 + np.float32(rng.uniform(0.1, 0.35)) * bulge)
    for grain_um in TEXTURE_GRAINS_UM:
        noise = smooth_noise(height.shape, grain_um * UM / pitch_m, rng)
        height = height * (1 + np.float32(settings.cell_texture_fraction) * noise)
    height = np.maximum(height, 0)
    halo_um = np.float32(settings.ice_halo_um) * np.exp(-np.maximum(radius - 1, 0) / np.float32(HALO_DECAY_FRACTION))
    return CellSurface(
        rows=rows,
        columns=columns,
        height_m=np.asarray(height * np.float32(cell.height_m / height.max()), np.float32),
        halo_m=np.asarray(halo_um * np.float32(UM), np.float32),
    )


def window(axis_m: FloatMap, centre_m: float, reach_m: float) -> slice:
    """Return the samples of an axis within ``reach_m`` of ``centre_m``, at least two."""
    first, last = np.searchsorted(axis_m, (centre_m - reach_m, centre_m + reach_m))
    start = int(np.clip(first, 0, len(axis_m) - 2))
    return slice(start, int(np.clip(last, start + 2, len(axis_m))))


def _reach_m(cell: Cell) -> float:
    return WINDOW_RADII * max(cell.radius_x_m, cell.radius_y_m)


def _outline(angle_rad: FloatMap, rng: np.random.Generator) -> FloatMap:
    """Return the radius of the footprint in each direction, about 1."""
    radius = np.ones_like(angle_rad)
    for wave_count in (2, 3, 4, 5):
        amplitude = OUTLINE_AMPLITUDE * rng.uniform(0.2, 1.0) * 2 / wave_count
        radius += np.float32(amplitude) * np.cos(wave_count * angle_rad + np.float32(rng.uniform(0, 2 * np.pi)))
    return radius
