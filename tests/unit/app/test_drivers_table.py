"""docs/drivers.md is what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from fibsem_runtime.app.drivers_table import table
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.hal.coverage import Absent, Carried, complete, hal_functions

PAGE = Path(__file__).parents[3] / "docs" / "drivers.md"


def test_the_page_is_made_from_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == table(), (
        "run python -m fibsem_runtime.app.drivers_table > docs/drivers.md"
    )


def test_a_device_stands_for_all_of_its_functions_that_are_not_named() -> None:
    devices = {name.split(".")[0]: Absent("no such thing") for name in hal_functions()}
    entries = complete({**devices, "stage.move_to": Carried("Stage.MoveTo")})
    assert entries["stage.move_to"] == Carried("Stage.MoveTo")
    assert entries["stage.position"] == Absent("no such thing")


def test_a_function_without_an_entry_and_an_entry_without_a_function_are_named() -> None:
    with pytest.raises(ConfigError, match=r"stage\.position.*names stage\.hover"):
        complete({"stage.hover": Carried("Hover")})
