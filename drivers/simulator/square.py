"""The opening of the grid: where the film hangs free and where bars carry it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from drivers.simulator.noise_field import FloatMap
from drivers.simulator.scene_settings import HoleSettings, SceneSettings
from fibsem_runtime.core.units import UM

CORNER_RADIUS_FRACTION = 0.06
"""Radius of an opening's corners over its width (assumed; etched and electroformed grids have round corners)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """Square opening around the origin, turned by ``rotation_rad``."""

    width_m: float
    rotation_rad: float
    holes_shift_m: tuple[float, float]

    @staticmethod
    def draw(settings: SceneSettings, rng: np.random.Generator) -> Square:
        """Draw the orientation of the grid and the place of its hole lattice."""
        limit_rad = math.radians(settings.square_rotation_max_deg)
        shift = rng.uniform(0, 1, 2) * (settings.holes.lattice_um * UM if settings.holes else 0.0)
        return Square(
            width_m=settings.square_um * UM,
            rotation_rad=float(rng.uniform(-limit_rad, limit_rad)),
            holes_shift_m=(float(shift[0]), float(shift[1])),
        )

    def to_specimen(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Turn coordinates along the square's sides into the specimen frame."""
        cos, sin = math.cos(self.rotation_rad), math.sin(self.rotation_rad)
        return cos * x_m - sin * y_m, sin * x_m + cos * y_m

    def along_sides(self, axis_m: FloatMap) -> tuple[FloatMap, FloatMap]:
        """Return the coordinates along the square's sides of every sample of a map with the same two axes."""
        cos, sin = np.float32(math.cos(self.rotation_rad)), np.float32(math.sin(self.rotation_rad))
        column, row = axis_m[np.newaxis, :], axis_m[:, np.newaxis]
        return cos * column + sin * row, cos * row - sin * column

    def free_distance_m(self, along: tuple[FloatMap, FloatMap]) -> FloatMap:
        """Return how far inside the opening each sample lies; negative over the bars."""
        radius_m = np.float32(CORNER_RADIUS_FRACTION * self.width_m)
        inner_m = np.float32(self.width_m / 2) - radius_m
        beyond_x, beyond_y = np.abs(along[0]) - inner_m, np.abs(along[1]) - inner_m
        corner = np.hypot(np.maximum(beyond_x, 0), np.maximum(beyond_y, 0))
        return np.asarray(radius_m - corner - np.minimum(np.maximum(beyond_x, beyond_y), 0), np.float32)

    def hole_distance_m(self, along: tuple[FloatMap, FloatMap], holes: HoleSettings) -> FloatMap:
        """Return how far inside a hole of the film each sample lies; negative on the film."""
        lattice_m = np.float32(holes.lattice_um * UM)
        from_centre = [
            np.abs((a + np.float32(shift_m)) % lattice_m - lattice_m / 2)
            for a, shift_m in zip(along, self.holes_shift_m, strict=True)
        ]
        return np.asarray(np.float32(holes.diameter_um / 2 * UM) - np.hypot(*from_centre), np.float32)
