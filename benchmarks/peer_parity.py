"""Compare one checkpoint in the peer's format here and there, in one run on the same cores.

    python benchmarks/peer_parity.py CHECKPOINT.pt MODEL_FOLDER IMAGE.tif [--peer PYTHON] [--runs 3] [--json FILE]

MODEL_FOLDER is what ``fibsem-runtime model import`` and ``model optimise`` made of the checkpoint; the image is of the
network's size, so that both see the same pixels. With --peer (a Python with fibsem 0.5.3, segmentation-models-pytorch
and what it imports) the peer's own ``detect_features`` runs with NeedleTip, LamellaCentre and LandingPost; without,
only PyTorch's network, softmax and argmax as the peer calls them. Ours is timed before and after; the slower counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from fibsem_runtime.core import Image
from fibsem_runtime.detection import EngineSettings, open_detector
from fibsem_runtime.imaging import read_image
from fibsem_runtime.learning.checkpoint import read_checkpoint

FEATURES = ("NeedleTip", "LamellaCentre", "LandingPost")
WANTED_SPEED_UP = {"fp32": 2.5, "int8": 8.0}
WANTED_AGREEMENT = {"fp32": 0.9999, "int8": 0.99}


def time_torch(checkpoint: Path, image: Image, runs: int, threads: int) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Return the mask and times of preprocess, network, softmax and argmax in PyTorch."""
    torch.set_num_threads(threads)
    read = read_checkpoint(checkpoint)
    divisor = 255.0 if read.scaling == "unit" else 1.0
    times_ms, mask = [], None
    for _ in range(runs + 1):
        started_s = time.perf_counter()
        with torch.no_grad():
            gray = torch.from_numpy(image.data.astype(np.float32) / np.float32(divisor))
            mask = read.network(gray[None, None]).softmax(1).argmax(1)[0].numpy()
        times_ms.append(1e3 * (time.perf_counter() - started_s))
    return np.asarray(mask, np.uint8), {"inference_ms": times_ms[1:]}


def time_peer(
    python: str, checkpoint: Path, image: Path, runs: int, threads: int
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Return the mask and times of the peer's own code in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "peer.npz"
        script = Path(__file__).with_name("peer_side.py")
        subprocess.run([python, script, checkpoint, image, out, str(runs), str(threads)], check=True)
        with np.load(out) as found:
            return found["mask"], json.loads(str(found["times"]))


def time_ours(folder: Path, precision: Any, image: Image, runs: int, threads: int) -> tuple[Any, list[float]]:
    """Return the mask and the times of whole detections, image in, features out."""
    cv2.setNumThreads(threads)
    detector = open_detector(folder, EngineSettings(precision=precision, thread_count=threads))
    found = [detector.find(image, FEATURES) for _ in range(runs + 1)]
    return found[0].class_map, [detection.latency_ms for detection in found[1:]]


def compare(arguments: argparse.Namespace, image: Image) -> dict[str, Any]:
    """Return both sides' times, ratios and the agreement of the masks."""
    counts = (arguments.runs, arguments.threads)
    precisions = [p for p in WANTED_SPEED_UP if (p == "fp32" or arguments.int8)]
    before = {p: time_ours(arguments.model, p, image, *counts) for p in precisions}
    if arguments.peer:
        mask, times = time_peer(arguments.peer, arguments.checkpoint, arguments.image, *counts)
    else:
        mask, times = time_torch(arguments.checkpoint, image, *counts)
    peer_ms = float(np.median(times.get("detect_ms", times["inference_ms"])))
    rows = {}
    for precision in precisions:
        ours, first_ms = before[precision]
        _, second_ms = time_ours(arguments.model, precision, image, *counts)
        ours_ms = max(float(np.median(first_ms)), float(np.median(second_ms)))
        agreement = float(np.mean(ours == mask))
        rows[precision] = {
            "ms": round(ours_ms, 1),
            "agreement": round(agreement, 6),
            "speed_up": round(peer_ms / ours_ms, 2),
            "speed_up_with_load": round((peer_ms + times.get("load_ms", 0.0)) / ours_ms, 2),
            "agreement_reached": agreement >= WANTED_AGREEMENT[precision],
            "speed_up_reached": peer_ms / ours_ms >= WANTED_SPEED_UP[precision],
        }
    return {
        "compared": "fibsem detect_features, three features" if arguments.peer else "PyTorch network, softmax, argmax",
        "image": str(arguments.image),
        "classes_px": np.bincount(mask.ravel(), minlength=6).tolist(),
        "peer_ms": round(peer_ms, 1),
        "peer_inference_ms": round(float(np.median(times["inference_ms"])), 1),
        "peer_load_ms": round(times.get("load_ms", 0.0), 1),
        "ours": rows,
        "threads": arguments.threads,
        "load": [round(value, 1) for value in psutil.getloadavg()],
    }


def main() -> None:
    """Run the comparison; exit with 1 when something that was wanted is not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--peer", help="Python interpreter with fibsem 0.5.3")
    parser.add_argument("--no-int8", dest="int8", action="store_false", help="the model was not optimised")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file to write")
    arguments = parser.parse_args()
    result = compare(arguments, read_image(arguments.image))
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")
    if not all(row["agreement_reached"] and row["speed_up_reached"] for row in result["ours"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
