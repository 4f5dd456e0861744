"""Open what a configuration names: the instrument behind its guards, and the detector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fibsem_runtime.config import RuntimeConfig, models_folder
from fibsem_runtime.detection import Detector, open_detector
from fibsem_runtime.hal import Kinematics, Microscope, guard
from fibsem_runtime.hal.truth import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """The guarded microscope, its geometry and, on a simulator, its truth."""

    microscope: Microscope
    kinematics: Kinematics
    truth: Truth | None


@contextmanager
def open_instrument(config: RuntimeConfig, *, state_directory: Path | None) -> Iterator[Instrument]:
    """Connect to the configured driver and release it afterwards; the instrument stays as it is."""
    plugin = config.driver.plugin()
    raw = plugin.open(config.driver.validated_settings(), seed=config.seed, state_directory=state_directory)
    try:
        yield Instrument(
            microscope=guard(raw, config.guards), kinematics=Kinematics(raw.chain), truth=plugin.truth(raw)
        )
    finally:
        raw.driver.close()


def open_configured_detector(config: RuntimeConfig) -> Detector:
    """Load the configured model; raise `ModelError` when it is missing or altered."""
    return open_detector(models_folder(config) / config.model.name, config.model.engine)
