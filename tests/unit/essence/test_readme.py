"""The settings in the READMEs are valid, and every function of the abstraction stands in the tables."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

from fibsem_runtime.config import RuntimeConfig
from fibsem_runtime.hal import Beam, Driver, Milling, Stage, Vacuum

ROOT = Path(__file__).parents[3]


def readme(name: str) -> str:
    return (ROOT / "drivers" / name / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["tescan", "sharksem"])
def test_the_settings_in_the_readme_are_valid(name: str) -> None:
    example: dict[str, Any] = yaml.safe_load(readme(name).split("```yaml")[1].split("```")[0])
    config = RuntimeConfig.model_validate(example)
    assert config.driver.name == name
    config.driver.validated_settings()


@pytest.mark.parametrize("name", ["tescan", "sharksem"])
@pytest.mark.parametrize("device", [Stage, Beam, Milling, Vacuum, Driver])
def test_the_readme_says_of_every_function_how_it_was_verified(name: str, device: type) -> None:
    table = readme(name).split("## What is verified")[1].split("\n## ")[0]
    functions = {each for each, _ in inspect.getmembers(device, inspect.isfunction) if not each.startswith("_")}
    assert functions
    assert [each for each in sorted(functions) if f"{each}`" not in table] == []
