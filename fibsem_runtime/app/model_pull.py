"""The command ``model pull``: fetch a published model where there is a network, and import it."""

from __future__ import annotations

import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fibsem_runtime.app.model_making import ImportOptions, import_file
from fibsem_runtime.app.models import ModelInfo
from fibsem_runtime.config import RuntimeConfig
from fibsem_runtime.core.errors import ConfigError, DataError
from fibsem_runtime.detection.variants import Watch

_HUB: Final = "https://huggingface.co"
_TIMEOUT_S: Final = 30.0
_CHUNK_BYTES: Final = 2**20
_MAX_BYTES: Final = 2 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where a published model lies: one checkpoint, or the files of a folder."""

    repository: str
    files: tuple[str, ...]
    licence: str

    def address(self, file: str) -> str:
        """Return the address of one file."""
        return f"{_HUB}/{self.repository}/resolve/main/{file}"


def _checkpoint(name: str) -> Published:
    return Published(
        repository="patrickcleeve/autolamella", files=(f"{name}.pt",), licence="see huggingface.co/patrickcleeve"
    )


PUBLISHED: Final[Mapping[str, Published]] = {
    name: _checkpoint(name)
    for name in (
        "autolamella-mega-20240107",
        "autolamella-waffle-20240107",
        "autolamella-serial-liftout-20240107",
    )
} | {
    "segformer-b1-autolamella-mega-1": Published(
        repository="patrickcleeve/segformer-b1-autolamella-mega-1",
        files=("config.json", "preprocessor_config.json", "model.safetensors"),
        licence="see huggingface.co/patrickcleeve",
    )
}
"""Published models by name (detection.md sections 6 and 9; interop.md section 8)."""


def pull(config: RuntimeConfig, name: str, options: ImportOptions, *, watch: Watch) -> ModelInfo:
    """Fetch a published model and import it under its name.

    Raises `ConfigError` for an unknown name and `DataError` with the address when it cannot be fetched; nothing is left
    behind then.
    """
    published = PUBLISHED.get(name)
    if published is None:
        raise ConfigError(f"no published model is called {name!r}; known are {', '.join(PUBLISHED)}")
    with tempfile.TemporaryDirectory(prefix="fibsem-pull-") as folder:
        for done, file in enumerate(published.files):
            watch(f"fetching {file}", done, len(published.files))
            _fetch(published.address(file), Path(folder) / file)
        source = Path(folder) / published.files[0] if len(published.files) == 1 else Path(folder)
        stated = ImportOptions(
            name=options.name or name,
            size=options.size,
            scaling=options.scaling,
            classes=options.classes,
            licence=options.licence or published.licence,
            images=options.images,
        )
        return import_file(config, source, stated, watch=watch)


def _fetch(address: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer, target.open("wb") as file:
            size = 0
            while chunk := answer.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > _MAX_BYTES:
                    raise DataError(f"{address} has more than {_MAX_BYTES / 2**30:.0f} GiB and cannot be a model")
                file.write(chunk)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"{address} cannot be fetched ({' '.join(str(reason).split())[:120]}); fetch it on a computer "
            "with a network and run: fibsem-runtime model import FILE"
        ) from error
