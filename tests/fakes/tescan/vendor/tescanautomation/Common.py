"""Fake of ``tescanautomation.Common``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Bpp(Enum):
    """Bits per pixel."""

    Grayscale_8_bit = 8
    Grayscale_16_bit = 16


@dataclass(frozen=True)
class Detector:
    """One detector of a column."""

    index: int
    name: str


@dataclass
class Document:
    """Pixels with a header: strings in SI, sections MAIN and SEM or FIB."""

    Image: Any
    Header: dict[str, dict[str, str]]
