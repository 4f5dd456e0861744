"""What wrote a TIFF: the tags and the header beside the file decide which reader understands its metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fibsem_runtime.core import ImageMetadata
from fibsem_runtime.imaging import tescan, thermofisher
from fibsem_runtime.imaging.fibsemos import parse_description
from fibsem_runtime.imaging.texts import decode_text
from fibsem_runtime.imaging.zeiss import parse_zeiss

_DESCRIPTION: Final = 270
_CZ_SEM: Final = 34118
_CZ_SEM_UTF16: Final = 34119
_FEI_SFEG: Final = 34680
_FEI_HELIOS: Final = 34682
_FEI_XML: Final = 34683
_TESCAN: Final = 50431

TAGS: Final = (_DESCRIPTION, _CZ_SEM, _CZ_SEM_UTF16, _FEI_SFEG, _FEI_HELIOS, _FEI_XML, _TESCAN)
"""Codes of the tags that name a file's origin (vendor-image-metadata.md section 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTags:
    """Raw bytes of `TAGS` in the file ``path``; ``shape`` is that of the stored pixels."""

    path: Path
    shape: tuple[int, int]
    by_code: Mapping[int, bytes]

    def text(self, *codes: int) -> str:
        """Return the first text that is there, else an empty one."""
        return next((decode_text(self.by_code[code]) for code in codes if self.by_code.get(code)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a file says: metadata and how many rows from the top are image."""

    metadata: ImageMetadata
    row_count: int | None = None


def _read_description(tags: FileTags) -> Origin | None:
    metadata = parse_description(tags.text(_DESCRIPTION), tags.shape)
    return None if metadata is None else Origin(metadata=metadata)


def _read_thermofisher(tags: FileTags) -> Origin | None:
    ini_text, xml_text = tags.text(_FEI_HELIOS, _FEI_SFEG), tags.text(_FEI_XML)
    if not ini_text and not xml_text:
        return None
    metadata = thermofisher.parse_thermofisher(ini_text, xml_text)
    return Origin(metadata=metadata, row_count=thermofisher.image_rows(ini_text))


def _read_tescan(tags: FileTags) -> Origin | None:
    """Believe the tag, which cannot get separated from its image, before the header beside the file."""
    text = tescan.header_text(tags.by_code.get(_TESCAN, b"")) or tescan.read_side_car(tags.path)
    if not text:
        return None
    height_px, width_px = tags.shape
    return Origin(metadata=tescan.parse_tescan(text, width_px), row_count=tescan.image_rows(text, height_px))


def _read_zeiss(tags: FileTags) -> Origin | None:
    text = tags.text(_CZ_SEM, _CZ_SEM_UTF16)
    return Origin(metadata=parse_zeiss(text, tags.shape[1])) if text else None


_READERS: Final[tuple[Callable[[FileTags], Origin | None], ...]] = (
    _read_description,
    _read_thermofisher,
    _read_zeiss,
    _read_tescan,
)
"""In the order they are tried; another vendor is one more function. Each returns None for a file of others."""


def find_origin(tags: FileTags) -> Origin:
    """Return what the first reader that understands the file found; else only its description, kept as it is."""
    for reader in _READERS:
        origin = reader(tags)
        if origin is not None:
            return origin
    description = tags.text(_DESCRIPTION)
    return Origin(metadata=ImageMetadata(extra={"ImageDescription": description} if description else {}))
