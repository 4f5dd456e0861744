"""One opened network: gray pixels in, class and confidence of every pixel out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
import structlog
from numpy.typing import NDArray

from fibsem_runtime.core.errors import ConfigError, ModelError
from fibsem_runtime.detection.buffers import INPUT, OUTPUTS, Buffers, DeviceBuffers, HostBuffers
from fibsem_runtime.detection.engine_cache import holds_engine
from fibsem_runtime.detection.manifest import Manifest
from fibsem_runtime.detection.origin import Precision
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFile:
    """The file that one provider opens; ``cache_folder`` is where TensorRT keeps what it builds of it."""

    path: Path
    precision: Precision
    sha256: str
    cache_folder: Path | None = None


class InferenceEngine:
    """Own a session with bound buffers; write into `input_pixels`, then `run`. Not to be shared between threads.

    ``file_for`` says which file a provider opens, so that a provider that is fallen back on gets its own.
    """

    def __init__(
        self, file_for: Callable[[Provider], EngineFile], manifest: Manifest, request: ProviderRequest, *, threads: int
    ) -> None:
        self._session, self.file = _open_session(file_for, request, threads)
        self.provider: Provider = obtained(self._session.get_providers())
        shape = (1, 1, manifest.input.height_px, manifest.input.width_px)
        _check_interface(self._session, self.file.path, shape)
        kind = HostBuffers if self.provider == "cpu" else DeviceBuffers
        self._buffers: Buffers = kind(self._session, shape)
        self._warm_up(manifest.name)

    @property
    def input_pixels(self) -> NDArray[np.uint8]:
        """Return the bound input, (height, width) uint8, to be written in place."""
        pixels: NDArray[np.uint8] = self._buffers.pixels[0, 0]
        return pixels

    def run(self) -> RawOutput:
        """Classify what stands in `input_pixels`."""
        maps = self._buffers.run()
        return RawOutput(maps["classes"][0], maps["confidence"][0])

    def _warm_up(self, model: str) -> None:
        """Run until memory is allocated, an engine is built and a CUDA graph is captured, before an image waits for it.

        On a GPU, ONNX Runtime captures in the first run and replays from the second on.
        """
        started_s = time.perf_counter()
        for _ in range(1 if self.provider == "cpu" else 2):
            self.run()
        _log.info(
            "model_ready",
            model=model,
            provider=self.provider,
            precision=self.file.precision,
            warm_up_s=time.perf_counter() - started_s,
        )


def _open_session(
    file_for: Callable[[Provider], EngineFile], request: ProviderRequest, threads: int
) -> tuple[onnxruntime.InferenceSession, EngineFile]:
    """Try the wanted providers one after the other; ONNX Runtime's own silent fall-back stays off."""
    failure = ""
    for provider in candidates(request):
        file = file_for(provider)
        try:
            session = _try_provider(file, provider, threads)
        except PROVIDER_FAILURES as error:
            failure = _first_line(error)
        else:
            if obtained(session.get_providers()) == provider:
                return session, file
            failure = ""
        if provider != "cpu" and not request.allow_fallback:
            raise ConfigError(refusal(request.wanted[0], "cpu"))
        _log.warning("provider_unavailable", provider=provider, wanted=list(request.wanted))
    raise ModelError(f"{file.path} cannot be opened by ONNX Runtime: {failure or 'no wanted provider loads'}")


def _try_provider(file: EngineFile, provider: Provider, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # Threads wait for each other awake within an image; between images the cores belong to the instrument's software.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if file.cache_folder is not None:
        file.cache_folder.mkdir(parents=True, exist_ok=True)
        if not holds_engine(file.cache_folder):
            _log.warning("building_engine", model=str(file.path), folder=str(file.cache_folder), takes="minutes, once")
    return open_quietly(file.path, options, session_arguments(provider, file.cache_folder))


def _check_interface(session: onnxruntime.InferenceSession, path: Path, shape: tuple[int, ...]) -> None:
    inputs = {item.name: (item.type, tuple(item.shape)) for item in session.get_inputs()}
    outputs = {item.name: (item.type, tuple(item.shape)) for item in session.get_outputs()}
    wanted_out = dict.fromkeys(OUTPUTS, ("tensor(uint8)", (1, *shape[2:])))
    if inputs != {INPUT: ("tensor(uint8)", shape)} or outputs != wanted_out:
        raise ModelError(
            f"{path} takes {inputs} and gives {outputs}; a model takes {INPUT!r} uint8 {shape} and gives "
            f"{' and '.join(OUTPUTS)} uint8 {(1, *shape[2:])}; export it again"
        )


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
