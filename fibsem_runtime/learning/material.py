"""What the shipped model is trained on and what is left out of it: whole series of images, whole simulated scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fibsem_runtime.learning.batches import Source, series_sources, to_view
from fibsem_runtime.learning.dataset import Sample, read_samples, split_by_group
from fibsem_runtime.learning.series import group_series

_LEFT_OUT_FRACTION: Final = 0.15
_SPLIT_SEED: Final = 4
_SIMULATED_FRACTION: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Labelled images and simulated frames, each divided into what is always seen and what is left out at first."""

    images: Sequence[Sample]
    left_out_images: Sequence[Sample]
    frames: Sequence[Sample]
    left_out_frames: Sequence[Sample]

    def sources(self, *, everything: bool) -> list[Source]:
        """Return what a training sees: with or without what is left out."""
        images = [*self.images, *(self.left_out_images if everything else ())]
        frames = [*self.frames, *(self.left_out_frames if everything else ())]
        if not frames:
            return series_sources(images, 1.0)
        drawn = Source([to_view(s) for s in frames], _SIMULATED_FRACTION, lends=False)
        return [*series_sources(images, 1 - _SIMULATED_FRACTION), drawn]


def read_material(data: Sequence[Path], frames: Sequence[Path]) -> Material:
    """Read folders of images and of frames; the same folders are always divided in the same way."""
    images, left_out_images = _divide(data)
    drawn, left_out_frames = _divide(frames)
    return Material(images=images, left_out_images=left_out_images, frames=drawn, left_out_frames=left_out_frames)


def _divide(folders: Sequence[Path]) -> tuple[list[Sample], list[Sample]]:
    kept: list[Sample] = []
    left_out: list[Sample] = []
    for folder in folders:
        samples = read_samples(folder)
        groups = group_series(samples)
        first, second = split_by_group(samples, groups, held_out_fraction=_LEFT_OUT_FRACTION, seed=_SPLIT_SEED)
        kept += first
        left_out += second
    return kept, left_out
