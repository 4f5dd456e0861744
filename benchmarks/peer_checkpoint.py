"""Train a small checkpoint in the peer's own format, so that masks in a comparison are not those of random weights.

    python benchmarks/peer_checkpoint.py OUT.pt [--data DIR] [--encoder resnet34] [--steps 600]

The recipe is the peer's (detection.md section 4: Adam at 3e-4, gray levels over 255) with cross-entropy alone, on
random parts of the training images at full, half and quarter size; it starts from random weights and stops after
minutes. The result is good enough to be compared with itself in another engine and for nothing else.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from fibsem_runtime.learning.dataset import CLASSES, Sample, read_samples
from fibsem_runtime.learning.unet import ARCHITECTURES, UNet

ROOT = Path(__file__).resolve().parent.parent
PART_PX = 192
PART_COUNT = 4
REDUCTIONS = (1, 2, 4)
"""Parts show some detail or most of an image: what an object is cannot be learned from its inside."""


def draw_batch(samples: list[Sample], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return gray (n, 1, part, part) in 0..1 and class indices of random parts of random images."""
    gray, labels = [], []
    for index in rng.integers(len(samples), size=PART_COUNT):
        sample = samples[int(index)]
        size_px = PART_PX * int(rng.choice(REDUCTIONS))
        height_px, width_px = sample.image.shape
        top, left = int(rng.integers(height_px - size_px)), int(rng.integers(width_px - size_px))
        part = (slice(top, top + size_px), slice(left, left + size_px))
        shape = (PART_PX, PART_PX)
        gray.append(cv2.resize(sample.image.data[part], shape, interpolation=cv2.INTER_AREA).astype(np.float32) / 255)
        labels.append(cv2.resize(sample.labels[part], shape, interpolation=cv2.INTER_NEAREST).astype(np.int64))
    return torch.from_numpy(np.stack(gray)).unsqueeze(1), torch.from_numpy(np.stack(labels))


def train(samples: list[Sample], out: Path, *, encoder: str, step_count: int, seed: int) -> None:
    """Train and write ``{"checkpoint", "encoder", "nc"}`` (interop.md section 8) every ten steps."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = UNet(encoder, len(CLASSES)).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-4)
    for step in range(1, step_count + 1):
        gray, labels = draw_batch(samples, rng)
        loss = nn.functional.cross_entropy(network(gray), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step == step_count * 3 // 4:
            # Few images make unlike batches; from here on the statistics stand still, as they do in use.
            network.eval()
        if step % 10 == 0:
            print(f"step {step}: loss {float(loss.detach()):.3f}", flush=True)
            torch.save({"checkpoint": network.state_dict(), "encoder": encoder, "nc": len(CLASSES)}, out)


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    data = Path(os.environ.get("FIBSEM_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=data / "autoliftout" / "train")
    parser.add_argument("--encoder", choices=sorted(ARCHITECTURES), default="resnet34")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    least_px = PART_PX * max(REDUCTIONS)
    samples = [s for s in read_samples(arguments.data) if min(s.image.shape) > least_px]
    train(samples, arguments.out, encoder=arguments.encoder, step_count=arguments.steps, seed=arguments.seed)


if __name__ == "__main__":
    main()
