"""The wire format once more, written from vendor-tescan.md B2 without the driver's code."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESPOND = 0x0001


@dataclass(frozen=True)
class Request:
    """One message as it came in."""

    name: str
    message_id: int
    flags: int
    body: bytes


def receive(sock: socket.socket) -> Request | None:
    """Read one message, or None when the client has gone."""
    head = _exactly(sock, 32)
    if head is None:
        return None
    name, size, message_id, flags, _, _ = struct.unpack("<16sIIHHI", head)
    assert name.endswith(b"\0"), f"name {name!r} leaves no room for its NUL"
    body = _exactly(sock, size)
    return None if body is None else Request(name.rstrip(b"\0").decode("ascii"), message_id, flags, body)


def _exactly(sock: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        try:
            part = sock.recv(count - len(data))
        except OSError:
            return None
        if not part:
            return None
        data += part
    return data


def arguments(body: bytes, kinds: str) -> list[Any]:
    """Return the arguments of a body; trailing ones may be missing."""
    values: list[Any] = []
    at = 0
    for kind in kinds:
        if at >= len(body):
            break
        if kind in "IU":
            values.append(struct.unpack_from("<i" if kind == "I" else "<I", body, at)[0])
            at += 4
            continue
        (length,) = struct.unpack_from("<I", body, at)
        raw = body[at + 4 : at + 4 + length]
        assert b"\0" in raw, f"text {raw!r} has no NUL"
        text = raw.split(b"\0")[0].decode()
        values.append(float(text) if kind == "F" else text)
        at += 4 + length + (-length % 4)
    assert at == len(body), f"{len(body) - at} bytes more than the arguments {kinds}"
    return values


def message(name: str, body: bytes, message_id: int = 0) -> bytes:
    """Return a message to the client."""
    return struct.pack("<16sIIHHI", name.encode().ljust(16, b"\0"), len(body), message_id, 0, 0, 0) + body


def values(items: tuple[Any, ...], *, padded: bool) -> bytes:
    """Return a reply's body; ``padded`` says whether the length of a text counts its padding (K5)."""
    body = b""
    for item in items:
        if isinstance(item, int):
            body += struct.pack("<i", item)
            continue
        raw = (f"{item:.12g}" if isinstance(item, float) else item).encode() + b"\0"
        full = raw + b"\0" * (-len(raw) % 4)
        body += struct.pack("<I", len(full) if padded else len(raw)) + full
    return body


def chunk(name: str, frame_id: int, channel: int, index: int, bits: int, data: bytes) -> bytes:
    """Return one message of the data channel."""
    body = struct.pack("<IiIiI", frame_id, channel, index, bits, len(data)) + data + b"\0" * (-len(data) % 4)
    return message(name, body)


def picture(pixels: NDArray[np.uint8]) -> bytes:
    """Return one ``CameraData`` message."""
    height, width = pixels.shape
    data = pixels.tobytes()
    return message(
        "CameraData", struct.pack("<iiiiI", 0, 8, width, height, len(data)) + data + b"\0" * (-len(data) % 4)
    )
