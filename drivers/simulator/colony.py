"""Where the cells lie: most with room for a lamella, some too near to a bar or to each other."""

from __future__ import annotations

import math

import numpy as np

from drivers.simulator.sample import Cell
from drivers.simulator.scene_settings import SceneSettings
from drivers.simulator.square import Square
from fibsem_runtime.core.units import UM

CANDIDATE_COUNT = 64
"""Random places among which an isolated cell takes the emptiest (Mitchell's best candidate)."""

BAR_CLEARANCE_UM = 12.0
"""Free film between an isolated cell and the bars (assumed), as far as the square has room."""


def place_cells(settings: SceneSettings, square: Square, rng: np.random.Generator) -> list[Cell]:
    """Place the isolated cells first, then the crowded ones, by turns at a bar and beside an isolated cell."""
    count = int(rng.integers(settings.cell_count[0], settings.cell_count[1] + 1))
    crowded_count = min(settings.crowded_cell_count, count // 2)
    cells: list[Cell] = []
    for _ in range(count - crowded_count):
        cells.append(_isolated_cell(_draw_size(settings, rng), cells, square, rng))
    isolated = tuple(cells)
    for index in range(crowded_count):
        size = _draw_size(settings, rng)
        cells.append(_cell_at_bar(size, square, rng) if index % 2 == 0 else _cell_beside(size, isolated, square, rng))
    return [_turned(cell, square) for cell in cells]


def _draw_size(settings: SceneSettings, rng: np.random.Generator) -> Cell:
    radius_x_um, radius_y_um = rng.uniform(*settings.cell_radius_um, 2)
    height_um = rng.uniform(*settings.cell_height_um)
    return Cell(x_m=0.0, y_m=0.0, radius_x_m=radius_x_um * UM, radius_y_m=radius_y_um * UM, height_m=height_um * UM)


def _moved(size: Cell, x_m: float, y_m: float) -> Cell:
    return Cell(
        x_m=float(x_m),
        y_m=float(y_m),
        radius_x_m=float(size.radius_x_m),
        radius_y_m=float(size.radius_y_m),
        height_m=float(size.height_m),
    )


def _isolated_cell(size: Cell, others: list[Cell], square: Square, rng: np.random.Generator) -> Cell:
    radius_m = max(size.radius_x_m, size.radius_y_m)
    reach_m = max(square.width_m / 2 - radius_m - BAR_CLEARANCE_UM * UM, square.width_m * 0.1)
    places = rng.uniform(-reach_m, reach_m, (CANDIDATE_COUNT, 2))
    if not others:
        return _moved(size, *places[0])
    centres = np.array([(c.x_m, c.y_m) for c in others])
    gaps = np.linalg.norm(places[:, np.newaxis] - centres, axis=2).min(axis=1)
    return _moved(size, *places[int(gaps.argmax())])


def _cell_at_bar(size: Cell, square: Square, rng: np.random.Generator) -> Cell:
    """Lie across the edge of a bar or just touch it."""
    across_m = square.width_m / 2 - size.radius_y_m * rng.uniform(0.5, 1.05)
    along_m = rng.uniform(-0.35, 0.35) * square.width_m
    turns = int(rng.integers(4))
    x_m, y_m = ((along_m, across_m), (across_m, along_m), (along_m, -across_m), (-across_m, along_m))[turns]
    return _moved(size, x_m, y_m)


def _cell_beside(size: Cell, isolated: tuple[Cell, ...], square: Square, rng: np.random.Generator) -> Cell:
    """Touch or overlap another cell."""
    other = isolated[int(rng.integers(len(isolated)))]
    angle_rad = rng.uniform(0, 2 * math.pi)
    gap = rng.uniform(0.75, 1.0)
    limit_m = square.width_m / 2
    x_m = other.x_m + math.cos(angle_rad) * gap * (other.radius_x_m + size.radius_x_m)
    y_m = other.y_m + math.sin(angle_rad) * gap * (other.radius_y_m + size.radius_y_m)
    return _moved(size, float(np.clip(x_m, -limit_m, limit_m)), float(np.clip(y_m, -limit_m, limit_m)))


def _turned(cell: Cell, square: Square) -> Cell:
    return _moved(cell, *square.to_specimen(cell.x_m, cell.y_m))
