"""Image files in: read pixels strictly and metadata leniently."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from fibsem_runtime.core import Image, ImageMetadata
from fibsem_runtime.core.errors import ImageFileError
from fibsem_runtime.imaging.origin import TAGS, FileTags, find_origin
from fibsem_runtime.imaging.pixels import PNG_SIGNATURE, read_png, read_tiff, to_gray

_MALFORMED: Final = (
    tifffile.TiffFileError,
    cv2.error,
    struct.error,
    zlib.error,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
)
"""What tifffile raises on damaged files, found by reading thousands of files with flipped bytes."""


def read_image(path: Path) -> Image:
    """Read a TIFF of our own, fibsemOS, Thermo Fisher, TESCAN, Zeiss or any program, or a PNG, as TESCAN writes them.

    Gray, or colours that are grays. Metadata never make it fail: what is absent or broken is None, and foreign texts
    are kept whole in ``metadata.extra``. Rows of a declared data bar are cut off, whatever their colours. The header
    that TESCAN writes beside an image is read with it. Raises `ImageFileError` for a file that is missing, damaged,
    neither TIFF nor PNG, too large or in colour.
    """
    try:
        pixels, tags = (read_png(path), {}) if _is_png(path) else _read_tiff(path)
    except OSError as error:
        reason = error.strerror or "the file cannot be read"
        raise ImageFileError(f"cannot read the image {path}: {reason}; check the path and its permissions") from error
    except MemoryError as error:
        raise ImageFileError(f"cannot read the image {path}: it does not fit into memory") from error
    except _MALFORMED as error:
        raise ImageFileError(
            f"cannot read the image {path}: {_first_line(error)}; it is not a TIFF or is damaged, copy it again"
        ) from error
    origin = find_origin(FileTags(path=path, shape=(pixels.shape[0], pixels.shape[1]), by_code=tags))
    rows = min(origin.row_count or pixels.shape[0], pixels.shape[0])
    return _as_image(path, to_gray(path, pixels[:rows]), origin.metadata)


def _is_png(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(PNG_SIGNATURE)) == PNG_SIGNATURE


def _read_tiff(path: Path) -> tuple[NDArray[Any], dict[int, bytes]]:
    with tifffile.TiffFile(path) as tif:
        return read_tiff(path, tif), _read_tags(tif)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _as_image(path: Path, pixels: NDArray[Any], metadata: ImageMetadata) -> Image:
    try:
        return Image(np.ascontiguousarray(pixels), metadata)
    except ImageFileError as error:
        raise ImageFileError(f"cannot use the image {path}: {error}") from error


def _read_tags(tif: tifffile.TiffFile) -> dict[int, bytes]:
    """Read the raw bytes of the known tags, because tifffile's own parsing drops duplicate keys, units and records."""
    found: dict[int, bytes] = {}
    for code in TAGS:
        tag = tif.pages.first.tags.get(code)
        if tag is not None:
            tif.filehandle.seek(tag.valueoffset)
            found[code] = tif.filehandle.read(min(tag.valuebytecount, tif.filehandle.size))
    return found
