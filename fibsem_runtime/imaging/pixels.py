"""Pixels of a TIFF page or a PNG as they are shown, compressed or not, and as gray levels where they are grays."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from fibsem_runtime.core.errors import ImageFileError

MAX_PIXEL_COUNT: Final = 2**28
"""Largest image that is read, 16384 x 16384; the largest frame of a FIB-SEM is 6144 x 4096, mosaics are smaller."""

_MINISWHITE: Final = 0
_PALETTE: Final = 3
_BY_TIFFFILE: Final = (1, 8, 32773, 32946)
"""Compressions that tifffile decodes by itself: none, deflate under both of its codes, PackBits."""

_BY_OPENCV: Final = (5, 7)
"""LZW, which OpenCV writes unless it is told otherwise, and JPEG: decoded by OpenCV's libtiff."""

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PNG_SIZE: Final = struct.Struct(">16xII")
"""Width and height in the header chunk, which is the first of every PNG (ISO/IEC 15948 section 11.2.2)."""


def read_png(path: Path) -> NDArray[Any]:
    """Return the pixels of a PNG, (height, width) or with channels last.

    Raises `ImageFileError` for one that is damaged (its checksums tell) or larger than `MAX_PIXEL_COUNT`.
    """
    content = path.read_bytes()
    width_px, height_px = _PNG_SIZE.unpack_from(content) if len(content) >= _PNG_SIZE.size else (0, 0)
    _refuse_large(path, width_px, height_px)
    pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ImageFileError(f"cannot read the image {path}: the PNG is damaged or cut off; copy it again")
    return pixels


def read_tiff(path: Path, tif: tifffile.TiffFile) -> NDArray[Any]:
    """Return the pixels of the only image in the file, (height, width) or with channels last; black is 0.

    Raises `ImageFileError` for several images, missing pixels, more than `MAX_PIXEL_COUNT` of them and an unknown
    compression.
    """
    page = _single_page(path, tif)
    if page.compression in _BY_OPENCV:
        return _decode_with_opencv(path, tif)
    if page.compression not in _BY_TIFFFILE:
        name = getattr(page.compression, "name", page.compression)
        raise ImageFileError(f"the image {path} is compressed with {name}; save it without compression")
    pixels: NDArray[Any] = page.asarray()
    if pixels.ndim not in (2, 3):
        raise _no_picture(path, pixels)
    if page.photometric == _PALETTE and pixels.ndim == 2:
        return _shown_colours(path, page, pixels)
    if page.axes.startswith("S"):
        return np.moveaxis(pixels, 0, -1)
    return np.invert(pixels) if page.photometric == _MINISWHITE and pixels.dtype.kind == "u" else pixels


def _single_page(path: Path, tif: tifffile.TiffFile) -> tifffile.TiffPage:
    """Return the only full page after checking that all of its pixels are in the file."""
    page = tif.pages.first
    others = [p for p in tif.pages[1:] if p.shape[:2] == page.shape[:2]]
    if others:
        raise ImageFileError(f"the file {path} holds {1 + len(others)} images; split the stack into single images")
    _refuse_large(path, page.imagewidth, page.imagelength)
    if page.size > MAX_PIXEL_COUNT * 4:
        raise ImageFileError(f"the image {path} has {page.samplesperpixel} channels; save it as 8- or 16-bit gray")
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or 0 in page.dataoffsets or 0 in page.databytecounts or max(ends) > tif.filehandle.size:
        raise ImageFileError(
            f"the image {path} is cut off: it should be {max(ends, default=0)} bytes long and is "
            f"{tif.filehandle.size}; copy it again"
        )
    segments = math.prod(page.chunked)
    if len(ends) < segments and not page.is_contiguous:
        raise ImageFileError(f"the image {path} has {len(ends)} of its {segments} strips or tiles; copy it again")
    return page


def _refuse_large(path: Path, width_px: int, height_px: int) -> None:
    if width_px * height_px > MAX_PIXEL_COUNT:
        raise ImageFileError(
            f"the image {path} has {width_px} x {height_px} pixels, the limit is {MAX_PIXEL_COUNT}; crop it or read a "
            "part of it with another program"
        )


def _decode_with_opencv(path: Path, tif: tifffile.TiffFile) -> NDArray[Any]:
    """Return the pixels of the first page as they are shown: colour tables applied, black is 0.

    These compressions have no checksum: damage within them shows in the picture, as it does without compression.
    """
    tif.filehandle.seek(0)
    content = np.frombuffer(tif.filehandle.read(), np.uint8)
    pixels: NDArray[Any] | None = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ImageFileError(f"cannot read the image {path}: its compressed pixels are damaged; copy it again")
    return pixels


def _shown_colours(path: Path, page: tifffile.TiffPage, pixels: NDArray[Any]) -> NDArray[Any]:
    """Return (height, width, 3) from indices; Zeiss writes its gray images with a colour table of grays.

    Entries have 16 bits by the standard; where none is above 255 they are taken as 8 bits, as libtiff does.
    """
    table = page.colormap
    if table is None or table.ndim != 2 or table.shape[0] != 3 or int(pixels.max(initial=0)) >= table.shape[1]:
        raise ImageFileError(f"the image {path} lacks a part of its colour table; save it as 8- or 16-bit gray")
    if pixels.dtype == np.uint8:
        table = (table if int(table.max()) < 256 else table >> 8).astype(np.uint8)
    return np.moveaxis(table[:, pixels], 0, -1)


def to_gray(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    """Return (height, width) pixels; an alpha channel is dropped.

    Raises `ImageFileError` for colours that are no grays and for what is no picture.
    """
    if pixels.ndim == 3 and pixels.shape[2] in (1, 2):
        return pixels[..., 0]
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4):
        red, green, blue = (pixels[..., channel] for channel in range(3))
        if not (np.array_equal(red, green) and np.array_equal(red, blue)):
            raise ImageFileError(f"the image {path} is in colour; save it as 8- or 16-bit gray, without overlays")
        return red
    if pixels.ndim != 2:
        raise _no_picture(path, pixels)
    return pixels


def _no_picture(path: Path, pixels: NDArray[Any]) -> ImageFileError:
    return ImageFileError(
        f"the image {path} has pixels of shape {pixels.shape}; save it as one 8- or 16-bit gray image"
    )
