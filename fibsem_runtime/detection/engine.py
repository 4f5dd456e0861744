"""One opened network: gray pixels in, class and confidence of every pixel out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
import structlog
from numpy.typing import NDArray

from fibsem_runtime.core.errors import ConfigError, ModelError
from fibsem_runtime.detection.manifest import Manifest
from fibsem_runtime.detection.providers import (
    PROVIDER_FAILURES,
    Provider,
    ProviderRequest,
    candidates,
    obtained,
    open_quietly,
    refusal,
    session_arguments,
)

_log = structlog.get_logger(__name__)

_INPUT: Final = "image"
_OUTPUTS: Final = ("classes", "confidence")
_FATAL_ONLY: Final = 4
"""What ONNX Runtime logs as an error we raise as one, so its own log is silenced."""


@dataclass(frozen=True, slots=True, eq=False)
class RawOutput:
    """Maps of the network's input size, valid until the next call.

    ``classes``: (height, width) uint8 class indices; ``confidence``: (height, width) uint8, share of the winning class
    in 1/255.
    """

    classes: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


class InferenceEngine:
    """Own a session with bound buffers; write into `input_pixels`, then `run`. Not to be shared between threads."""

    def __init__(self, path: Path, manifest: Manifest, request: ProviderRequest, *, thread_count: int) -> None:
        self._session = _open_session(path, request, thread_count)
        self.provider: Provider = obtained(self._session.get_providers())
        shape = (1, 1, manifest.input.height_px, manifest.input.width_px)
        _check_interface(self._session, path, shape)
        self._input = np.zeros(shape, np.uint8)
        self._outputs = {name: np.zeros((1, *shape[2:]), np.uint8) for name in _OUTPUTS}
        self._binding = self._bind()
        self._warm_up(manifest.name)

    @property
    def input_pixels(self) -> NDArray[np.uint8]:
        """Return the bound input, (height, width) uint8, to be written in place."""
        pixels: NDArray[np.uint8] = self._input[0, 0]
        return pixels

    def run(self) -> RawOutput:
        """Classify what stands in `input_pixels`."""
        self._session.run_with_iobinding(self._binding)
        return RawOutput(self._outputs["classes"][0], self._outputs["confidence"][0])

    def _bind(self) -> onnxruntime.IOBinding:
        """Give the session our buffers; on a GPU it copies from and to them, on the CPU it works in them."""
        binding = self._session.io_binding()
        binding.bind_input(_INPUT, "cpu", 0, np.uint8, self._input.shape, self._input.ctypes.data)
        for name, buffer in self._outputs.items():
            binding.bind_output(name, "cpu", 0, np.uint8, buffer.shape, buffer.ctypes.data)
        return binding

    def _warm_up(self, model: str) -> None:
        """Run once, so that memory is allocated and a TensorRT engine is built before anyone waits for an image."""
        started_s = time.perf_counter()
        self.run()
        _log.info("model_ready", model=model, provider=self.provider, warm_up_s=time.perf_counter() - started_s)


def _open_session(path: Path, request: ProviderRequest, thread_count: int) -> onnxruntime.InferenceSession:
    """Try the wanted providers one after the other; ONNX Runtime's own silent fall-back stays off."""
    failure = ""
    for provider in candidates(request):
        try:
            session = _try_provider(path, provider, request, thread_count)
        except PROVIDER_FAILURES as error:
            failure = _first_line(error)
        else:
            if obtained(session.get_providers()) == provider:
                return session
            failure = ""
        if provider != "cpu" and not request.allow_fallback:
            raise ConfigError(refusal(request.wanted[0], "cpu"))
        _log.warning("provider_unavailable", provider=provider, wanted=list(request.wanted))
    raise ModelError(f"{path} cannot be opened by ONNX Runtime: {failure or 'no wanted provider loads'}")


def _try_provider(
    path: Path, provider: Provider, request: ProviderRequest, thread_count: int
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # Between images the cores belong to the instrument's own software.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if request.cache_folder is not None and provider == "tensorrt":
        request.cache_folder.mkdir(parents=True, exist_ok=True)
    return open_quietly(path, options, session_arguments(provider, request.cache_folder))


def _check_interface(session: onnxruntime.InferenceSession, path: Path, shape: tuple[int, ...]) -> None:
    inputs = {item.name: (item.type, tuple(item.shape)) for item in session.get_inputs()}
    outputs = {item.name: (item.type, tuple(item.shape)) for item in session.get_outputs()}
    wanted_out = dict.fromkeys(_OUTPUTS, ("tensor(uint8)", (1, *shape[2:])))
    if inputs != {_INPUT: ("tensor(uint8)", shape)} or outputs != wanted_out:
        raise ModelError(
            f"{path} takes {inputs} and gives {outputs}; a model takes {_INPUT!r} uint8 {shape} and gives "
            f"{' and '.join(_OUTPUTS)} uint8 {(1, *shape[2:])}; export it again"
        )


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
