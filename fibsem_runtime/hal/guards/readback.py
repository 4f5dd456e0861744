"""Notice settings that an instrument refused or changed without saying so."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fibsem_runtime.core.errors import RefusedSettingError
from fibsem_runtime.core.units import format_quantity


def check_ratio(what: str, *, asked: float, found: float, tolerance_percent: float, unit: str) -> float:
    """Return ``found`` when it is within a share of ``asked``; raise `RefusedSettingError` otherwise."""
    return check_value(what, asked=asked, found=found, tolerance=abs(asked) * tolerance_percent / 100, unit=unit)


def check_value(what: str, *, asked: float, found: float, tolerance: float, unit: str) -> float:
    """Return ``found`` when it is within ``tolerance`` of ``asked``; raise `RefusedSettingError` otherwise.

    All three are in ``unit``, an SI unit without prefix. No number is never near.
    """
    if not abs(found - asked) <= tolerance:
        raise RefusedSettingError(
            f"asked for {what} {format_quantity(asked, unit)}, the instrument reads back "
            f"{format_quantity(found, unit)} (tolerance {format_quantity(tolerance, unit)}); set it at the instrument "
            "and look why it refuses"
        )
    return found


def check_current_exists(what: str, asked_a: float, available_a: Sequence[float]) -> None:
    """Raise `RefusedSettingError` when no aperture gives the current."""
    if not any(math.isclose(asked_a, current_a, rel_tol=1e-6) for current_a in available_a):
        listed = ", ".join(format_quantity(current_a, "A") for current_a in available_a)
        raise RefusedSettingError(f"asked for {what} {format_quantity(asked_a, 'A')}, available are {listed}")
