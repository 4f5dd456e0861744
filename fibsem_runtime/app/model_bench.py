"""The command ``model bench``: where the time of one detection goes, and what memory it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import psutil
from pydantic import BaseModel, ConfigDict

from fibsem_runtime.app.instrument import open_configured_detector
from fibsem_runtime.app.model_images import drawn_frame
from fibsem_runtime.config import RuntimeConfig
from fibsem_runtime.core import Image
from fibsem_runtime.detection import Detection, Detector
from fibsem_runtime.imaging import read_image

WARM_COUNT: Final = 5
STAGES: Final = ("preprocess", "inference", "decode", "features")


class BenchResult(BaseModel):
    """The document that ``model bench --json`` prints.

    ``stages_ms`` are medians of each stage and need not add up to ``p50_ms``; ``rss_mb`` is the resident memory of the
    process after the runs.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    provider: str
    precision: str
    input: str
    image: str
    runs: int
    stages_ms: dict[str, float]
    p50_ms: float
    p95_ms: float
    rss_mb: float


def bench(config: RuntimeConfig, *, file: Path | None, run_count: int) -> BenchResult:
    """Time the configured model on an image file, or on a drawn frame of 1536 x 1024 when None."""
    name, image = (str(file), read_image(file)) if file else drawn_frame(1)
    cv2.setNumThreads(config.model.engine.thread_count)
    detector = open_configured_detector(config)
    return summarise(detector, name, image, time_detections(detector, image, run_count))


def time_detections(detector: Detector, image: Image, run_count: int) -> list[Detection]:
    """Return the detections of ``run_count`` runs after some that warm the caches."""
    runs = [detector.find(image, detector.features) for _ in range(WARM_COUNT + run_count)]
    return runs[WARM_COUNT:]


def summarise(detector: Detector, name: str, image: Image, runs: Sequence[Detection]) -> BenchResult:
    """Return medians and the 95th percentile of timed detections."""
    totals_ms = [run.latency_ms for run in runs]
    return BenchResult(
        model=detector.name,
        provider=detector.provider,
        precision=detector.precision,
        input=f"{image.shape[1]}x{image.shape[0]}",
        image=name,
        runs=len(runs),
        stages_ms={stage: _median([getattr(run.times, f"{stage}_ms") for run in runs]) for stage in STAGES},
        p50_ms=round(float(np.percentile(totals_ms, 50)), 2),
        p95_ms=round(float(np.percentile(totals_ms, 95)), 2),
        rss_mb=round(psutil.Process().memory_info().rss / 2**20, 1),
    )


def _median(values_ms: Sequence[float]) -> float:
    return round(float(np.median(values_ms)), 3)
