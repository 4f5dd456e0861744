"""Load methods: shipped presets by name, people's own by path; and any settings that people write as YAML."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.workflow.settings import MethodSettings

SettingsT = TypeVar("SettingsT", bound=BaseModel)


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


def parse_settings(model: type[SettingsT], text: str, *, origin: str) -> SettingsT:
    """Validate YAML text as ``model``; raise `ConfigError` with one line a problem, each with its place.

    An empty text is an empty mapping: everything at its default.
    """
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin} is not YAML: {' '.join(str(error).split())}") from error
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{origin} must be a mapping of names to values, it is a {type(tree).__name__}")
    return validate_settings(model, tree, origin=f"{origin}: ")


def validate_settings(model: type[SettingsT], tree: object, *, origin: str) -> SettingsT:
    """Validate ``tree`` as ``model``; raise `ConfigError` with one line a problem: ``origin`` and the place in it."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        lines = [f"{origin}{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def load_method(name_or_path: str) -> MethodSettings:
    """Load and validate a preset by name or a method by path."""
    return parse_settings(MethodSettings, method_text(name_or_path), origin=name_or_path)
