"""The description that every model folder carries: ``models/<name>/manifest.yaml``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import yaml
from pydantic import Field, ValidationError, model_validator

from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.detection.origin import Contrast, Origin, Part, Sha256, Variant
from fibsem_runtime.detection.origin import Precision as Precision

MANIFEST_NAME: Final = "manifest.yaml"
_MAX_MANIFEST_BYTES: Final = 2**20
_CHUNK_BYTES: Final = 2**20

_PREFERENCE: Final[dict[str, tuple[Precision, ...]]] = {
    "cpu": ("int8", "fp32", "fp16"),
    "cuda": ("fp16", "fp32", "int8"),
    "tensorrt": ("fp32", "fp16", "int8"),
}


class ModelFile(Part):
    """One ONNX file beside the manifest and its hash."""

    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.onnx$")
    sha256: Sha256


class InputSpec(Part):
    """What the graph takes: (1, 1, height, width) uint8, resized to fit and padded with the image's mean.

    ``contrast`` says what the graph itself does to the gray values; standardised is zero mean and unit variance.
    """

    width_px: int = Field(ge=32, le=4096, multiple_of=32)
    height_px: int = Field(ge=32, le=4096, multiple_of=32)
    contrast: Contrast = "standardised in the graph"


class PixelSizeRange(Part):
    """Pixel sizes of the training images, as far as they are known; outside of it confidence is not calibrated."""

    min_nm: float = Field(gt=0)
    max_nm: float = Field(gt=0)

    @model_validator(mode="after")
    def _check_order(self) -> PixelSizeRange:
        if self.min_nm > self.max_nm:
            raise ValueError(f"min_nm {self.min_nm} exceeds max_nm {self.max_nm}")
        return self


class TrainingData(Part):
    """One origin of training images."""

    name: str
    images: int = Field(ge=1)
    licence: str
    source: str


class FeatureError(Part):
    """Measured on held-out images: how often found when present, and how far off in pixels of the full image.

    ``gated_far`` of ``far`` wrong points and ``gated_good`` of ``good`` right ones lie below the confidence gate.
    """

    images: int = Field(ge=0)
    found_fraction: float | None = Field(default=None, ge=0, le=1)
    median_px: float | None = Field(default=None, ge=0)
    p95_px: float | None = Field(default=None, ge=0)
    false_finds: int = Field(default=0, ge=0)
    far: int = Field(default=0, ge=0)
    gated_far: int = Field(default=0, ge=0)
    good: int = Field(default=0, ge=0)
    gated_good: int = Field(default=0, ge=0)


class Measurement(Part):
    """One evaluation: which images, which precision, what came out."""

    data: str
    images: int = Field(ge=1)
    precision: Precision
    features: dict[str, FeatureError] = Field(default_factory=dict)
    class_iou: dict[str, float] = Field(default_factory=dict)


class Calibration(Part):
    """Weights of the cues of `fibsem_runtime.detection.confidence`, fitted on held-out images."""

    offset_score: float = 0.0
    body_score: float = 0.0
    ring_score: float = 0.0
    frame_score: float = 0.0
    local_score: float = 0.0
    solid_score: float = 0.0
    size_score: float = 0.0
    whole_score: float = 0.0
    alone_score: float = 0.0


class Manifest(Part):
    """Everything that is known about a model."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=60)
    version: str = Field(min_length=1, max_length=40)
    description: str
    files: dict[Precision, ModelFile] = Field(min_length=1)
    classes: list[str] = Field(min_length=2, max_length=255)
    input: InputSpec
    pixel_size_range: PixelSizeRange | None = None
    features: list[str] = Field(min_length=1)
    calibration: dict[str, Calibration] = Field(default_factory=dict)
    training_data: list[TrainingData] = Field(default_factory=list)
    recipe: str = ""
    licence: str
    measured: list[Measurement] = Field(default_factory=list)
    origin: Origin | None = None
    variants: list[Variant] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check_names(self) -> Manifest:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes must differ from each other")
        unknown = sorted(set(self.calibration) - set(self.features))
        if unknown:
            raise ValueError(f"calibration names features that the model does not have: {', '.join(unknown)}")
        return self


def read_manifest(folder: Path) -> Manifest:
    """Read and validate the manifest of a model folder; every fault is a `ModelError` of one line."""
    path = folder / MANIFEST_NAME
    try:
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise ModelError(f"{path} is larger than {_MAX_MANIFEST_BYTES // 1024} KiB and cannot be a manifest")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Manifest.model_validate(content)
    except OSError as error:
        raise ModelError(f"no model at {folder}: {MANIFEST_NAME} cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not YAML: {_first_line(str(error))}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "top level"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise ModelError(f"{path}: {where}: {fault['msg']}{more}; correct the manifest") from error


def preferred_precision(manifest: Manifest, provider: str) -> Precision:
    """Return the precision that suits a provider among those that the model has.

    A file is in the manifest only when its masks agree with fp32; a CPU is fastest with 8 bit, CUDA with half, and
    TensorRT makes its own half precision from fp32.
    """
    return next(precision for precision in _PREFERENCE[provider] if precision in manifest.files)


def verified_file(folder: Path, manifest: Manifest, precision: Precision) -> Path:
    """Return the ONNX file of ``precision`` after comparing its hash.

    Raises `ModelError` when it is absent or altered.
    """
    entry = manifest.files.get(precision)
    if entry is None:
        raise ModelError(f"model {manifest.name!r} has no {precision} file; it has {', '.join(sorted(manifest.files))}")
    path = folder / entry.file
    try:
        found = sha256_of(path)
    except OSError as error:
        raise ModelError(f"the file {path} of model {manifest.name!r} cannot be read ({error.strerror})") from error
    if found != entry.sha256:
        raise ModelError(
            f"{path} has SHA-256 {found[:12]}…, its manifest says {entry.sha256[:12]}…; the file was altered or not "
            "downloaded fully, fetch the model again"
        )
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def list_models(directory: Path) -> list[str]:
    """Return the names of the folders in ``directory`` that hold a manifest, sorted."""
    return sorted(path.parent.name for path in directory.glob(f"*/{MANIFEST_NAME}"))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a model folder, replacing an old one in one step."""
    text = yaml.safe_dump(
        manifest.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True, width=110
    )
    temporary = folder / (MANIFEST_NAME + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / MANIFEST_NAME)


def _first_line(text: str) -> str:
    return " ".join(text.split())[:200]
