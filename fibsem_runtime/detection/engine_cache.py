"""Where built TensorRT engines are kept: one folder for a model file, a GPU and a version of ONNX Runtime."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import onnxruntime

_QUERY: Final = ("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
_QUERY_TIMEOUT_S: Final = 10.0
_ENGINES: Final = "*.engine"


def engine_folder(cache: Path | None, model_sha256: str) -> Path:
    """Return the folder for engines of one model file on this computer's first GPU, in ``cache`` or the user's cache.

    An engine works only with the GPU, the driver and the TensorRT that built it; TensorRT itself is named by ONNX
    Runtime in the file's name.
    """
    return (cache or _user_cache()) / f"{model_sha256[:16]}-{gpu_identity()}-ort{onnxruntime.__version__}"


def gpu_identity() -> str:
    """Return name and driver of the first GPU as one word, ``unknown-gpu`` where nvidia-smi cannot tell."""
    try:
        answer = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_QUERY_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown-gpu"
    first = next(iter(answer.stdout.splitlines()), "")
    return re.sub(r"[^a-z0-9.]+", "-", first.lower()).strip("-") or "unknown-gpu"


def holds_engine(folder: Path) -> bool:
    """Tell whether an engine was built there before."""
    return any(folder.glob(_ENGINES))


def _user_cache() -> Path:
    """Return the platform's folder for what a program can make again."""
    stated = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return (Path(stated) if stated else Path.home() / ".cache") / "fibsem-runtime" / "engines"
