"""Put a trained network into a model folder: graphs, hashes, calibration, measured error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.detection import Detector, EngineSettings, Manifest, open_detector
from fibsem_runtime.detection.manifest import (
    FeatureError,
    InputSpec,
    Measurement,
    ModelFile,
    PixelSizeRange,
    Precision,
    TrainingData,
    read_manifest,
    sha256_of,
    write_manifest,
)
from fibsem_runtime.detection.optimise import quantise
from fibsem_runtime.learning.batches import NETWORK_SIZE
from fibsem_runtime.learning.calibrate import fit_calibration, gather_verdicts
from fibsem_runtime.learning.dataset import CLASSES, Sample
from fibsem_runtime.learning.evaluate import Evaluation, evaluate
from fibsem_runtime.learning.export import export_onnx
from fibsem_runtime.learning.network import SegmentationNetwork

TRAINED_FEATURES: Final = (
    "NeedleTip",
    "NeedleTipBottom",
    "LamellaCentre",
    "LamellaLeftEdge",
    "LamellaRightEdge",
    "LamellaTopEdge",
    "LamellaBottomEdge",
    "CoreFeature",
    "LandingPost",
    "LandingGridCentre",
    "LandingGridLeftEdge",
    "LandingGridRightEdge",
)
"""Features whose class occurs in the training images; no adaptor and no volume block do."""

_FILES: Final[dict[Precision, str]] = {"fp32": "model.onnx", "int8": "model-int8.onnx"}
_CALIBRATION_COPIES: Final = 12


class ModelCard(BaseModel):
    """What a person says about a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    description: str
    recipe: str
    licence: str
    training_data: tuple[TrainingData, ...]
    pixel_size_range: PixelSizeRange | None = None


def read_card(path: Path) -> ModelCard:
    """Read a model card; raise `ConfigError` with the first fault."""
    try:
        return ModelCard.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path} is no model card: {' '.join(str(error).split())[:200]}") from error


def publish(network: SegmentationNetwork, folder: Path, card: ModelCard, *, quantisation: Sequence[Sample]) -> Manifest:
    """Export the graphs into ``folder`` and write a manifest without calibration and measurements.

    ``quantisation`` are the images that set the ranges of the int8 graph; without any there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    width_px, height_px = NETWORK_SIZE
    export_onnx(network, folder / _FILES["fp32"], width_px=width_px, height_px=height_px)
    files: dict[Precision, str] = {"fp32": _FILES["fp32"]} if not quantisation else _FILES
    if quantisation:
        images = [sample.image for sample in quantisation]
        quantise(folder / _FILES["fp32"], folder / _FILES["int8"], images, frame_shape=(height_px, width_px))
    manifest = Manifest(
        name=card.name,
        version=card.version,
        description=card.description,
        files={p: ModelFile(file=file, sha256=sha256_of(folder / file)) for p, file in files.items()},
        classes=list(CLASSES),
        input=InputSpec(width_px=width_px, height_px=height_px),
        pixel_size_range=card.pixel_size_range,
        features=list(TRAINED_FEATURES),
        training_data=list(card.training_data),
        recipe=card.recipe,
        licence=card.licence,
    )
    write_manifest(folder, manifest)
    return manifest


def calibrate(
    folder: Path, judged: Detector, images: Sequence[Sample], frames: Sequence[Sample], *, seed: int
) -> Manifest:
    """Fit the confidence on what ``judged`` did not see and write it into the manifest of ``folder``.

    ``judged`` is the model in ``folder`` or the same before its last stage, which saw everything. Real images and
    simulated frames count about alike: frames are many, and would otherwise say what to trust on an instrument.
    """
    frame_copies = max(1, round(_CALIBRATION_COPIES * len(images) / len(frames))) if images and frames else 1
    verdicts = [
        verdict
        for samples, copies in ((images, _CALIBRATION_COPIES), (frames, frame_copies))
        for verdict in gather_verdicts(judged, samples, judged.features, copies=copies, seed=seed)
    ]
    calibration = fit_calibration(verdicts)
    manifest = read_manifest(folder).model_copy(update={"calibration": calibration})
    write_manifest(folder, manifest)
    return manifest


def measure(folder: Path, samples: Sequence[Sample], *, data: str) -> Manifest:
    """Evaluate every precision of the model in ``folder`` and write the figures into the manifest."""
    measurements = []
    for precision in read_manifest(folder).files:
        detector = open_detector(folder, EngineSettings(precision=precision))
        measurements.append(to_measurement(evaluate(detector, samples), data=data, precision=precision))
    return add_measurements(folder, measurements)


def to_measurement(result: Evaluation, *, data: str, precision: Precision) -> Measurement:
    """Return the figures of an evaluation that a manifest keeps."""
    errors = {
        name: FeatureError(
            images=row.n,
            found_fraction=row.found_fraction,
            median_px=row.median_px,
            p95_px=row.p95_px,
            false_finds=row.false_finds,
            far=row.far,
            gated_far=row.gated_far,
            good=row.good,
            gated_good=row.gated_good,
        )
        for name, row in result.features.items()
    }
    return Measurement(
        data=data, images=result.images, precision=precision, features=errors, class_iou=result.class_iou
    )


def add_measurements(folder: Path, measurements: Sequence[Measurement]) -> Manifest:
    """Write measurements into a manifest; they replace older ones of the same data."""
    manifest = read_manifest(folder)
    others = [m for m in manifest.measured if m.data not in {new.data for new in measurements}]
    manifest = manifest.model_copy(update={"measured": [*others, *measurements]})
    write_manifest(folder, manifest)
    return manifest
