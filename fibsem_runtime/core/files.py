"""Files that are on the disk completely or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from fibsem_runtime.core.errors import StorageError

_SUFFIX: Final = ".tmp"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream whose content becomes ``path`` when the block ends well; nothing is left when it fails.

    The content goes to a temporary name in the same folder, is forced to the disk and renamed, so that a power cut
    leaves the old file or the new one. Raises the ``OSError`` of the disk.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{_SUFFIX}")
    try:
        with temporary.open("x+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8; raise `StorageError` when the disk refuses, then ``path`` is as it was before."""
    try:
        with replacing(path) as stream:
            stream.write(text.encode("utf-8"))
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; nothing was written, "
            "free space on the disk or correct the folder's permissions, then try again"
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed left behind; only for a folder in which nobody else writes."""
    for leftover in folder.glob(f".*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            leftover.unlink()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; Windows neither needs nor allows opening a folder."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
