"""Time one detection stage by stage, and all features on a full-size class map.

    python benchmarks/detection.py [--model models/lamella-lite0] [--image FILE] [--precision fp32|int8] [--json FILE]

What ``fibsem-runtime model bench`` prints, and beside it the features at full size; --json writes it to a file.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from fibsem_runtime.app.model_bench import summarise, time_detections
from fibsem_runtime.core import Image, ImageMetadata, PixelPoint
from fibsem_runtime.detection import FEATURES, Detection, Detector, EngineSettings, Segmentation, open_detector
from fibsem_runtime.detection.finder import Finder
from fibsem_runtime.imaging import read_image

ROOT = Path(__file__).resolve().parent.parent


def example() -> tuple[str, Image]:
    """Return name and image of the usual size: the first test image where the data are, else noise."""
    data = Path(os.environ.get("FIBSEM_DATA", ROOT.parent / "shared" / "data"))
    for path in sorted((data / "autoliftout" / "test").glob("liftout*.tif")):
        return path.name, read_image(path)
    noise = np.random.default_rng(1).integers(0, 255, (1024, 1536)).astype(np.uint8)
    return "noise", Image(noise, ImageMetadata())


def time_features(detection: Detection, classes: Sequence[str], features: Sequence[str], count: int) -> list[float]:
    """Return the milliseconds for all features on the class map at the size of the image."""
    height_px, width_px = detection.class_map.shape
    confidence = np.full((height_px, width_px), 240, np.uint8)
    times_ms = []
    for _ in range(count):
        maps = Segmentation(classes=detection.class_map, confidence=confidence)
        started_s = time.perf_counter()
        near = PixelPoint(width_px / 2, height_px / 2)
        finder = Finder(segmentation=maps, classes=classes, pixel_size_m=None, near=near)
        for name in features:
            finder.find(FEATURES[name])
        times_ms.append(1e3 * (time.perf_counter() - started_s))
    return times_ms


def summarise_all(
    detector: Detector, name: str, image: Image, runs: list[Detection], features_ms: list[float]
) -> dict[str, Any]:
    """Return what ``model bench`` prints, and beside it the features at full size and what else the computer did."""
    return summarise(detector, name, image, runs).model_dump() | {
        "sha256": detector.model_sha256,
        "least_ms": round(min(run.latency_ms for run in runs), 2),
        "features_full_size_p50_ms": round(float(np.median(features_ms)), 2),
        "feature_count": len(detector.features),
        "load": [round(value, 1) for value in psutil.getloadavg()],
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "lamella-lite0")
    parser.add_argument("--image", type=Path)
    parser.add_argument("--precision", choices=["fp32", "int8", "fp16"])
    parser.add_argument("--provider", choices=["cpu", "cuda", "tensorrt"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--json", type=Path, help="file to write")
    arguments = parser.parse_args()
    cv2.setNumThreads(arguments.threads)
    engine = EngineSettings(
        precision=arguments.precision, providers=(arguments.provider,), thread_count=arguments.threads
    )
    detector = open_detector(arguments.model, engine)
    name, image = (arguments.image.name, read_image(arguments.image)) if arguments.image else example()
    runs = time_detections(detector, image, arguments.runs)
    features_ms = time_features(runs[0], detector.manifest.classes, detector.features, arguments.runs)
    result = summarise_all(detector, name, image, runs, features_ms)
    for key, value in result.items():
        print(f"{key:28} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
