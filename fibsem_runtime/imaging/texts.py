"""Texts, numbers and quantities in the files of others: tolerant of spelling, strict about what is a number.

Vendors write latin-1, UTF-8 or UTF-16, with NULs and any line ends, numbers with three-digit exponents or decimal
commas, and units with any prefix (vendor-image-metadata.md sections 2, 4 and 5). What is not clearly a number in the
expected unit is None, never a guess.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d{1,3})?"
_QUANTITY: Final = re.compile(rf"({_NUMBER})\s*(\S*)", re.ASCII)
_MAX_LENGTH: Final = 64
"""Characters of a quantity; longer ones are no quantities."""

_PREFIXES: Final = {
    **{"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3, "c": 1e-2},
    **{"": 1.0, "k": 1e3, "M": 1e6},
}
_ANY_CASE: Final = ("p", "n", "u", "k")
"""Prefixes that capital letters do not make ambiguous; M would be milli or mega."""

_SMALLEST_PIXEL_M: Final = 1e-12
_LARGEST_PIXEL_M: Final = 1e-3
_SQUARE_RATIO: Final = 0.01

_DEGREES: Final = ("deg", "degree", "degrees", "°", "º")

_MOJIBAKE: Final = {"Âµ": "µ", "Â°": "°", "Âº": "°", "Î¼": "µ", "μ": "µ", "−": "-", "\u00a0": " "}
"""UTF-8 that was read as latin-1 on its way, and characters that look alike."""


def decode_text(raw: bytes) -> str:
    """Return the text of a tag or file: UTF-16 when it looks so, else UTF-8, else latin-1; without NULs at its end."""
    codec = _utf16_codec(raw)
    if codec:
        return raw[: len(raw) // 2 * 2].decode(codec, errors="replace").strip("\ufeff").rstrip("\0 ")
    raw = raw.rstrip(b"\0 ").removeprefix(b"\xef\xbb\xbf")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _utf16_codec(raw: bytes) -> str:
    """Return the codec that a mark or the place of the NULs in Latin text shows, or an empty text."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    start = raw[:400].rstrip(b"\0") + b"\0"
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if len(start) < 8 or max(even, odd) < 0.4 * len(start) or min(even, odd) > 0.1 * len(start):
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def plain(text: str) -> str:
    """Return ``text`` with one spelling of micro, degree, minus and space."""
    for found, meant in _MOJIBAKE.items():
        text = text.replace(found, meant)
    return text.replace("\0", "").strip()


def split_quantity(text: str) -> tuple[float, str] | None:
    """Return the number at the start of ``text`` and the word after it; None when there is no finite number.

    One comma is a decimal comma, because these files group no thousands. ``188 X`` and ``14.6 K X`` are no quantities
    of ours, but read as 188 with unit ``X`` and 14.6 with ``K``: ask for the unit that you expect.
    """
    match = _QUANTITY.match(plain(text[:_MAX_LENGTH]))
    if match is None or len(text) > _MAX_LENGTH:
        return None
    digits, unit = match.groups()
    value = float(digits.replace(",", "."))
    return (value, unit) if math.isfinite(value) else None


def parse_number(text: str) -> float | None:
    """Return a bare number; None for anything else, also for a number with a unit."""
    found = split_quantity(text)
    return found[0] if found is not None and not found[1] else None


def parse_quantity(text: str, unit: str, *, bare: bool = False) -> float | None:
    """Return the quantity in the SI unit ``unit`` (``m``, ``A``, ``V``, ``s``) or in ``%``, written with any prefix.

    A number without a unit counts only when ``bare`` says that the format's numbers are SI.
    """
    found = split_quantity(text)
    if found is None:
        return None
    value, written = found
    if not written:
        return value if bare else None
    scale = _prefix_scale(written, unit)
    return None if scale is None else value * scale


def _prefix_scale(written: str, unit: str) -> float | None:
    """Return what the prefix of ``written`` multiplies with; None for another unit, or when capitals hide milli."""
    prefix, rest = written[: -len(unit)], written[-len(unit) :]
    if rest.casefold() != unit.casefold() or (unit == "%" and prefix):
        return None
    if rest != unit and prefix in ("m", "M"):
        return None
    return _PREFIXES.get(prefix.lower() if prefix.lower() in _ANY_CASE else prefix)


def parse_angle_rad(text: str, *, bare_deg: bool = False) -> float | None:
    """Return an angle in radians; a number without a unit counts as degrees only when ``bare_deg`` says so."""
    found = split_quantity(text)
    if found is None:
        return None
    value, written = found
    if written.lower() in _DEGREES or (bare_deg and not written):
        return math.radians(value)
    return value if written.lower() == "rad" else None


def square_pixel_m(width_m: float | None, height_m: float | None) -> float | None:
    """Return the width of a pixel that can be one; None when the height is stated and differs by more than a percent.

    An image has one pixel size here, so that stretched pixels have none. The range is assumed: 1 pm is far below the
    finest scan, 1 mm above the overview cameras (their whole chamber is some 100 mm on 1000 pixels).
    """
    if width_m is None or not _SMALLEST_PIXEL_M <= width_m <= _LARGEST_PIXEL_M:
        return None
    is_square = height_m is None or abs(height_m - width_m) <= _SQUARE_RATIO * width_m
    return width_m if is_square else None


@dataclass(frozen=True, slots=True)
class IniText:
    """Sections of ``key=value`` lines; names in any case, an empty value counts as a missing one."""

    sections: Mapping[str, Mapping[str, str]]

    def __contains__(self, section: str) -> bool:
        """Tell whether the section has any value."""
        return bool(self.sections.get(section.casefold()))

    def text(self, section: str, *keys: str) -> str:
        """Return the first value that is there, else an empty text."""
        values = self.sections.get(section.casefold(), {})
        return next((values[key.casefold()] for key in keys if values.get(key.casefold())), "")

    def number(self, section: str, *keys: str) -> float | None:
        """Return the first of the values that is a bare number."""
        numbers = (parse_number(self.text(section, key)) for key in keys)
        return next((number for number in numbers if number is not None), None)

    def si(self, unit: str, section: str, *keys: str) -> float | None:
        """Return the first of the values that is a number: without a unit it is SI, else ``unit`` with any prefix."""
        numbers = (parse_quantity(self.text(section, key), unit, bare=True) for key in keys)
        return next((number for number in numbers if number is not None), None)


def parse_ini(text: str) -> IniText:
    """Split the text into sections; of duplicate keys the first non-empty value counts, other lines are skipped."""
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for raw_line in text.replace("\0", "").splitlines():
        line = raw_line.strip()
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1].strip().casefold(), {})
        elif "=" in line:
            key, value = (part.strip() for part in line.split("=", 1))
            current[key.casefold()] = current.get(key.casefold()) or value
    return IniText(sections)
