"""Cross-entropy plus Dice, balanced between classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

CLASS_WEIGHTS: Final = (1.0, 2.0, 1.5, 1.0, 1.0, 1.0)
"""Assumed: a lamella covers a few per cent of the pixels; stronger weights move its edges outwards."""

_LABEL_SMOOTHING: Final = 0.02


def segmentation_loss(logits: Tensor, labels: Tensor, weights: Sequence[float] = CLASS_WEIGHTS) -> Tensor:
    """Return the loss of logits (n, classes, h / 2, w / 2) against labels (n, h, w) at the labels' scale."""
    logits = functional.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
    weight = torch.tensor(list(weights), dtype=logits.dtype)
    entropy = functional.cross_entropy(logits, labels, weight=weight, label_smoothing=_LABEL_SMOOTHING)
    return entropy + 0.5 * _dice_loss(logits.softmax(1), labels)


def _dice_loss(shares: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of 1 - Dice over the foreground classes that the batch holds."""
    losses = []
    for index in range(1, shares.shape[1]):
        truth = (labels == index).to(shares.dtype)
        if truth.any():
            overlap = (shares[:, index] * truth).sum()
            losses.append(1 - 2 * overlap / (shares[:, index].sum() + truth.sum()))
    return torch.stack(losses).mean() if losses else shares.new_zeros(())
