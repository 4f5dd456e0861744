"""Milling current and voltage for as long as they are needed, and never longer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from fibsem_runtime.core import BeamSettings
from fibsem_runtime.core.errors import RefusedSettingError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.hal.attempts import Attempt, attempt_all, restored
from fibsem_runtime.hal.devices import Beam
from fibsem_runtime.hal.microscope import Microscope
from fibsem_runtime.hal.shapes import MillingSettings

_SAME_RATIO = 1e-6
"""Relative difference below which two settings are one: far below any step of a column, above float rounding."""
_NEAR_RATIO = 0.05
"""How near current and voltage must read back (assumed; safety.md section 5 alarms at 5 % of current)."""


@contextmanager
def milling_conditions(microscope: Microscope, settings: MillingSettings) -> Iterator[None]:
    """Set the ion beam to milling current and voltage, unblanked, and restore what was before on every exit.

    Voltage, current, beam shift and blanking are captured first and restored each on its own (safety.md section 2, I9);
    the field width is not, because every image and drawing sets its own. The shift is left as it is on entry, so that
    an alignment inside starts from the one at imaging current. Raises `RefusedSettingError` when current or voltage do
    not read back. When restoring fails, raises `HardwareError` that names the failures and the error that came before
    (`Cancelled` stays `Cancelled`), because the next image would be taken with the milling current.
    """
    beam = microscope.ion_beam
    before, was_blanked = beam.settings(), beam.is_blanked()
    with restored(
        lambda: attempt_all(_restorations(beam, before, was_blanked=was_blanked)),
        "after milling, {failures}; set the imaging conditions at the instrument before any image",
    ):
        _set_conditions(beam, settings)
        if was_blanked:
            beam.set_blanked(blanked=False)
        yield


def _set_conditions(beam: Beam, wanted: MillingSettings) -> None:
    """Set voltage before current, which may depend on it, and verify both once both are set."""
    found = beam.settings()
    if not _is_same(found.voltage_v, wanted.voltage_v):
        beam.set_voltage(wanted.voltage_v)
    if not _is_same(found.beam_current_a, wanted.beam_current_a):
        beam.set_current(wanted.beam_current_a)
    found = beam.settings()
    for what, asked, read, unit in (
        ("voltage", wanted.voltage_v, found.voltage_v, "V"),
        ("current", wanted.beam_current_a, found.beam_current_a, "A"),
    ):
        if not math.isclose(asked, read, rel_tol=_NEAR_RATIO):
            raise RefusedSettingError(
                f"asked for a milling {what} of {format_quantity(asked, unit)}, the ion beam reads back "
                f"{format_quantity(read, unit)}; nothing was milled, look at the ion column"
            )


def _restorations(beam: Beam, before: BeamSettings, *, was_blanked: bool) -> list[Attempt]:
    """Return the calls that bring the beam back; each reads first, so that nothing is set that is already so."""

    def restore_voltage() -> None:
        if not _is_same(beam.settings().voltage_v, before.voltage_v):
            beam.set_voltage(before.voltage_v)

    def restore_current() -> None:
        if not _is_same(beam.settings().beam_current_a, before.beam_current_a):
            beam.set_current(before.beam_current_a)

    def restore_blanking() -> None:
        if beam.is_blanked() is not was_blanked:
            beam.set_blanked(blanked=was_blanked)

    return [
        (f"restore the ion voltage of {format_quantity(before.voltage_v, 'V')}", restore_voltage),
        (f"restore the ion imaging current of {format_quantity(before.beam_current_a, 'A')}", restore_current),
        ("restore the ion beam shift", lambda: beam.set_shift(before.shift)),
        ("restore the blanking of the ion beam", restore_blanking),
    ]


def _is_same(asked: float, read: float) -> bool:
    return math.isclose(asked, read, rel_tol=_SAME_RATIO)
