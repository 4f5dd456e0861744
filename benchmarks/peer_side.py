"""Run the peer's own detection path; started by peer_parity.py in a Python that has the package fibsem 0.5.3.

    PYTHON peer_side.py CHECKPOINT.pt IMAGE.tif OUT.npz RUNS THREADS

Nothing of the peer is changed but that it does not go to the network for ImageNet weights, which its checkpoint then
replaces (interop.md section 8).
"""

import json
import sys
import time

import numpy as np
import tifffile
import torch

library = torch.library.Library("torchvision", "DEF")
# torchvision's compiled part does not load beside a CPU build of torch; nothing here uses it (baselines.md).
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import segmentation_models_pytorch as smp  # noqa: E402
from fibsem.detection import detection  # noqa: E402
from fibsem.segmentation.model import SegmentationModel  # noqa: E402

FEATURES = (detection.NeedleTip, detection.LamellaCentre, detection.LandingPost)


def main() -> None:
    """Time loading and detecting; write masks and times."""
    checkpoint, image_path, out, runs, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    make = smp.Unet
    smp.Unet = lambda *a, **k: make(*a, **{**k, "encoder_weights": None})
    image = tifffile.imread(image_path)
    started_s = time.perf_counter()
    model = SegmentationModel(checkpoint=checkpoint)
    load_ms = 1e3 * (time.perf_counter() - started_s)
    mask = model.inference(image, rgb=False)[0]
    network_ms, detect_ms = [], []
    for _ in range(int(runs)):
        started_s = time.perf_counter()
        model.inference(image, rgb=False)
        network_ms.append(1e3 * (time.perf_counter() - started_s))
        started_s = time.perf_counter()
        detection.detect_features(image, model, [feature() for feature in FEATURES], pixelsize=25e-9)
        detect_ms.append(1e3 * (time.perf_counter() - started_s))
    times = {"load_ms": load_ms, "inference_ms": network_ms, "detect_ms": detect_ms}
    np.savez_compressed(out, mask=mask.astype(np.uint8), times=json.dumps(times))


if __name__ == "__main__":
    main()
