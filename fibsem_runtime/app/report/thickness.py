"""The scale on which all lamellae are compared with their target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fibsem_runtime.app.report.content import Thickness
from fibsem_runtime.core.units import NM

_TICK_COUNT: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ThicknessScale:
    """From zero to beyond the largest value."""

    end_m: float
    ticks_m: Sequence[float]

    def fraction(self, thickness_m: float) -> float:
        """Return the place of a thickness from 0 (left) to 1 (right)."""
        return thickness_m / self.end_m


def make_scale(thicknesses: Sequence[Thickness]) -> ThicknessScale | None:
    """Return a scale that holds every value and the target bands; None when nothing is known."""
    values_m = [value for t in thicknesses for value in (t.measured_m, t.true_m, _band_end_m(t)) if value is not None]
    if not values_m or max(values_m) <= 0:
        return None
    steps_m = [step * 10**power * NM for power in range(7) for step in (1, 2, 5)]
    tick_m = next(step for step in steps_m if step * _TICK_COUNT >= 1.05 * max(values_m))
    count = next(count for count in range(1, _TICK_COUNT + 1) if count * tick_m >= 1.05 * max(values_m))
    return ThicknessScale(end_m=count * tick_m, ticks_m=[number * tick_m for number in range(count + 1)])


def _band_end_m(thickness: Thickness) -> float | None:
    if thickness.target_m is None or thickness.tolerance_m is None:
        return None
    return thickness.target_m + thickness.tolerance_m
