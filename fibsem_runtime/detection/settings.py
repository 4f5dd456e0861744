"""How a model is run: the engine part of ``config.yaml``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fibsem_runtime.detection.origin import Precision
from fibsem_runtime.detection.providers import Provider


class EngineSettings(BaseModel):
    """What a model runs on.

    ``providers`` in the order they are wanted; anything but the first is an error unless ``allow_fallback``.
    ``engine_cache`` is where built TensorRT engines are kept between runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    precision: Precision | None = Field(default=None, description="None takes what suits the provider: int8 on a CPU")
    providers: tuple[Provider, ...] = Field(default=("cpu",), min_length=1)
    allow_fallback: bool = False
    thread_count: int = Field(default=2, ge=1, le=64)
    engine_cache: str | None = Field(default=None, description="None takes the user's cache folder")
