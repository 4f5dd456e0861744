"""A fake TESCAN instrument on the bench, ready for the driver ``tescan``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tescan.accessories import PARKING_MM, STANDBY_MM, WORKING_MM
from tescan.bench import BENCH
from tescan.instrument import LIMITS, Instrument, driver_settings

import drivers.tescan
from drivers.tescan import TescanPlugin

HOST = "fake-amber"
VENDOR = Path(__file__).parents[1] / "fakes" / "tescan" / "vendor"

STAGE_RANGES: dict[str, Any] = {
    name: list(ends)
    for name, ends in zip(("x_range_mm", "y_range_mm", "z_range_mm", "r_range_deg", "t_range_deg"), LIMITS, strict=True)
}


def sdk_settings(**changes: Any) -> dict[str, Any]:
    """Return ``driver.settings`` for the fake."""
    manipulator = {"parking_mm": list(PARKING_MM), "standby_mm": list(STANDBY_MM), "working_mm": list(WORKING_MM)}
    return driver_settings(host=HOST, stage=STAGE_RANGES, manipulator=manipulator, **changes)


@contextmanager
def on_the_bench(instrument: Instrument) -> Iterator[TescanPlugin]:
    """Make the stand-in package importable, the instrument reachable and its clock the driver's."""
    plugin = TescanPlugin(make_clock=lambda: instrument.clock)
    with mock.patch.object(sys, "path", [str(VENDOR), *sys.path]), mock.patch.object(drivers.tescan, "plugin", plugin):
        BENCH[HOST] = instrument
        try:
            yield plugin
        finally:
            del BENCH[HOST]


@contextmanager
def rehearse() -> Iterator[dict[str, Any]]:
    """Put a fresh instrument on the bench for the contract suite and give the driver's settings."""
    with on_the_bench(Instrument()):
        yield sdk_settings()
