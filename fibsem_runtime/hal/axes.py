"""Allowed range of one axis."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisLimits:
    """Allowed range of one axis, ends included; the unit is the axis' own (m or rad)."""

    low: float
    high: float

    def contains(self, value: float) -> bool:
        """Tell whether ``value`` is allowed."""
        return self.low <= value <= self.high
