"""Image files out: one gray page, uncompressed, with its metadata as JSON and its scale for Fiji."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import tifffile

from fibsem_runtime.core import Image
from fibsem_runtime.core.errors import StorageError
from fibsem_runtime.core.files import replacing
from fibsem_runtime.core.image import Pixels
from fibsem_runtime.imaging.description import describe

_SOFTWARE: Final = "fibsem-runtime"
_CM_PER_M: Final = 100.0
_MAX_RESOLUTION_PER_CM: Final = 4e9
"""A TIFF rational has 32-bit parts, so that pixels below 2.5 pm cannot be written into the resolution tags."""


def write_image(path: Path, image: Image) -> None:
    """Write ``image`` to ``path`` completely or not at all.

    The file is written under a temporary name in the same folder, flushed to the disk and renamed, so that a power cut
    leaves the old file or the new one. Pixels per centimetre go into the resolution tags (Fiji shows them as µm).
    Raises `StorageError` when the disk or the folder refuses; nothing is left behind then.
    """
    _write(path, _encode(image))


def write_mask(path: Path, mask: Pixels, pixel_size_m: float) -> None:
    """Write a map of class or object numbers, (height, width) uint8 or uint16, completely or not at all.

    Without loss but compressed, because a map is nearly empty; equal maps give equal bytes. Raises `StorageError` as
    `write_image` does.
    """
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        mask,
        photometric="minisblack",
        compression="zlib",
        metadata=None,
        software=_SOFTWARE,
        **_resolution_tags(pixel_size_m),
    )
    _write(path, buffer.getvalue())


def _write(path: Path, content: bytes) -> None:
    try:
        with replacing(path) as stream:
            stream.write(content)
    except OSError as error:
        raise StorageError(
            f"cannot write the image {path}: {error.strerror or error}; nothing was written, "
            "free space on the disk or correct the folder's permissions, then try again"
        ) from error


def _encode(image: Image) -> bytes:
    """Return the file's content; tifffile writing to a file itself does not notice when the disk gets full."""
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        image.data,
        photometric="minisblack",
        description=describe(image),
        metadata=None,
        software=_SOFTWARE,
        **_resolution_tags(image.metadata.pixel_size_m),
    )
    return buffer.getvalue()


def _resolution_tags(pixel_size_m: float | None) -> dict[str, Any]:
    if not pixel_size_m:
        return {}
    pixels_per_cm = 1.0 / (pixel_size_m * _CM_PER_M)
    if not 1e-6 < pixels_per_cm < _MAX_RESOLUTION_PER_CM:
        return {}
    return {"resolution": (pixels_per_cm, pixels_per_cm), "resolutionunit": "CENTIMETER"}
