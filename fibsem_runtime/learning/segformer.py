"""SegFormer as Hugging Face stores it, in plain PyTorch: mixed transformer encoder and a head of linear layers.

The network is that of Xie et al. (NeurIPS 2021); layers and their names are those that
``transformers.SegformerForSemanticSegmentation.save_pretrained`` writes, so that weights fit without that package.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from fibsem_runtime.core.errors import ModelError

CONFIG_NAME: Final = "config.json"
WEIGHTS_NAME: Final = "model.safetensors"
PROCESSOR_NAME: Final = "preprocessor_config.json"

_Config = TypeVar("_Config", bound=BaseModel)
_Four = Annotated[tuple[int, ...], Field(min_length=4, max_length=4)]


class SegFormerConfig(BaseModel):
    """The part of ``config.json`` that decides the network; what else stands there concerns training."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_type: Literal["segformer"]
    num_channels: Literal[3]
    num_encoder_blocks: Literal[4]
    hidden_act: Literal["gelu"]
    depths: _Four
    hidden_sizes: _Four
    num_attention_heads: _Four
    sr_ratios: _Four
    mlp_ratios: _Four
    patch_sizes: _Four
    strides: _Four
    decoder_hidden_size: int = Field(ge=1, le=4096)
    epsilon_level: float = Field(default=1e-6, gt=0, alias="layer_norm_eps")
    id2label: dict[str, str] = Field(min_length=2, max_length=255)


class _Side(BaseModel):
    height: int = Field(ge=32, le=4096)
    width: int = Field(ge=32, le=4096)


class ProcessorConfig(BaseModel):
    """What ``preprocessor_config.json`` says happens to an image first; the defaults are those of the processor."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    do_resize: bool = True
    size: _Side = _Side(height=512, width=512)
    mean_level: tuple[float, float, float] = Field(default=(0.485, 0.456, 0.406), alias="image_mean")
    deviation_level: tuple[float, float, float] = Field(default=(0.229, 0.224, 0.225), alias="image_std")


def _to_grid(tokens: Tensor, height: int, width: int) -> Tensor:
    """Return (n, channels, height, width) from (n, height * width, channels)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, height, width)


class _Embedding(nn.Module):
    """Overlapping patches to tokens."""

    def __init__(self, inputs: int, outputs: int, patch: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, patch, stride, patch // 2)
        self.layer_norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, int, int]:
        x = self.proj(x)
        height, width = x.shape[2:]
        return self.layer_norm(x.flatten(2).transpose(1, 2)), height, width


class _SelfAttention(nn.Module):
    """Attention of all tokens to tokens of a coarser grid."""

    def __init__(self, size: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.head_count = heads
        self.reduces = reduction > 1
        if self.reduces:
            self.sr = nn.Conv2d(size, size, reduction, reduction)
            self.layer_norm = nn.LayerNorm(size)

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.head_count, -1).transpose(1, 2)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        coarse = x
        if self.reduces:
            grid = _to_grid(x, height, width)
            coarse = self.layer_norm(self.sr(grid).flatten(2).transpose(1, 2))
        query, key, value = self._heads(self.query(x)), self._heads(self.key(coarse)), self._heads(self.value(coarse))
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        return (scores.softmax(3) @ value).transpose(1, 2).flatten(2)


