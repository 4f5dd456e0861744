"""The command ``detect``: key points in image files, without a microscope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fibsem_runtime.app.instrument import open_configured_detector
from fibsem_runtime.config import RuntimeConfig
from fibsem_runtime.core import Image
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.core.units import NM
from fibsem_runtime.detection import Detection, Detector, FeatureResult
from fibsem_runtime.imaging import read_image


class FeatureOutput(BaseModel):
    """One feature of one image; pixels from the top left, metres from the image centre with y up."""

    model_config = ConfigDict(frozen=True)

    found: bool
    x_px: float | None
    y_px: float | None
    x_m: float | None
    y_m: float | None
    confidence: float
    reason: str


class ImageOutput(BaseModel):
    """One image; ``pixel_size_m`` is None when neither the file nor the command says it."""

    model_config = ConfigDict(frozen=True)

    file: str
    pixel_size_m: float | None
    features: dict[str, FeatureOutput]
    latency_ms: float


class DetectResult(BaseModel):
    """The document that ``detect --json`` prints."""

    model_config = ConfigDict(frozen=True)

    model: str
    provider: str
    images: list[ImageOutput]


def detect(
    config: RuntimeConfig, files: Sequence[Path], *, features: Sequence[str], pixel_size_m: float | None
) -> DetectResult:
    """Find ``features`` (all that the model knows when empty) in every file; every file must be readable."""
    images = [_with_pixel_size(read_image(file), pixel_size_m) for file in files]
    detector = open_configured_detector(config)
    names = _chosen(detector, features)
    outputs = [_output(file, image, detector.find(image, names)) for file, image in zip(files, images, strict=True)]
    return DetectResult(model=detector.name, provider=detector.provider, images=outputs)


def _chosen(detector: Detector, features: Sequence[str]) -> Sequence[str]:
    unknown = [name for name in features if name not in detector.features]
    if unknown:
        raise ConfigError(
            f"model {detector.name} does not find {', '.join(unknown)}; it knows {', '.join(detector.features)}"
        )
    return features or detector.features


def _with_pixel_size(image: Image, pixel_size_m: float | None) -> Image:
    """Give the image the stated pixel size; refuse one that contradicts the file by more than a percent."""
    if pixel_size_m is None:
        return image
    recorded_m = image.metadata.pixel_size_m
    if recorded_m is not None and abs(recorded_m - pixel_size_m) > 0.01 * pixel_size_m:
        raise ConfigError(
            f"--pixel-size-nm {pixel_size_m / NM:g} contradicts the file, which says {recorded_m / NM:g} nm; "
            "leave the option out"
        )
    return Image(image.data, replace(image.metadata, pixel_size_m=pixel_size_m))


def _output(file: Path, image: Image, detection: Detection) -> ImageOutput:
    return ImageOutput(
        file=str(file),
        pixel_size_m=image.metadata.pixel_size_m,
        features={feature.name: _feature_output(feature) for feature in detection.features},
        latency_ms=detection.latency_ms,
    )


def _feature_output(feature: FeatureResult) -> FeatureOutput:
    point, metres = feature.point, feature.point_m
    return FeatureOutput(
        found=point is not None,
        x_px=point.x_px if point else None,
        y_px=point.y_px if point else None,
        x_m=metres.x_m if metres else None,
        y_m=metres.y_m if metres else None,
        confidence=feature.confidence,
        reason=feature.reason,
    )
