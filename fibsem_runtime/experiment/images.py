"""The image files of an experiment: unique names, never overwritten, refused when altered."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Final

from fibsem_runtime.core import Image
from fibsem_runtime.core.errors import ExperimentError
from fibsem_runtime.events import ImageReference
from fibsem_runtime.imaging import read_image, write_image

FOLDER: Final = "images"
_MAX_NAME_LENGTH: Final = 150
"""Leaves room below the 260 characters of a whole path that Windows allows by default."""


def write_new_image(directory: Path, image: Image, name: str) -> ImageReference:
    """Write ``image`` under a name that is not taken and return its reference; raise `StorageError` when refused."""
    path = _free_path(directory / FOLDER, name)
    write_image(path, image)
    return ImageReference(path=f"{FOLDER}/{path.name}", sha256=_file_sha256(path), frame_id=image.metadata.frame_id)


def _free_path(folder: Path, name: str) -> Path:
    """Return ``name.tif``, or ``name-2.tif`` and so on while that exists; what a file system may refuse is ``_``."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", name).strip("._")[:_MAX_NAME_LENGTH] or "image"
    path, number = folder / f"{stem}.tif", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.tif"
    return path


def read_verified_image(directory: Path, reference: ImageReference) -> Image:
    """Read an image after checking that its file is the one that was recorded."""
    relative = PurePosixPath(reference.path)
    if relative.is_absolute() or ".." in relative.parts or relative.parts[:1] != (FOLDER,):
        raise ExperimentError(f"the image {reference.path} lies outside {directory / FOLDER}; the document was altered")
    path = directory / relative
    found = _file_sha256(path)
    if found != reference.sha256:
        raise ExperimentError(
            f"the image {path} was altered since it was recorded (SHA-256 {found[:12]}…, recorded "
            f"{reference.sha256[:12]}…); restore it from a copy"
        )
    return read_image(path)


def _file_sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ExperimentError(
            f"the image {path} cannot be read: {error.strerror or error}; restore it from a copy"
        ) from error
