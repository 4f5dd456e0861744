"""The command ``doctor``: what this computer has and what it lacks, each with what to do."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from fibsem_runtime import __version__
from fibsem_runtime.app.instrument import open_configured_detector
from fibsem_runtime.config import RuntimeConfig, models_folder
from fibsem_runtime.core.errors import FibsemError
from fibsem_runtime.detection import available_providers
from fibsem_runtime.hal.registry import available_drivers, find_driver

_PACKAGES: Final = ("numpy", "opencv-python-headless", "numba", "tifffile", "pydantic", "SQLAlchemy")


class Finding(BaseModel):
    """One line of the diagnosis."""

    model_config = ConfigDict(frozen=True)

    topic: str
    ok: bool
    detail: str


class DoctorResult(BaseModel):
    """The document that ``doctor --json`` prints."""

    model_config = ConfigDict(frozen=True)

    version: str
    findings: list[Finding]

    @property
    def is_healthy(self) -> bool:
        """Tell whether nothing is missing."""
        return all(finding.ok for finding in self.findings)


def diagnose(config: RuntimeConfig, *, driver: str | None) -> DoctorResult:
    """Look at Python, packages, the driver (the configured one when None), inference providers, model and disk."""
    findings = [
        Finding(topic="python", ok=True, detail=f"{platform.python_version()} on {platform.platform(terse=True)}"),
        *_packages(),
        *_driver(driver or config.driver.name),
        Finding(topic="inference", ok=True, detail=f"providers: {', '.join(available_providers())}"),
        _model(config),
        _disk(config.experiments_folder),
    ]
    return DoctorResult(version=__version__, findings=findings)


def _packages() -> list[Finding]:
    findings = []
    for name in _PACKAGES:
        try:
            findings.append(Finding(topic=name, ok=True, detail=version(name)))
        except PackageNotFoundError:
            findings.append(Finding(topic=name, ok=False, detail=f"not installed; run: pip install {name}"))
    return findings


def _driver(name: str) -> list[Finding]:
    missing = find_driver(name).diagnose()
    if not missing:
        return [Finding(topic=f"driver {name}", ok=True, detail=f"ready; installed: {', '.join(available_drivers())}")]
    return [Finding(topic=f"driver {name}", ok=False, detail=line) for line in missing]


def _model(config: RuntimeConfig) -> Finding:
    try:
        detector = open_configured_detector(config)
    except FibsemError as error:
        return Finding(topic="model", ok=False, detail=str(error))
    detail = f"{detector.name} in {models_folder(config)} on {detector.provider}"
    return Finding(topic="model", ok=True, detail=detail)


def _disk(folder: Path) -> Finding:
    existing = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    return Finding(topic="disk", ok=free_gb > 2, detail=f"{free_gb:.1f} GB free for {folder.resolve()}")
