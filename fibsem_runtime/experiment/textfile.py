"""Text files that are either there completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from fibsem_runtime.core.errors import StorageError


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) under a temporary name, force it to the disk and rename it.

    Raises `StorageError` when the disk refuses; then ``path`` is as it was before.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"{path} was not written: {error.strerror}; free disk space and try again") from error


def sync_directory(directory: Path) -> None:
    """Force the names in a directory to the disk, where the operating system offers that."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
