"""The commands ``model import``, ``model pull`` and ``model optimise``: models in, faster models out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fibsem_runtime.app.model_images import drawn_frame, read_some
from fibsem_runtime.app.models import ModelInfo, describe
from fibsem_runtime.config import RuntimeConfig, models_folder, with_model
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.detection.variants import OptimiseRequest, Watch, optimise_model
from fibsem_runtime.learning.checkpoint import Scaling
from fibsem_runtime.learning.foreign import Frame
from fibsem_runtime.learning.importing import ImportRequest, import_model

_MOST_PROOF_IMAGES: Final = 4
_MOST_IMAGES: Final = 32
"""A U-Net of the peer takes some 4 s an image; four images show whether a conversion is right."""

_DEFAULT_SIZE: Final = "1536x1024"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the command line says about a model to import; None and empty leave it to the file."""

    name: str | None = None
    size: str | None = None
    scaling: str | None = None
    classes: str = ""
    licence: str | None = None
    images: Sequence[Path] = ()


def import_file(config: RuntimeConfig, source: Path, options: ImportOptions, *, watch: Watch) -> ModelInfo:
    """Import a checkpoint, a folder of Hugging Face or an ONNX graph next to the other models."""
    name = options.name or _name_from(source)
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a model's name has small letters, digits, '.', '_' and '-', at most 60, not {name!r}")
    request = ImportRequest(
        name=name,
        licence=options.licence or "not stated by the file",
        frame=_frame(options.size or _DEFAULT_SIZE),
        class_names=tuple(part.strip() for part in options.classes.split(",") if part.strip()),
        scaling=_scaling(options.scaling),
        thread_count=config.model.engine.thread_count,
    )
    images = read_some(options.images, _MOST_PROOF_IMAGES) if options.images else [drawn_frame(1), drawn_frame(2)]
    import_model(source, models_folder(config), request, images, watch=watch)
    return describe(with_model(config, name))


def optimise(
    config: RuntimeConfig, images: Sequence[Path], *, threshold_fraction: float | None, watch: Watch
) -> ModelInfo:
    """Optimise the configured model on images and return what it is then."""
    request = OptimiseRequest(thread_count=config.model.engine.thread_count)
    if threshold_fraction is not None:
        request = OptimiseRequest(thread_count=request.thread_count, threshold_fraction=threshold_fraction)
    chosen = [image for _, image in read_some(images, _MOST_IMAGES)]
    optimise_model(models_folder(config) / config.model.name, chosen, request, watch=watch)
    return describe(config)


def _scaling(text: str | None) -> Scaling | None:
    match text:
        case None | "unit" | "raw":
            return text
        case _:
            raise ConfigError(f"--scaling is unit (gray over 255) or raw (gray as it is), not {text!r}")


def _name_from(source: Path) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", source.stem.lower() if source.is_file() else source.name.lower()).strip("-._")


def _frame(text: str) -> Frame:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise ConfigError(f"--size is WIDTHxHEIGHT in pixels, like {_DEFAULT_SIZE}, not {text!r}")
    return Frame(width_px=int(match[1]), height_px=int(match[2]))
