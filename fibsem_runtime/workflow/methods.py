"""Load methods: shipped presets by name, people's own by path."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.workflow.settings import MethodSettings


def shipped_methods() -> list[str]:
    """Return the names of the presets that come with the runtime."""
    folder = resources.files("fibsem_runtime.workflow") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def method_text(name_or_path: str) -> str:
    """Return the YAML of a preset or a file; raise `ConfigError` naming the presets when there is neither."""
    if name_or_path in shipped_methods():
        return (resources.files("fibsem_runtime.workflow") / "presets" / f"{name_or_path}.yaml").read_text("utf-8")
    path = Path(name_or_path)
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"method {name_or_path!r} is neither a preset ({', '.join(shipped_methods())}) nor a readable file: {error}"
        ) from error


def parse_method(text: str, *, origin: str) -> MethodSettings:
    """Validate the YAML of a method; every problem is one line with its place."""
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{origin} must be a mapping with name, milling_angle_deg and steps")
    try:
        return MethodSettings.model_validate(tree)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise ConfigError("\n".join(f"{origin}: {line}" for line in lines)) from error


def load_method(name_or_path: str) -> MethodSettings:
    """Load and validate a preset by name or a method by path."""
    return parse_method(method_text(name_or_path), origin=name_or_path)
