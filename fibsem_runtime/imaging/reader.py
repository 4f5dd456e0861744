"""Image files in: find out what wrote a TIFF, read its pixels strictly and its metadata leniently."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from fibsem_runtime.core import Image, ImageMetadata
from fibsem_runtime.core.errors import ImageFileError
from fibsem_runtime.imaging.fibsemos import parse_description
from fibsem_runtime.imaging.thermofisher import image_rows, parse_thermofisher

MAX_PIXEL_COUNT: Final = 2**28
"""Largest image that is read, 16384 x 16384; the largest frame of a FIB-SEM is 6144 x 4096, mosaics are smaller."""

_DESCRIPTION: Final = 270
_FEI_SFEG: Final = 34680
_FEI_HELIOS: Final = 34682
_FEI_XML: Final = 34683
_MINISWHITE: Final = 0
_PALETTE: Final = 3

_MALFORMED: Final = (
    tifffile.TiffFileError,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTexts:
    """Texts of the tags that name a file's origin; ``shape`` is that of the stored pixels."""

    shape: tuple[int, int]
    by_tag: Mapping[int, str]

    def get(self, *tags: int) -> str:
        """Return the first text that is there, else an empty one."""
        return next((self.by_tag[tag] for tag in tags if self.by_tag.get(tag)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a file's texts say: metadata and how many rows from the top are image."""

    metadata: ImageMetadata
    row_count: int | None = None


def read_image(path: Path) -> Image:
    """Read a TIFF of our own, fibsemOS, Thermo Fisher or any program; gray, or colour with equal channels.

    Metadata never make it fail: what is absent or broken is None, and foreign texts are kept whole in
    ``metadata.extra``. Raises `ImageFileError` for a file that is missing, damaged, not a TIFF, too large or colour.
    """
    try:
        with tifffile.TiffFile(path) as tif:
            page = _single_page(path, tif)
            texts = _read_texts(tif, page)
            pixels = _to_gray(path, page, page.asarray())
    except OSError as error:
        reason = error.strerror or "the file cannot be read"
        raise ImageFileError(f"cannot read the image {path}: {reason}; check the path and its permissions") from error
    except MemoryError as error:
        raise ImageFileError(f"cannot read the image {path}: it does not fit into memory") from error
    except _MALFORMED as error:
        raise ImageFileError(
            f"cannot read the image {path}: {_first_line(error)}; it is not a TIFF or is damaged, copy it again"
        ) from error
    origin = _find_origin(replace(texts, shape=(pixels.shape[0], pixels.shape[1])))
    rows = min(origin.row_count or pixels.shape[0], pixels.shape[0])
    return _as_image(path, pixels[:rows], origin.metadata)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _as_image(path: Path, pixels: NDArray[Any], metadata: ImageMetadata) -> Image:
    try:
        return Image(np.ascontiguousarray(pixels), metadata)
    except ImageFileError as error:
        raise ImageFileError(f"cannot use the image {path}: {error}") from error


def _single_page(path: Path, tif: tifffile.TiffFile) -> tifffile.TiffPage:
    """Return the only full page after checking that all of its pixels are in the file."""
    page = tif.pages.first
    others = [p for p in tif.pages[1:] if p.shape[:2] == page.shape[:2]]
    if others:
        raise ImageFileError(f"the file {path} holds {1 + len(others)} images; split the stack into single images")
    if page.size > MAX_PIXEL_COUNT * 4 or page.imagewidth * page.imagelength > MAX_PIXEL_COUNT:
        raise ImageFileError(
            f"the image {path} has {page.imagewidth} x {page.imagelength} pixels, the limit is "
            f"{MAX_PIXEL_COUNT}; crop it or read a part of it with another program"
        )
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or 0 in page.dataoffsets or 0 in page.databytecounts or max(ends) > tif.filehandle.size:
        raise ImageFileError(
            f"the image {path} is cut off: it should be {max(ends, default=0)} bytes long and is "
            f"{tif.filehandle.size}; copy it again"
        )
    return page


def _read_texts(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> FileTexts:
    """Read the raw bytes of the known tags, because tifffile's own parsing drops duplicate keys."""
    texts: dict[int, str] = {}
    for code in (_DESCRIPTION, _FEI_SFEG, _FEI_HELIOS, _FEI_XML):
        tag = page.tags.get(code)
        if tag is not None:
            tif.filehandle.seek(tag.valueoffset)
            raw = tif.filehandle.read(min(tag.valuebytecount, tif.filehandle.size))
            texts[code] = _decode(raw)
    return FileTexts(shape=(page.imagelength, page.imagewidth), by_tag=texts)


def _decode(raw: bytes) -> str:
    raw = raw.rstrip(b"\0 ")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _to_gray(path: Path, page: tifffile.TiffPage, pixels: NDArray[Any]) -> NDArray[Any]:
    """Return (height, width) pixels where black is 0; colour is accepted only when its channels are equal."""
    if page.photometric == _PALETTE:
        raise ImageFileError(f"the image {path} uses a colour table; save it as 8- or 16-bit gray")
    if page.axes.startswith("S"):
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim == 3 and pixels.shape[2] in (1, 2):
        pixels = pixels[..., 0]
    elif pixels.ndim == 3 and pixels.shape[2] in (3, 4):
        red, green, blue = (pixels[..., channel] for channel in range(3))
        if not (np.array_equal(red, green) and np.array_equal(red, blue)):
            raise ImageFileError(f"the image {path} is in colour; save it as 8- or 16-bit gray, without overlays")
        pixels = red
    if page.photometric == _MINISWHITE and pixels.dtype.kind == "u":
        pixels = np.invert(pixels)
    if pixels.ndim != 2:
        raise ImageFileError(
            f"the image {path} has pixels of shape {pixels.shape}; save it as one 8- or 16-bit gray image"
        )
    return pixels


def _read_thermofisher(texts: FileTexts) -> Origin | None:
    ini_text = texts.get(_FEI_HELIOS, _FEI_SFEG)
    metadata = parse_thermofisher(ini_text, texts.get(_FEI_XML))
    return Origin(metadata=metadata, row_count=image_rows(ini_text))


def _read_description(texts: FileTexts) -> Origin | None:
    metadata = parse_description(texts.get(_DESCRIPTION), texts.shape)
    return None if metadata is None else Origin(metadata=metadata)


_READERS: Final[tuple[tuple[int, Callable[[FileTexts], Origin | None]], ...]] = (
    (_DESCRIPTION, _read_description),
    (_FEI_HELIOS, _read_thermofisher),
    (_FEI_SFEG, _read_thermofisher),
    (_FEI_XML, _read_thermofisher),
)
"""Which reader understands which tag, in the order they are tried; another vendor is one more row."""


def _find_origin(texts: FileTexts) -> Origin:
    for tag, reader in _READERS:
        origin = reader(texts) if texts.by_tag.get(tag) else None
        if origin is not None:
            return origin
    extra = {"ImageDescription": texts.get(_DESCRIPTION)} if texts.get(_DESCRIPTION) else {}
    return Origin(metadata=ImageMetadata(extra=extra))