class _Attention(nn.Module):
    def __init__(self, size: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.self = _SelfAttention(size, heads, reduction)
        self.output = nn.ModuleDict({"dense": nn.Linear(size, size)})

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        return cast(Tensor, self.output["dense"](self.self(x, height, width)))


class _Mlp(nn.Module):
    """Two linear layers with a convolution per channel between them."""

    def __init__(self, size: int, ratio: int) -> None:
        super().__init__()
        inner = size * ratio
        self.dense1 = nn.Linear(size, inner)
        self.dwconv = nn.ModuleDict({"dwconv": nn.Conv2d(inner, inner, 3, padding=1, groups=inner)})
        self.dense2 = nn.Linear(inner, size)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        grid = _to_grid(self.dense1(x), height, width)
        tokens = self.dwconv["dwconv"](grid).flatten(2).transpose(1, 2)
        return cast(Tensor, self.dense2(functional.gelu(tokens)))


class _Layer(nn.Module):
    def __init__(self, size: int, heads: int, reduction: int, ratio: int, epsilon_level: float) -> None:
        super().__init__()
        self.layer_norm_1 = nn.LayerNorm(size, eps=epsilon_level)
        self.attention = _Attention(size, heads, reduction)
        self.layer_norm_2 = nn.LayerNorm(size, eps=epsilon_level)
        self.mlp = _Mlp(size, ratio)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = x + self.attention(self.layer_norm_1(x), height, width)
        return cast(Tensor, x + self.mlp(self.layer_norm_2(x), height, width))


class _Encoder(nn.Module):
    def __init__(self, config: SegFormerConfig) -> None:
        super().__init__()
        inputs = (config.num_channels, *config.hidden_sizes[:-1])
        shapes = zip(inputs, config.hidden_sizes, config.patch_sizes, config.strides, strict=True)
        self.patch_embeddings = nn.ModuleList(_Embedding(*shape) for shape in shapes)
        rows = zip(config.hidden_sizes, config.num_attention_heads, config.sr_ratios, config.mlp_ratios, strict=True)
        self.block = nn.ModuleList(
            nn.ModuleList(_Layer(*row, config.epsilon_level) for _ in range(depth))
            for depth, row in zip(config.depths, rows, strict=True)
        )
        self.layer_norm = nn.ModuleList(nn.LayerNorm(size) for size in config.hidden_sizes)

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        for embed, layers, norm in zip(self.patch_embeddings, self.block, self.layer_norm, strict=True):
            x, height, width = embed(x)
            for layer in cast(nn.ModuleList, layers):
                x = layer(x, height, width)
            x = _to_grid(norm(x), height, width)
            levels.append(x)
        return levels


class _Head(nn.Module):
    def __init__(self, config: SegFormerConfig) -> None:
        super().__init__()
        size = config.decoder_hidden_size
        self.linear_c = nn.ModuleList(
            nn.ModuleDict({"proj": nn.Linear(inputs, size)}) for inputs in config.hidden_sizes
        )
        self.linear_fuse = nn.Conv2d(4 * size, size, 1, bias=False)
        self.batch_norm = nn.BatchNorm2d(size)
        self.classifier = nn.Conv2d(size, len(config.id2label), 1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        shape = levels[0].shape[2:]
        parts = []
        for level, linear in zip(levels, self.linear_c, strict=True):
            tokens = cast(nn.ModuleDict, linear)["proj"](level.flatten(2).transpose(1, 2))
            grid = _to_grid(tokens, level.shape[2], level.shape[3])
            parts.append(functional.interpolate(grid, size=shape, mode="bilinear", align_corners=False))
        fused = self.linear_fuse(torch.cat(parts[::-1], 1))
        return cast(Tensor, self.classifier(functional.relu(self.batch_norm(fused))))


class SegFormer(nn.Module):
    """Map colour (n, 3, height, width), normalised, to logits (n, classes, height / 4, width / 4)."""

    def __init__(self, config: SegFormerConfig) -> None:
        super().__init__()
        self.segformer = nn.ModuleDict({"encoder": _Encoder(config)})
        self.decode_head = _Head(config)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return cast(Tensor, self.decode_head(self.segformer["encoder"](x)))


class GraySegFormer(nn.Module):
    """Map gray levels over 255 (1, 1, height, width) to logits of that size, as the peer's wrapper does.

    The image is resized to the size that the processor names, made three equal channels and normalised, and the logits
    are interpolated back (``hf_segmentation_model.py`` of fibsem 0.5.3).
    """

    def __init__(self, network: SegFormer, processor: ProcessorConfig, *, width_px: int, height_px: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("rows", _resizing(height_px, processor.size.height if processor.do_resize else height_px))
        self.register_buffer("columns", _resizing(width_px, processor.size.width if processor.do_resize else width_px))
        self.register_buffer("mean", torch.tensor(processor.mean_level).reshape(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(processor.deviation_level).reshape(1, 3, 1, 1))

    def forward(self, gray: Tensor) -> Tensor:
        """Return the logits."""
        rows, columns, mean, deviation = (self.get_buffer(n) for n in ("rows", "columns", "mean", "deviation"))
        x = rows @ gray @ columns.transpose(0, 1)
        logits = self.network((x.expand(-1, 3, -1, -1) - mean) / deviation)
        return functional.interpolate(logits, size=gray.shape[2:], mode="bilinear", align_corners=False)


def _resizing(count: int, target: int) -> Tensor:
    """Return the matrix (target, count) of a resize that averages where it shrinks, as Pillow's bilinear filter does.

    As a matrix it can be exported; the operator itself cannot.
    """
    unit = torch.eye(count).reshape(1, 1, count, count)
    matrix = functional.interpolate(unit, size=(target, count), mode="bilinear", antialias=True)
    return matrix[0, 0]


def read_segformer(folder: Path, *, width_px: int, height_px: int) -> GraySegFormer:
    """Read a folder that ``save_pretrained`` wrote, for images of one size, in evaluation mode.

    Raises `ModelError` when it is incomplete or holds another network.
    """
    config = _read_json(folder / CONFIG_NAME, SegFormerConfig)
    processor = _read_json(folder / PROCESSOR_NAME, ProcessorConfig)
    network = SegFormer(config)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS_NAME))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(
            f"{folder / WEIGHTS_NAME} does not hold the weights of its {CONFIG_NAME} ({reason})"
        ) from error
    return GraySegFormer(network, processor, width_px=width_px, height_px=height_px).eval()


def _read_json(path: Path, kind: type[_Config]) -> _Config:
    try:
        return kind.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); give the whole folder of the model") from error
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "top level"
        raise ModelError(f"{path}: {where}: {fault['msg']}; only SegFormer for three colours is known") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({' '.join(str(error).split())[:100]})") from error
