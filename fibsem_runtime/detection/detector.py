"""The detector: an image in, features with points, confidence and reasons out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image, ImagePoint, PixelPoint
from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.detection.confidence import DEFAULT_WEIGHTS, combine
from fibsem_runtime.detection.engine import EngineFile, InferenceEngine
from fibsem_runtime.detection.engine_cache import engine_folder
from fibsem_runtime.detection.features import FEATURES
from fibsem_runtime.detection.finder import Finder, Finding, select_rows
from fibsem_runtime.detection.manifest import Manifest, preferred_precision, read_manifest, verified_file
from fibsem_runtime.detection.origin import Precision
from fibsem_runtime.detection.preparation import fit_image, place_image
from fibsem_runtime.detection.providers import Provider, ProviderRequest
from fibsem_runtime.detection.segmentation import Box, Segmentation
from fibsem_runtime.detection.settings import EngineSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureResult:
    """One asked feature.

    ``point`` (pixels of the image) is None when it was not found, and ``reason`` says why; ``point_m`` is None also
    when the image has no pixel size. ``confidence`` is the chance 0..1 that the point is right, 0 when not found.
    ``box`` and ``area_px`` describe the instance in pixels of the image, ``rival_count`` how many others there are.
    """

    name: str
    point: PixelPoint | None
    point_m: ImagePoint | None
    confidence: float
    reason: str = ""
    box: Box | None = None
    area_px: float | None = None
    rival_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """Where the time of one detection went, in milliseconds."""

    preprocess_ms: float
    inference_ms: float
    decode_ms: float
    features_ms: float

    @property
    def total_ms(self) -> float:
        """Return the sum."""
        return self.preprocess_ms + self.inference_ms + self.decode_ms + self.features_ms


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Detection:
    """What was found in one image, by what; ``class_map``: (height, width) uint8 of the image's size."""

    features: tuple[FeatureResult, ...]
    class_map: NDArray[np.uint8]
    model: str
    model_sha256: str
    provider: Provider
    times: StageTimes

    @property
    def latency_ms(self) -> float:
        """Return the time from image to features."""
        return self.times.total_ms

    def __getitem__(self, name: str) -> FeatureResult:
        return next(feature for feature in self.features if feature.name == name)


class Detector:
    """Find features with one opened model; not to be shared between threads."""

    def __init__(self, engine: InferenceEngine, manifest: Manifest) -> None:
        self._engine = engine
        self.manifest = manifest

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self.manifest.name

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of the features that the model finds."""
        return tuple(self.manifest.features)

    @property
    def provider(self) -> Provider:
        """Return what the model runs on."""
        return self._engine.provider

    @property
    def precision(self) -> Precision:
        """Return the arithmetic of the opened file."""
        return self._engine.file.precision

    @property
    def model_sha256(self) -> str:
        """Return the hash of the opened file."""
        return self._engine.file.sha256

    def segment(self, image: Image) -> Segmentation:
        """Return the class map of an image at the network's scale; a copy."""
        return self._segment(image)[0]

    def find(self, image: Image, features: Sequence[str], *, near: PixelPoint | None = None) -> Detection:
        """Find the asked features; of several instances the one nearest to ``near`` (default: the image's centre).

        A feature that is not there is reported as such, never as a point. Raises `ConfigError` for a feature that the
        model does not know and `ImageFileError` for an image size without sense.
        """
        rows = select_rows(features, self.manifest.features)
        segmentation, times = self._segment(image)
        started_s = time.perf_counter()
        finder = Finder(
            segmentation=segmentation,
            classes=self.manifest.classes,
            pixel_size_m=image.metadata.pixel_size_m,
            near=near or PixelPoint(image.shape[1] / 2, image.shape[0] / 2),
        )
        found = tuple(self._judge(finder.find(row), image) for row in rows.values())
        found_s = time.perf_counter()
        class_map = cv2.resize(segmentation.classes, image.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        decode_ms = times["decode_ms"] + 1e3 * (time.perf_counter() - found_s)
        return Detection(
            features=found,
            class_map=np.asarray(class_map, np.uint8),
            model=self.manifest.name,
            model_sha256=self.model_sha256,
            provider=self.provider,
            times=StageTimes(
                preprocess_ms=times["preprocess_ms"],
                inference_ms=times["inference_ms"],
                decode_ms=decode_ms,
                features_ms=1e3 * (found_s - started_s),
            ),
        )

    def _segment(self, image: Image) -> tuple[Segmentation, Mapping[str, float]]:
        started_s = time.perf_counter()
        frame = self._engine.input_pixels
        fit = fit_image(image.shape, (frame.shape[0], frame.shape[1]))
        place_image(image, fit, frame)
        placed_s = time.perf_counter()
        raw = self._engine.run()
        classified_s = time.perf_counter()
        part = (slice(0, fit.height_px), slice(0, fit.width_px))
        segmentation = Segmentation(
            classes=raw.classes[part].copy(),
            confidence=raw.confidence[part].copy(),
            x_scale_ratio=fit.x_scale_ratio,
            y_scale_ratio=fit.y_scale_ratio,
        )
        times = {
            "preprocess_ms": 1e3 * (placed_s - started_s),
            "inference_ms": 1e3 * (classified_s - placed_s),
            "decode_ms": 1e3 * (time.perf_counter() - classified_s),
        }
        return segmentation, times

    def _judge(self, finding: Finding, image: Image) -> FeatureResult:
        """Add the confidence and the metres to a finding."""
        known_scale = finding.point is not None and image.metadata.pixel_size_m is not None
        calibration = self.manifest.calibration.get(finding.name)
        weights = calibration.model_dump() if calibration else DEFAULT_WEIGHTS
        return FeatureResult(
            name=finding.name,
            point=finding.point,
            point_m=image.to_metres(finding.point) if known_scale and finding.point else None,
            confidence=combine(finding.cues, weights) if finding.cues else 0.0,
            reason=finding.reason,
            box=finding.box,
            area_px=finding.area_px,
            rival_count=finding.rival_count,
        )


def open_detector(folder: Path, settings: EngineSettings) -> Detector:
    """Open the model of a folder: check its manifest and hash, load it, warm it up.

    Raises `ModelError` for a missing, altered or malformed model and `ConfigError` for a provider that is not there.
    """
    manifest = read_manifest(folder)
    _check_features(manifest, folder)
    request = ProviderRequest(wanted=settings.providers, allow_fallback=settings.allow_fallback)

    def file_for(provider: Provider) -> EngineFile:
        precision = settings.precision or preferred_precision(manifest, provider)
        path, digest = verified_file(folder, manifest, precision), manifest.files[precision].sha256
        cache = Path(settings.engine_cache) if settings.engine_cache else None
        engines = engine_folder(cache, digest) if provider == "tensorrt" else None
        return EngineFile(path=path, precision=precision, sha256=digest, cache_folder=engines)

    return Detector(InferenceEngine(file_for, manifest, request, threads=settings.thread_count), manifest)


def _check_features(manifest: Manifest, folder: Path) -> None:
    """Refuse a model that promises a feature without having its class."""
    for name in manifest.features:
        row = FEATURES.get(name)
        if row is None or row.class_name not in manifest.classes:
            raise ModelError(
                f"the manifest in {folder} promises the feature {name!r}, which "
                + (f"needs the class {row.class_name!r}" if row else "is not in the table of features")
            )
