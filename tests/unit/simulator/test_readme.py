"""The table of coefficients in the simulator's README states the defaults that are used."""

from __future__ import annotations

import re
from functools import reduce
from pathlib import Path

import pytest

import drivers.simulator
from drivers.simulator.disturbance_settings import DisturbanceSettings
from drivers.simulator.settings import SimulatorSettings

README = Path(drivers.simulator.__file__).with_name("README.md").read_text("utf-8")
ROWS = re.findall(r"^\| `([a-z_.]+)` \| ([0-9.]+) \| (.+) \|$", README, re.MULTILINE)


@pytest.mark.parametrize(("name", "default", "source"), ROWS, ids=[row[0] for row in ROWS])
def test_a_listed_coefficient_has_the_listed_default(name: str, default: str, source: str) -> None:
    assert reduce(getattr, name.split("."), SimulatorSettings()) == pytest.approx(float(default))
    assert source


def test_every_number_of_every_disturbance_is_listed() -> None:
    defaults = DisturbanceSettings().model_dump()
    numbers = {
        f"disturbances.{name}.{key}"
        for name, values in defaults.items()
        for key, value in values.items()
        if not isinstance(value, bool)
    }
    assert numbers <= {row[0] for row in ROWS}
