"""The command ``corrections list``."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fibsem_runtime.core import PixelPoint
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.corrections import CLASSES
from fibsem_runtime.events import Correction
from fibsem_runtime.experiment import Experiment


class CorrectionOutput(BaseModel):
    """One feature of one decision; ``delta_um`` is decided minus predicted, x right and y up."""

    model_config = ConfigDict(frozen=True)

    lamella: str
    step: str
    feature: str
    classification: str
    predicted_px: tuple[float, float] | None
    decided_px: tuple[float, float] | None
    delta_um: tuple[float, float] | None
    confidence: float
    model: str
    decided_by: str
    duration_s: float
    image: str


class CorrectionsResult(BaseModel):
    """The document that ``corrections list --json`` prints."""

    model_config = ConfigDict(frozen=True)

    experiment: str
    corrections: list[CorrectionOutput]


def read_corrections(directory: Path, *, feature: str | None, classification: str | None) -> CorrectionsResult:
    """Read the corrections of an experiment, filtered; raise `ConfigError` for a class that does not exist."""
    if classification is not None and classification not in CLASSES:
        raise ConfigError(f"there is no class {classification!r}; the classes are {', '.join(CLASSES)}")
    with Experiment.open(directory) as experiment:
        found = [d for d in experiment.documents(kind="correction") if isinstance(d, Correction)]
    return CorrectionsResult(
        experiment=str(directory.resolve()),
        corrections=[
            _output(correction)
            for correction in found
            if feature in (None, correction.feature) and classification in (None, correction.classification)
        ],
    )


def _output(correction: Correction) -> CorrectionOutput:
    delta = correction.delta
    return CorrectionOutput(
        lamella=correction.lamella,
        step=correction.step,
        feature=correction.feature,
        classification=correction.classification,
        predicted_px=_pixels(correction.predicted),
        decided_px=_pixels(correction.decided),
        delta_um=None if delta is None else (delta.x_m * 1e6, delta.y_m * 1e6),
        confidence=correction.confidence,
        model=correction.model,
        decided_by=correction.decided_by,
        duration_s=correction.duration_s,
        image=correction.image.path,
    )


def _pixels(point: PixelPoint | None) -> tuple[float, float] | None:
    return None if point is None else (point.x_px, point.y_px)
