"""Units that people speak, converted once at the edge, and numbers written the way people read them."""

from __future__ import annotations

import math
from typing import Final

UM: Final = 1e-6
NM: Final = 1e-9
NA: Final = 1e-9
PA: Final = 1e-12

_PREFIXES: Final = ((1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def format_quantity(value: float, unit: str) -> str:
    """Write ``value`` (SI) with the prefix that keeps one to three digits: ``60 pA``, ``4.6 µm``, ``30 kV``."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    scale, prefix = next(((s, p) for s, p in _PREFIXES if abs(value) >= 0.9995 * s), _PREFIXES[-1])
    return f"{value / scale:.3g} {prefix}{unit}"


def format_angle(angle_rad: float) -> str:
    """Write an angle in degrees, for example ``12.0°``."""
    return f"{math.degrees(angle_rad):.1f}°"


def format_duration(duration_s: float) -> str:
    """Write a duration as ``4 min 05 s`` or ``1 h 02 min``."""
    seconds = round(duration_s)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
