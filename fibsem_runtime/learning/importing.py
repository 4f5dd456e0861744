"""Bring a foreign model into a model folder, with proof on images that it says there what it said before."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from fibsem_runtime.core import Image
from fibsem_runtime.core.errors import ConfigError, ModelError, StorageError
from fibsem_runtime.detection import FEATURES
from fibsem_runtime.detection.compare import OpenGraph, agreement_of, prepare_frame
from fibsem_runtime.detection.manifest import InputSpec, Manifest, ModelFile, sha256_of, write_manifest
from fibsem_runtime.detection.origin import Origin, Parity
from fibsem_runtime.learning.checkpoint import Scaling
from fibsem_runtime.learning.dataset import CLASSES
from fibsem_runtime.learning.deploy import write_deployed
from fibsem_runtime.learning.foreign import Frame, Original, read_original
from fibsem_runtime.learning.upsampling import convolve_before_doubling

Watch: TypeAlias = Callable[[str, int, int], None]
"""Told what is being done and how many of how many images are compared."""

PIXEL_AGREEMENT_FRACTION: Final = 0.9999
"""Least agreement of an imported graph with its original (issue 4)."""

_KNOWN_COUNTS: Final = (3, 5, 6)
"""Class counts of published models; all use the first of the six classes (interop.md section 8)."""

_MODEL_FILE: Final = "model.onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """What a person says about a model to import; ``class_names`` and ``scaling`` only where the file does not."""

    name: str
    licence: str
    frame: Frame
    class_names: tuple[str, ...] = ()
    scaling: Scaling | None = None
    thread_count: int = 2


def import_model(
    source: Path, models: Path, request: ImportRequest, images: Sequence[tuple[str, Image]], *, watch: Watch
) -> Manifest:
    """Convert ``source`` into ``models/NAME`` and return its manifest.

    The folder appears only when masks agree on ``images`` (names and images, at least one). Raises `ModelError` for a
    source that cannot be imported or does not agree, `ConfigError` when the name is taken.
    """
    folder = models / request.name
    if folder.exists():
        raise ConfigError(f"there is a model {request.name!r} in {models}; give another --name or remove it")
    try:
        models.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".import-", dir=models))
    except OSError as error:
        raise StorageError(f"cannot write to {models}: {error.strerror}; set model.folder in config.yaml") from error
    try:
        made = work / request.name
        made.mkdir()
        manifest = _convert(source, work, made, request, images, watch)
        made.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return manifest


def _convert(
    source: Path,
    work: Path,
    made: Path,
    request: ImportRequest,
    images: Sequence[tuple[str, Image]],
    watch: Watch,
) -> Manifest:
    watch("reading and converting", 0, len(images))
    original = read_original(source, work, request.frame, scaling=request.scaling, thread_count=request.thread_count)
    graph = convolve_before_doubling(original.graph)
    classes = _class_names(graph.class_count, request.class_names)
    write_deployed(graph, made / _MODEL_FILE, scaling=original.scaling)
    write_deployed(graph, work / "probe.onnx", scaling=original.scaling, shows_logits=True)
    parity = _prove(original, made / _MODEL_FILE, work / "probe.onnx", images, request.thread_count, watch)
    digest = sha256_of(made / _MODEL_FILE)
    manifest = Manifest(
        name=request.name,
        version=digest[:8],
        description=f"Imported from {source.name}: {original.network}, {len(classes)} classes.",
        files={"fp32": ModelFile(file=_MODEL_FILE, sha256=digest)},
        classes=classes,
        input=InputSpec(width_px=graph.width_px, height_px=graph.height_px, contrast=original.contrast),
        features=[row.name for row in FEATURES.values() if row.class_name in classes],
        licence=request.licence,
        origin=Origin(
            file=source.name,
            sha256=sha256_of(original.weights),
            format=original.format,
            network=original.network,
            scaling=original.evidence,
            parity=parity,
        ),
    )
    write_manifest(made, manifest)
    return manifest


def _class_names(count: int, stated: tuple[str, ...]) -> list[str]:
    if not stated and count in _KNOWN_COUNTS:
        return list(CLASSES[:count])
    if len(stated) != count:
        raise ModelError(
            f"the network tells {count} classes apart and {len(stated)} were named; name all with --classes, "
            f"in order, of {', '.join(CLASSES)} or your own"
        )
    return list(stated)


def _prove(
    original: Original,
    path: Path,
    probe: Path,
    images: Sequence[tuple[str, Image]],
    thread_count: int,
    watch: Watch,
) -> Parity:
    """Ask the original and both graphs about every image; raise `ModelError` when they do not agree."""
    shape = (original.graph.height_px, original.graph.width_px)
    deployed, shown = (OpenGraph(p, thread_count=thread_count) for p in (path, probe))
    pairs, largest = [], 0.0
    for done, (name, image) in enumerate(images):
        watch(f"comparing with the original on {name}", done, len(images))
        pixels = prepare_frame(image, shape)
        expected = original.reference(pixels)
        found = shown.run(pixels)[original.graph.output_name]
        largest = max(largest, float(np.abs(expected - found).max()))
        pairs.append((expected.argmax(1).astype(np.uint8), deployed.run(pixels)["classes"]))
    agreement = agreement_of(pairs)
    if not agreement.worst_fraction >= PIXEL_AGREEMENT_FRACTION or not np.isfinite(largest):
        raise ModelError(
            f"the converted model agrees with its original on {agreement.worst_fraction:.4%} of the pixels of an "
            f"image, {PIXEL_AGREEMENT_FRACTION:.2%} are needed; nothing was imported"
        )
    return Parity(
        images=[name for name, _ in images],
        pixel_agreement_fraction=agreement.mean_fraction,
        worst_image_fraction=agreement.worst_fraction,
        largest_logit_difference_score=largest,
    )
