"""The commands ``model list`` and ``model info``: what is installed, and whether it is whole."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fibsem_runtime.config import RuntimeConfig, models_folder
from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.detection import Manifest, list_models, read_manifest
from fibsem_runtime.detection.manifest import preferred_precision, verified_file
from fibsem_runtime.detection.providers import PROVIDERS


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class ModelLine(_Result):
    """One installed model; ``problem`` is empty when its manifest and files are whole."""

    name: str
    version: str
    description: str
    precisions: list[str]
    size_mb: float
    features: list[str]
    problem: str


class ModelsResult(_Result):
    """The document that ``model list --json`` prints."""

    folder: str
    configured: str
    models: list[ModelLine]


class ModelInfo(_Result):
    """The document that ``model info --json`` prints; ``precision_for`` says what each provider opens."""

    folder: str
    size_mb: float
    precision_for: dict[str, str]
    problem: str
    manifest: Manifest


def list_installed(config: RuntimeConfig) -> ModelsResult:
    """Return every folder with a manifest, also those that cannot be used, with the reason."""
    folder = models_folder(config)
    lines = [_line(folder / name) for name in list_models(folder)]
    return ModelsResult(folder=str(folder), configured=config.model.name, models=lines)


def describe(config: RuntimeConfig) -> ModelInfo:
    """Return all that is known about the configured model; raise `ModelError` when there is none."""
    folder = models_folder(config) / config.model.name
    manifest = read_manifest(folder)
    return ModelInfo(
        folder=str(folder),
        size_mb=_size_mb(folder, manifest),
        precision_for={provider: preferred_precision(manifest, provider) for provider in PROVIDERS},
        problem=_problem(folder, manifest),
        manifest=manifest,
    )


def _line(folder: Path) -> ModelLine:
    try:
        manifest = read_manifest(folder)
    except ModelError as error:
        return ModelLine(
            name=folder.name,
            version="",
            description="",
            precisions=[],
            size_mb=0,
            features=[],
            problem=str(error),
        )
    return ModelLine(
        name=folder.name,
        version=manifest.version,
        description=manifest.description,
        precisions=sorted(manifest.files),
        size_mb=_size_mb(folder, manifest),
        features=manifest.features,
        problem=_problem(folder, manifest),
    )


def _problem(folder: Path, manifest: Manifest) -> str:
    try:
        for precision in manifest.files:
            verified_file(folder, manifest, precision)
    except ModelError as error:
        return str(error)
    return ""


def _size_mb(folder: Path, manifest: Manifest) -> float:
    paths = [folder / entry.file for entry in manifest.files.values()]
    return round(sum(path.stat().st_size for path in paths if path.is_file()) / 1e6, 1)
