"""Upright boxes around shapes, metres in the image plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fibsem_runtime.core.frames import ImagePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Smallest rectangle along the image's axes that holds something."""

    centre: ImagePoint
    half_width_m: float
    half_height_m: float


def turned_box(centre: ImagePoint, width_m: float, height_m: float, rotation_rad: float) -> Box:
    """Return the box around a rectangle that is turned counter-clockwise about its centre."""
    cos, sin = abs(math.cos(rotation_rad)), abs(math.sin(rotation_rad))
    return Box(
        centre=centre,
        half_width_m=(width_m * cos + height_m * sin) / 2,
        half_height_m=(width_m * sin + height_m * cos) / 2,
    )


def box_around(points: Sequence[ImagePoint]) -> Box:
    """Return the box around at least one point."""
    xs, ys = [point.x_m for point in points], [point.y_m for point in points]
    return Box(
        centre=ImagePoint((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2),
        half_width_m=(max(xs) - min(xs)) / 2,
        half_height_m=(max(ys) - min(ys)) / 2,
    )
