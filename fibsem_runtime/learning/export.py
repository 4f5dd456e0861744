"""Write a trained network as the ONNX graph that the engine opens, and prove that both agree."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from fibsem_runtime.learning.network import SegmentationNetwork
from fibsem_runtime.learning.train import standardise

OPSET: Final = 17


class DeployedNetwork(nn.Module):
    """The whole graph: gray levels (1, 1, h, w) uint8 to class and confidence, both (1, h, w) uint8.

    Confidence is the softmax share of the winner in 1/255. Logits are interpolated to full input size before the
    winner is chosen, so that the edge between two classes lies where their shares are equal.
    """

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``classes`` and ``confidence``."""
        logits = self.network(standardise(image))
        logits = functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)
        best, classes = logits.max(1)
        share = 1 / torch.exp(logits - best.unsqueeze(1)).sum(1)
        return classes.to(torch.uint8), (share * 255 + 0.5).to(torch.uint8)


def export_onnx(network: SegmentationNetwork, path: Path, *, width_px: int, height_px: int) -> None:
    """Write the deployed graph for one input size."""
    example = torch.zeros((1, 1, height_px, width_px), dtype=torch.uint8)
    example[..., ::2] = 255
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated; the new one writes the resize of this graph in more, slower nodes.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            DeployedNetwork(network).eval(),
            (example,),
            str(path),
            input_names=["image"],
            output_names=["classes", "confidence"],
            opset_version=OPSET,
            dynamo=False,
        )
