"""The SharkSEM wire format: a 32-byte header and a body of 4-byte aligned values (vendor-tescan.md B2).

Header: name (16 bytes, NUL padded), body size u32, message id u32, flags u16, queue u16, reserved u32, little-endian.
A decoder never believes a length: everything that does not fit raises `ConnectionLostError`, because a stream that is
out of step stays out of step.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from fibsem_runtime.core.errors import ConnectionLostError

HEADER: Final = struct.Struct("<16sIIHHI")
NAME_LENGTH: Final = 15
"""Characters of a name; the sixteenth byte is NUL."""

SEND_RESPONSE: Final = 0x0001
MAX_BODY_BYTES: Final = 2 * 8192 * 8192 + 1024
"""Largest body: a 16-bit frame of the largest field, 8192 x 8192 (B4), with its header values."""

Argument: TypeAlias = int | float | str
"""Int or Unsigned, Float, String."""

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|[+-]?nan", re.ASCII | re.IGNORECASE)
_NAME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9]{0,14}\0+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands before a body."""

    name: str
    body_size: int
    message_id: int = 0
    flags: int = 0


def encode_message(name: str, arguments: Sequence[Argument] = (), *, message_id: int = 0, flags: int = 0) -> bytes:
    """Return a whole message; a name longer than 15 characters is a mistake of the caller."""
    encoded = name.encode("ascii")
    if not 0 < len(encoded) <= NAME_LENGTH:
        raise ValueError(f"a SharkSEM function name has 1 to {NAME_LENGTH} characters, got {name!r}")
    body = b"".join(encode_argument(argument) for argument in arguments)
    return HEADER.pack(encoded, len(body), message_id, flags, 0, 0) + body


def encode_argument(argument: Argument) -> bytes:
    """Return one value: 4 bytes for integers, text for floats and strings."""
    if isinstance(argument, int):
        return struct.pack("<i" if argument < 0 else "<I", argument)
    if isinstance(argument, float):
        return encode_text(f"{argument:.12g}")
    return encode_text(argument)


def encode_text(text: str) -> bytes:
    """Return length and characters with at least one NUL, padded to 4; the length counts the padding (as SSP does)."""
    data = text.encode("utf-8") + b"\0"
    data += b"\0" * (-len(data) % 4)
    return struct.pack("<I", len(data)) + data


def decode_header(data: bytes) -> Header:
    """Return the header in 32 bytes; raise `ConnectionLostError` when they cannot be one."""
    if len(data) != HEADER.size:
        raise ConnectionLostError(f"a SharkSEM header has {HEADER.size} bytes, got {len(data)}")
    raw_name, body_size, message_id, flags, _, _ = HEADER.unpack(data)
    if _NAME.fullmatch(raw_name) is None:
        raise ConnectionLostError(f"the SharkSEM stream is out of step: {raw_name!r} is no function name")
    if body_size > MAX_BODY_BYTES:
        raise ConnectionLostError(
            f"the SharkSEM stream is out of step: a body of {body_size} bytes, at most are {MAX_BODY_BYTES}"
        )
    return Header(name=raw_name.rstrip(b"\0").decode("ascii"), body_size=body_size, message_id=message_id, flags=flags)


class Body:
    """Read the values of a body one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        """Tell whether everything was read."""
        return self._at >= len(self._data)

    def read_int(self) -> int:
        """Return a signed integer."""
        return int(struct.unpack("<i", self._take(4))[0])

    def read_unsigned(self) -> int:
        """Return an unsigned integer."""
        return int(struct.unpack("<I", self._take(4))[0])

    def read_bytes(self) -> bytes:
        """Return an array: its length, its bytes and padding to 4, which the last value of a body may lack."""
        length = self.read_unsigned()
        data = self._take(length)
        self._at = min(len(self._data), self._at + (-length % 4))
        return data

    def read_text(self) -> str:
        """Return a string up to its first NUL; both styles of length are read alike."""
        data = self.read_bytes().split(b"\0", 1)[0]
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ConnectionLostError(f"the SharkSEM stream is out of step: {data[:40]!r} is no text") from error

    def read_float(self) -> float:
        """Return a number that is written as text; NaN is one, infinity is not."""
        text = self.read_text().strip()
        value = float(text) if _NUMBER.fullmatch(text) else math.inf
        if math.isinf(value):
            raise ConnectionLostError(f"the SharkSEM stream is out of step: {text[:40]!r} is no number")
        return value

    def read(self, kinds: str) -> list[Argument]:
        """Return one value a letter of ``kinds``: I int, U unsigned, F float, S string."""
        readers: dict[str, Callable[[], Argument]] = {
            "I": self.read_int,
            "U": self.read_unsigned,
            "F": self.read_float,
            "S": self.read_text,
        }
        return [readers[kind]() for kind in kinds]

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise ConnectionLostError(
                f"the SharkSEM stream is out of step: {count} bytes were announced, "
                f"{len(self._data) - self._at} are left"
            )
        data, self._at = self._data[self._at : end], end
        return data


def parse_property_map(text: str) -> dict[str, dict[str, str]]:
    """Return ``{"det.0": {"name": "SE", ...}}`` from lines ``prefix.N.key=value``; other lines are left out."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        path, equals, value = line.partition("=")
        entry, dot, key = path.strip().rpartition(".")
        if equals and dot and re.fullmatch(r"[A-Za-z]+\.\d+", entry):
            found.setdefault(entry, {})[key] = value.strip()
    return found


def leading_version(text: str) -> tuple[int, ...]:
    """Return the digits at the start of a version, without the junk that old servers append."""
    match = re.match(r"\d+(\.\d+)*", text, re.ASCII)
    return tuple(int(part[:9]) for part in match.group().split(".")) if match else ()
