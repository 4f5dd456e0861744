"""ONNX Runtime's execution providers: what is asked for, with which options, and what it takes to have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from fibsem_runtime.core.errors import ConfigError

Provider: TypeAlias = Literal["tensorrt", "cuda", "cpu"]
PROVIDERS: Final[tuple[Provider, ...]] = ("tensorrt", "cuda", "cpu")

_NAMES: Final[dict[Provider, str]] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}

_WARNING: Final = 2
_FATAL_ONLY: Final = 4

PROVIDER_FAILURES: Final = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
    ValueError,
)
"""What opening a session raises: ONNX Runtime's errors have no common root but `Exception`."""

_NEEDS: Final[dict[Provider, str]] = {
    "tensorrt": "install TensorRT 10 (libnvinfer), CUDA and cuDNN 9 for this onnxruntime-gpu",
    "cuda": "install an NVIDIA driver, CUDA and cuDNN 9 for this onnxruntime-gpu",
    "cpu": "install onnxruntime",
}
"""What a missing provider lacks (baselines.md, packages)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRequest:
    """The providers in the order they are wanted."""

    wanted: tuple[Provider, ...]
    allow_fallback: bool

    def __post_init__(self) -> None:
        if not self.wanted or len(set(self.wanted)) != len(self.wanted):
            raise ConfigError("detection needs at least one provider, each named once: tensorrt, cuda or cpu")


def candidates(request: ProviderRequest) -> list[Provider]:
    """Return the wanted providers that this build of ONNX Runtime knows, in order.

    Raises `ConfigError` when the first is unknown and falling back is not allowed, or when none is known.
    """
    known = available_providers()
    usable = [provider for provider in request.wanted if provider in known]
    if not usable or (usable[0] != request.wanted[0] and not request.allow_fallback):
        raise ConfigError(refusal(request.wanted[0], usable[0] if usable else None))
    return usable


def available_providers() -> list[Provider]:
    """Return the providers that this build of ONNX Runtime knows; whether one loads shows only when it is opened."""
    known = set(onnxruntime.get_available_providers())
    return [provider for provider, name in _NAMES.items() if name in known]


def session_arguments(provider: Provider, cache_folder: Path | None) -> list[tuple[str, dict[str, str]]]:
    """Return names and options as `onnxruntime.InferenceSession` takes them; CPU runs what the provider cannot."""
    first = (_NAMES[provider], _options(provider, cache_folder))
    return [first] if provider == "cpu" else [first, (_NAMES["cpu"], {})]


def open_quietly(
    path: Path, options: onnxruntime.SessionOptions, arguments: Sequence[tuple[str, dict[str, str]]]
) -> onnxruntime.InferenceSession:
    """Open a session without ONNX Runtime's fall-back and without its messages about missing libraries."""
    onnxruntime.set_default_logger_severity(_FATAL_ONLY)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(arguments), enable_fallback=0)
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)


def obtained(active: Sequence[str]) -> Provider:
    """Return our name of the provider that a session runs on, the first of ``session.get_providers()``."""
    return next(provider for provider, name in _NAMES.items() if name == active[0])


def refusal(wanted: Provider, found: Provider | None) -> str:
    """Say what was asked, what there is and what to do."""
    return (
        f"the model should run on {wanted}, this computer gives {found or 'none of the wanted providers'}; "
        f"{_NEEDS[wanted]}, or ask for another provider or allow_fallback in config.yaml"
    )


def _options(provider: Provider, cache_folder: Path | None) -> dict[str, str]:
    """Return options by the names of the ONNX Runtime documentation (TensorRT and CUDA execution providers).

    Both record the work of one image as a CUDA graph and replay it: hundreds of small launches become one.
    """
    if provider == "cuda":
        return {"cudnn_conv_algo_search": "HEURISTIC", "do_copy_in_default_stream": "1", "enable_cuda_graph": "1"}
    if provider == "tensorrt":
        options = {"trt_fp16_enable": "1", "trt_cuda_graph_enable": "1"}
        if cache_folder is not None:
            cache = str(cache_folder)
            options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": cache}
            options |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": cache}
        return options
    return {}
