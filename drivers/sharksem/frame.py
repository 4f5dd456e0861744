"""Pixels from the chunks of the data channel (vendor-tescan.md B3)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from drivers.sharksem.wire import Body
from fibsem_runtime.core import Pixels
from fibsem_runtime.core.errors import ConnectionLostError


@dataclass(kw_only=True)
class FrameAssembler:
    """Collect the chunks of one channel of one frame.

    Chunks of other frames and channels are left alone. A chunk that is sent again begins before the end of what is
    there and replaces it; after a lost one the next begins too late and is ignored until the lost one comes again.
    """

    frame_id: int
    channel: int
    width_px: int
    height_px: int
    bit_depth: int
    _data: bytearray = field(default_factory=bytearray, init=False)

    @property
    def is_complete(self) -> bool:
        """Tell whether every pixel is there."""
        return len(self._data) == self._bytes_needed

    def add(self, body: bytes) -> None:
        """Take one ``ScData`` body; raise `ConnectionLostError` for one that cannot belong to the frame."""
        reader = Body(body)
        frame_id, channel = reader.read_unsigned(), reader.read_int()
        index, bits = reader.read_unsigned(), reader.read_int()
        data = reader.read_bytes()
        if frame_id != self.frame_id or channel != self.channel:
            return
        if bits != self.bit_depth:
            raise ConnectionLostError(f"asked for a frame of {self.bit_depth} bit, the instrument sends {bits} bit")
        start = index * (self.bit_depth // 8)
        if start > len(self._data):
            return
        if start + len(data) > self._bytes_needed:
            raise ConnectionLostError(
                f"the instrument sends {start + len(data)} bytes for a frame of {self._bytes_needed} bytes"
            )
        del self._data[start:]
        self._data += data

    def pixels(self) -> Pixels:
        """Return the frame: (height, width) uint8 or uint16."""
        shape = (self.height_px, self.width_px)
        if self.bit_depth == 8:
            return np.frombuffer(bytes(self._data), np.uint8).reshape(shape)
        return np.frombuffer(bytes(self._data), "<u2").astype(np.uint16).reshape(shape)

    @property
    def _bytes_needed(self) -> int:
        return self.width_px * self.height_px * self.bit_depth // 8
