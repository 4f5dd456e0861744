"""The memory that a session reads and writes: bound once, reused for every image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Maps = Mapping[str, NDArray[np.uint8]]

INPUT: Final = "image"
OUTPUTS: Final = ("classes", "confidence")

_CUDA_PROVIDER: Final = "CUDAExecutionProvider"


class Buffers(Protocol):
    """Bound memory of one session."""

    pixels: NDArray[np.uint8]

    def run(self) -> Maps:
        """Run the session on ``pixels`` and return its outputs, valid until the next call."""
        ...


class HostBuffers:
    """Buffers in main memory: the CPU works in them, nothing is copied."""

    def __init__(self, session: onnxruntime.InferenceSession, shape: tuple[int, ...]) -> None:
        self.pixels = np.zeros(shape, np.uint8)
        self._session = session
        self._outputs = {name: np.zeros((1, *shape[2:]), np.uint8) for name in OUTPUTS}
        self._binding = session.io_binding()
        self._binding.bind_input(INPUT, "cpu", 0, np.uint8, self.pixels.shape, self.pixels.ctypes.data)
        for name, buffer in self._outputs.items():
            self._binding.bind_output(name, "cpu", 0, np.uint8, buffer.shape, buffer.ctypes.data)

    def run(self) -> Maps:
        """Run in place."""
        self._session.run_with_iobinding(self._binding)
        return self._outputs


class DeviceBuffers:
    """Buffers on the GPU at addresses that never change, which is what replaying a captured graph needs.

    Gray values are written into page-locked memory where the provider gives some, so that their copy is one transfer.
    """

    def __init__(self, session: onnxruntime.InferenceSession, shape: tuple[int, ...]) -> None:
        self._host = _page_locked(shape)
        self.pixels = np.zeros(shape, np.uint8) if self._host is None else self._host.numpy()
        self.pixels[...] = 0
        self._session = session
        self._input = onnxruntime.OrtValue.ortvalue_from_numpy(self.pixels, "cuda", 0)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(INPUT, self._input)
        self._outputs = {
            name: onnxruntime.OrtValue.ortvalue_from_shape_and_type((1, *shape[2:]), np.uint8, "cuda", 0)
            for name in OUTPUTS
        }
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def run(self) -> Maps:
        """Copy the pixels over, run, copy both maps back."""
        self._input.update_inplace(self.pixels)
        self._session.run_with_iobinding(self._binding)
        return {name: value.numpy() for name, value in self._outputs.items()}


def _page_locked(shape: tuple[int, ...]) -> onnxruntime.OrtValue | None:
    """Return page-locked memory of the first CUDA device, None where this ONNX Runtime names no such device."""
    for device in onnxruntime.get_ep_devices():
        if device.ep_name == _CUDA_PROVIDER:
            memory = device.memory_info(onnxruntime.OrtDeviceMemoryType.HOST_ACCESSIBLE)
            return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, memory_info=memory)
    return None
