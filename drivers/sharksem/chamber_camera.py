"""The camera in the chamber: its pictures come over the data channel (vendor-tescan.md B3, B4)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from drivers.sharksem.connection import SharkConnection
from drivers.sharksem.wire import Body
from fibsem_runtime.core import CancelToken, Clock, Image, ImageMetadata, InstrumentInfo, Pixels
from fibsem_runtime.core.errors import ConnectionLostError

_CHANNEL: Final = 0
_ZOOM: Final = 1.0
_FRAMES_PER_S: Final = 1.0
_UNCOMPRESSED: Final = 0
_DATA: Final = "CameraData"
_LARGEST_PICTURE_PX: Final = 1 << 24
_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class SharkChamberCamera:
    """Pictures of the chamber; they belong to no column and have no scale."""

    connection: SharkConnection
    clock: Clock
    info: InstrumentInfo

    def acquire(self, *, cancel: CancelToken) -> Image:
        """Switch the camera on, take the next picture and switch it off, on every exit."""
        cancel.raise_if_cancelled()
        with self.connection.lock:
            self.connection.tell("CameraEnable", _CHANNEL, _ZOOM, _FRAMES_PER_S, _UNCOMPRESSED)
            try:
                pixels = self._next_picture(cancel)
            finally:
                self.connection.tell("CameraDisable")
        return Image(pixels, ImageMetadata(acquired_at=self.clock.now(), instrument=self.info))

    def _next_picture(self, cancel: CancelToken) -> Pixels:
        deadline_s = time.monotonic() + self.connection.call_timeout_s
        while time.monotonic() < deadline_s:
            cancel.raise_if_cancelled()
            message = self.connection.next_data(_POLL_S)
            if message is not None and message[0].name == _DATA:
                return decode_picture(message[1])
        raise ConnectionLostError("the chamber camera sent no picture; look at its window in Essence")


def decode_picture(body: bytes) -> Pixels:
    """Return the pixels of one ``CameraData`` body; raise `ConnectionLostError` when its numbers do not agree."""
    reader = Body(body)
    _, bits, width_px, height_px = (reader.read_int() for _ in range(4))
    data = reader.read_bytes()
    fits = 0 < width_px and 0 < height_px and width_px * height_px <= _LARGEST_PICTURE_PX
    if bits != 8 or not fits or len(data) != width_px * height_px:
        raise ConnectionLostError(
            f"the SharkSEM stream is out of step: a picture of {width_px} x {height_px} px and {bits} bit in "
            f"{len(data)} bytes"
        )
    return np.frombuffer(data, np.uint8).reshape(height_px, width_px)
