"""Small checkpoints in the peer's formats, and files that would run code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from fibsem_runtime.learning.unet import UNet


def trained_like(*, level: float, encoder: str = "resnet18", class_count: int = 6, seed: int = 0) -> UNet:
    """Return a network whose first normalisation remembers images of a mean ``level``, and whose masks are mixed."""
    torch.manual_seed(seed)
    network = UNet(encoder, class_count).eval()
    with torch.no_grad():
        norm = network.encoder.bn1
        norm.running_mean.copy_(level * network.encoder.conv1.weight.sum((1, 2, 3)))
        norm.running_var.fill_(max(level, 0.05) ** 2)
        head = network.segmentation_head[0]
        head.weight.mul_(20)
    return network


def write_checkpoint(path: Path, network: UNet, *, encoder: str = "resnet18", **changes: Any) -> Path:
    """Write ``{"checkpoint", "encoder", "nc"}``."""
    content = {"checkpoint": network.state_dict(), "encoder": encoder, "nc": network.segmentation_head[0].out_channels}
    torch.save(content | changes, path)
    return path


class RunsCommand:
    """What a hostile file holds: unpickling it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self._mark),)
