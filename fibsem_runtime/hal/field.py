"""Shapes and the field that they must lie in (check C8 of methods.md section 3)."""

from __future__ import annotations

import math
from collections.abc import Iterable

from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.hal.shapes import Shape

FIELD_ASPECT_RATIO = 2 / 3
"""Height over width of the milling field: that of the 1536 x 1024 frames it is placed on."""


def outside_field(shapes: Iterable[Shape], *, hfw_m: float) -> str:
    """Say which shape leaves a field of ``hfw_m`` and by how much; empty when all lie inside."""
    limits_m = (hfw_m / 2, hfw_m * FIELD_ASPECT_RATIO / 2)
    for shape in shapes:
        box = shape.box
        for axis, centre_m, reach_m, limit_m in zip(
            "xy", (box.centre.x_m, box.centre.y_m), (box.half_width_m, box.half_height_m), limits_m, strict=True
        ):
            edge_m = math.copysign(abs(centre_m) + reach_m, centre_m)
            if not abs(edge_m) <= limit_m * (1 + 1e-9):
                return (
                    f"it reaches {axis} = {format_quantity(edge_m, 'm')}, the field ends at "
                    f"{axis} = ±{format_quantity(limit_m, 'm')}; move it nearer to the middle or use a larger hfw_um"
                )
    return ""
