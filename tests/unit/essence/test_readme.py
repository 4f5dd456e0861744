"""The settings in the READMEs are valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fibsem_runtime.config import RuntimeConfig

ROOT = Path(__file__).parents[3]


def readme(name: str) -> str:
    return (ROOT / "drivers" / name / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["tescan", "sharksem"])
def test_the_settings_in_the_readme_are_valid(name: str) -> None:
    example: dict[str, Any] = yaml.safe_load(readme(name).split("```yaml")[1].split("```")[0])
    config = RuntimeConfig.model_validate(example)
    assert config.driver.name == name
    config.driver.validated_settings()
