"""Field width, current and voltage: what frames and patterns both need set or verified."""

from __future__ import annotations

from typing import Any, Final

from drivers.thermofisher import convert
from drivers.thermofisher.views import Column
from fibsem_runtime.core import BeamSettings
from fibsem_runtime.core.errors import HardwareError, RefusedSettingError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.hal.guards.readback import check_ratio

CURRENT_TOLERANCE_PERCENT: Final = 5.0
VOLTAGE_TOLERANCE_PERCENT: Final = 1.0
"""How near read-backs must be: current as PyTriBeam (vendor-thermofisher.md section 7), voltage assumed."""
_FIELD_TOLERANCE_PERCENT: Final = 0.1
"""Assumed."""

_FIELD_MARGIN_M: Final = 10e-6
"""The largest field fails when it is asked for exactly (FOS:4507)."""


def set_field(beam: Any, hfw_m: float, column: Column) -> None:
    """Set the field width of a beam and verify it; part of a job, the beam's view need not be active.

    Raises `RefusedSettingError` for a width that the column has not, or very nearly has not.
    """
    width = beam.horizontal_field_width
    limits = convert.axis_limits(width.limits)
    largest_m = limits.high - _FIELD_MARGIN_M
    if not limits.low <= hfw_m <= largest_m:
        raise RefusedSettingError(
            f"asked for an {column.name} field width of {format_quantity(hfw_m, 'm')}, allowed are "
            f"{format_quantity(limits.low, 'm')} to {format_quantity(largest_m, 'm')}"
        )
    width.value = hfw_m
    check_ratio(
        f"an {column.name} field width of",
        asked=hfw_m,
        found=float(width.value),
        tolerance_percent=_FIELD_TOLERANCE_PERCENT,
        unit="m",
    )


def condition_problem(found: BeamSettings, *, beam_current_a: float, voltage_v: float) -> HardwareError | None:
    """Return why the beam has not the current and voltage that a pattern needs, or None."""
    for name, unit, asked, read, percent in (
        ("current", "A", beam_current_a, found.beam_current_a, CURRENT_TOLERANCE_PERCENT),
        ("voltage", "V", voltage_v, found.voltage_v, VOLTAGE_TOLERANCE_PERCENT),
    ):
        if not abs(read - asked) <= asked * percent / 100:
            return RefusedSettingError(
                f"asked to mill with a {name} of {format_quantity(asked, unit)}, the ion beam has "
                f"{format_quantity(read, unit)}; set the {name} first, nothing was milled"
            )
    return None
