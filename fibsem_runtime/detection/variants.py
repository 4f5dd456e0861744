"""Try what makes a model faster and keep what gives the same masks."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from fibsem_runtime.core import Image
from fibsem_runtime.core.errors import ConfigError, ModelError, StorageError
from fibsem_runtime.detection.compare import OpenGraph, compare_masks, prepare_frame, time_both_ms
from fibsem_runtime.detection.manifest import (
    Manifest,
    ModelFile,
    read_manifest,
    sha256_of,
    verified_file,
    write_manifest,
)
from fibsem_runtime.detection.optimise import clean, halve, quantise
from fibsem_runtime.detection.origin import Precision, Variant
from fibsem_runtime.detection.providers import Provider, available_providers

Watch: TypeAlias = Callable[[str, int, int], None]

DEFAULT_THRESHOLD_FRACTION: Final = 0.99
"""Share of pixels that must have the same class as with fp32 (issue 4)."""

_LEAST_SPEED_UP: Final = 1.05
_LEAST_IMAGES: Final = 2
_MOST_CALIBRATION_IMAGES: Final = 24
_MOST_COMPARED_IMAGES: Final = 8
"""Calibration with 22 images is that of baselines.md; the others are assumed."""

_FILES: Final[dict[Precision, str]] = {"fp32": "model.onnx", "int8": "model-int8.onnx", "fp16": "model-fp16.onnx"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiseRequest:
    """How a model is optimised; ``threshold_fraction`` of the pixels must agree with fp32."""

    threshold_fraction: float = DEFAULT_THRESHOLD_FRACTION
    thread_count: int = 2
    run_count: int = 7


def optimise_model(folder: Path, images: Sequence[Image], request: OptimiseRequest, *, watch: Watch) -> Manifest:
    """Clean up fp32, make int8 and fp16, keep each whose masks agree, and write figures and hashes into the manifest.

    Every second image calibrates int8, the others are compared. A precision that does not pass is removed from the
    model. Raises `ConfigError` with fewer than two images.
    """
    if len(images) < _LEAST_IMAGES:
        raise ConfigError(
            f"optimising needs at least {_LEAST_IMAGES} images, some to calibrate 8 bit and others to compare; "
            f"got {len(images)}: give a folder with --images"
        )
    try:
        with tempfile.TemporaryDirectory(prefix=".optimise-", dir=folder) as work:
            return _Workbench(folder, Path(work), images, request, watch).run()
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror or error}; the model is as it was") from error


class _Workbench:
    """One optimisation: the model before, the images of both kinds, and what came out so far."""

    def __init__(
        self, folder: Path, work: Path, images: Sequence[Image], request: OptimiseRequest, watch: Watch
    ) -> None:
        self._folder = folder
        self._work = work
        self._request = request
        self._watch = watch
        self._manifest = read_manifest(folder)
        self._source = verified_file(folder, self._manifest, "fp32")
        self._shape = (self._manifest.input.height_px, self._manifest.input.width_px)
        self._calibration = images[::2][:_MOST_CALIBRATION_IMAGES]
        self._frames = [prepare_frame(image, self._shape) for image in images[1::2][:_MOST_COMPARED_IMAGES]]
        self._reference = OpenGraph(self._source, thread_count=request.thread_count)

    def run(self) -> Manifest:
        """Try all precisions and write what was kept."""
        steps = (self._clean, self._quantise, self._halve)
        variants = [step(done, len(steps)) for done, step in enumerate(steps)]
        files = dict(self._manifest.files)
        for variant in variants:
            if variant.is_kept:
                name = _FILES[variant.precision]
                made = self._work / name
                files[variant.precision] = ModelFile(file=name, sha256=sha256_of(made))
                made.replace(self._folder / name)
            elif variant.precision != "fp32":
                files.pop(variant.precision, None)
        # What was measured on a file that is replaced says nothing of the new one.
        unchanged = [p for p, entry in files.items() if self._manifest.files.get(p) == entry]
        measured = [m for m in self._manifest.measured if m.precision in unchanged]
        manifest = self._manifest.model_copy(update={"files": files, "variants": variants, "measured": measured})
        write_manifest(self._folder, manifest)
        self._sweep(manifest)
        return manifest

    def _sweep(self, manifest: Manifest) -> None:
        """Remove graphs that the manifest no longer names."""
        named = {entry.file for entry in manifest.files.values()}
        for name in {*_FILES.values(), *(entry.file for entry in self._manifest.files.values())} - named:
            (self._folder / name).unlink(missing_ok=True)

    def _clean(self, done: int, total: int) -> Variant:
        self._watch("cleaning the graph", done, total)
        fewer = clean(self._source, self._work / _FILES["fp32"])
        variant = self._judge("fp32", 0, least_speed_up_ratio=0.0)
        reason = f"{fewer} nodes fewer" if variant.is_kept else variant.reason
        is_kept = variant.is_kept and fewer > 0
        return variant.model_copy(update={"is_kept": is_kept, "reason": reason if fewer else "nothing to leave out"})

    def _quantise(self, done: int, total: int) -> Variant:
        self._watch(f"calibrating int8 on {len(self._calibration)} images", done, total)
        target, threads = self._work / _FILES["int8"], self._request.thread_count
        quantise(self._source, target, self._calibration, frame_shape=self._shape, thread_count=threads)
        return self._judge("int8", len(self._calibration), least_speed_up_ratio=_LEAST_SPEED_UP)

    def _halve(self, done: int, total: int) -> Variant:
        self._watch("making fp16", done, total)
        halve(self._source, self._work / _FILES["fp16"])
        return self._judge("fp16", 0, least_speed_up_ratio=_LEAST_SPEED_UP, provider="cuda")

    def _judge(
        self, precision: Precision, calibrated: int, *, least_speed_up_ratio: float, provider: Provider = "cpu"
    ) -> Variant:
        """Compare masks on the CPU and time both where the precision is meant to run."""
        path, threads = self._work / _FILES[precision], self._request.thread_count
        made = OpenGraph(path, thread_count=threads)
        agreement = compare_masks(self._reference, made, self._frames).mean_fraction
        times_ms = self._times_ms(path, made, provider)
        ratio = times_ms[0] / times_ms[1] if times_ms else None
        agrees = agreement >= self._request.threshold_fraction
        is_faster = ratio is None or ratio >= least_speed_up_ratio
        return Variant(
            precision=precision,
            is_kept=agrees and is_faster,
            reason=_reason(agrees, is_faster, ratio, provider),
            calibration_images=calibrated,
            compared_images=len(self._frames),
            agreement_fraction=agreement,
            threshold_fraction=self._request.threshold_fraction,
            before_ms=times_ms[0] if times_ms else None,
            after_ms=times_ms[1] if times_ms else None,
            speed_up_ratio=ratio,
            processor=_processor(provider, threads),
        )

    def _times_ms(self, path: Path, made: OpenGraph, provider: Provider) -> tuple[float, float] | None:
        """Return the median before and after, None where the provider is not here; ``made`` is ``path`` on the CPU."""
        if provider == "cpu":
            first, second = self._reference, made
        elif provider in available_providers():
            opened = [_open_on(p, provider, self._request.thread_count) for p in (self._source, path)]
            if opened[0] is None or opened[1] is None:
                return None
            first, second = opened[0], opened[1]
        else:
            return None
        return time_both_ms(first, second, self._frames[0], run_count=self._request.run_count)


def _open_on(path: Path, provider: Provider, thread_count: int) -> OpenGraph | None:
    """Open a graph on a GPU; a build of ONNX Runtime can know a provider whose libraries are not here."""
    try:
        graph = OpenGraph(path, thread_count=thread_count, provider=provider)
    except ModelError:
        return None
    return graph if graph.provider == provider else None


def _reason(agrees: bool, is_faster: bool, ratio: float | None, provider: Provider) -> str:
    if not agrees:
        return "too many pixels change their class"
    if not is_faster:
        return "no faster on this processor"
    return "masks agree and it is faster" if ratio is not None else f"masks agree; its speed needs {provider}"


def _processor(provider: Provider, thread_count: int) -> str:
    return f"{provider}, {thread_count} threads, {platform.processor() or platform.machine()}"
