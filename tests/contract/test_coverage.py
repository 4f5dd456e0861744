"""What a driver says of itself is complete and agrees with what it has."""

from __future__ import annotations

import pytest

from fibsem_runtime.contract.instruments import Instrument
from fibsem_runtime.core import BeamType
from fibsem_runtime.hal import Microscope, ShapeKind
from fibsem_runtime.hal.coverage import DEVICES, Carried, complete


def _device(microscope: Microscope, name: str) -> object | None:
    column, _, rest = name.partition("_")
    if column in ("electron", "ion") and rest != "beam":
        found: object | None = getattr(microscope.equipment(BeamType(column.upper())), rest)
        return found
    device: object | None = getattr(microscope, name)
    return device


def test_every_function_of_the_hal_is_carried_out_or_absent_with_a_reason(instrument: Instrument) -> None:
    entries = complete(instrument.plugin.coverage)
    assert all(entry.call if isinstance(entry, Carried) else entry.reason for entry in entries.values())


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_is_there_exactly_where_the_driver_says_so(instrument: Instrument, name: str) -> None:
    entries = complete(instrument.plugin.coverage)
    is_carried = any(isinstance(e, Carried) for f, e in entries.items() if f.split(".")[0] == name)
    assert (_device(instrument.microscope, name) is not None) is is_carried


def test_the_shapes_that_can_be_milled_are_those_that_the_driver_names(instrument: Instrument) -> None:
    entries = complete(instrument.plugin.coverage)
    named = {kind for kind in ShapeKind if isinstance(entries[f"milling.draw {kind.value.lower()}"], Carried)}
    assert instrument.microscope.milling.shape_kinds == named
