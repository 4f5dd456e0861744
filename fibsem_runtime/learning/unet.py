"""The peer's network: a U-Net on a ResNet encoder, in plain PyTorch.

Layers and their names are those of ``segmentation_models_pytorch.Unet(encoder, in_channels=1, classes=n)`` with its
defaults (interop.md section 8), so that a checkpoint's state dict fits without that package and without torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_WIDTHS: Final = (64, 128, 256, 512)
_DECODER_WIDTHS: Final = (256, 128, 64, 32, 16)
"""Channels of the four stages of a ResNet and of the five blocks of the decoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What differs between ResNets: blocks in each stage, and whether a block squeezes its channels fourfold."""

    blocks: tuple[int, int, int, int]
    is_bottleneck: bool

    @property
    def expansion(self) -> int:
        """Return how many times wider a block's output is than its inner convolution."""
        return 4 if self.is_bottleneck else 1


ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "resnet18": Architecture(blocks=(2, 2, 2, 2), is_bottleneck=False),
    "resnet34": Architecture(blocks=(3, 4, 6, 3), is_bottleneck=False),
    "resnet50": Architecture(blocks=(3, 4, 6, 3), is_bottleneck=True),
    "resnet101": Architecture(blocks=(3, 4, 23, 3), is_bottleneck=True),
    "resnet152": Architecture(blocks=(3, 8, 36, 3), is_bottleneck=True),
}
"""Encoders by their name in a checkpoint (He et al., CVPR 2016, table 1)."""


def _convolve(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class _Block(nn.Module):
    """Residual block of a ResNet, of two 3 x 3 convolutions or of a bottleneck of three."""

    def __init__(self, inputs: int, inner: int, stride: int, architecture: Architecture) -> None:
        super().__init__()
        outputs = inner * architecture.expansion
        if architecture.is_bottleneck:
            self.conv1 = _convolve(inputs, inner, 1)
            self.conv2 = _convolve(inner, inner, 3, stride)
            self.conv3 = _convolve(inner, outputs, 1)
            self.bn3 = nn.BatchNorm2d(outputs)
        else:
            self.conv1 = _convolve(inputs, inner, 3, stride)
            self.conv2 = _convolve(inner, inner, 3)
        self.bn1 = nn.BatchNorm2d(inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.is_bottleneck = architecture.is_bottleneck
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(_convolve(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.is_bottleneck:
            y = self.bn3(self.conv3(functional.relu(y)))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class _ResNet(nn.Module):
    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.conv1 = _convolve(1, _WIDTHS[0], 7, 2)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        inputs = _WIDTHS[0]
        for number, (count, width) in enumerate(zip(architecture.blocks, _WIDTHS, strict=True), start=1):
            blocks = []
            for index in range(count):
                stride = 2 if number > 1 and index == 0 else 1
                blocks.append(_Block(inputs, width, stride, architecture))
                inputs = width * architecture.expansion
            self.add_module(f"layer{number}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features at strides 2, 4, 8, 16 and 32."""
        x = functional.relu(self.bn1(self.conv1(x)))
        levels = [x]
        x = functional.max_pool2d(x, 3, 2, 1)
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
            levels.append(x)
        return levels


class _UpBlock(nn.Module):
    """Double the size, join the encoder's features, convolve twice."""

    def __init__(self, inputs: int, skipped: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = _unit(inputs + skipped, outputs)
        self.conv2 = _unit(outputs, outputs)

    def forward(self, x: Tensor, skipped: Tensor | None) -> Tensor:
        x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        if skipped is not None:
            x = torch.cat([x, skipped], dim=1)
        return cast(Tensor, self.conv2(self.conv1(x)))


def _unit(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_convolve(inputs, outputs, 3), nn.BatchNorm2d(outputs), nn.ReLU())


class _Decoder(nn.Module):
    def __init__(self, skipped: list[int], deepest: int) -> None:
        super().__init__()
        inputs = [deepest, *_DECODER_WIDTHS[:-1]]
        self.blocks = nn.ModuleList(
            _UpBlock(*widths) for widths in zip(inputs, [*skipped, 0], _DECODER_WIDTHS, strict=True)
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        x = levels[-1]
        skipped: list[Tensor | None] = [*levels[-2::-1], None]
        for block, beside in zip(self.blocks, skipped, strict=True):
            x = block(x, beside)
        return x


class UNet(nn.Module):
    """Map gray (n, 1, height, width) to logits (n, classes, height, width); both sides are multiples of 32."""

    def __init__(self, encoder: str, class_count: int) -> None:
        super().__init__()
        architecture = ARCHITECTURES[encoder]
        wide = [width * architecture.expansion for width in _WIDTHS]
        self.encoder = _ResNet(architecture)
        self.decoder = _Decoder([*wide[-2::-1], _WIDTHS[0]], wide[-1])
        self.segmentation_head = nn.Sequential(nn.Conv2d(_DECODER_WIDTHS[-1], class_count, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return cast(Tensor, self.segmentation_head(self.decoder(self.encoder(x))))
