"""Random batches of augmented views: full frames and crops at the scale that the network sees."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.detection.preparation import to_8_bit
from fibsem_runtime.learning.augment import View, augment
from fibsem_runtime.learning.dataset import Sample
from fibsem_runtime.learning.series import group_series

NETWORK_SIZE: Final = (768, 512)
"""Width and height of the network's input: half of the usual 1536 x 1024 frame."""

STORE_RATIO: Final = 1.5
"""Views are kept at 1.5 times the network's scale, so that zooming in shows real detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchShape:
    """Size of a batch's views in pixels, how many there are, and how often the shape is drawn.

    ``zoom_range_ratio`` are relative to the network's scale: 1 shows objects as large as the network sees them in use.
    """

    width_px: int
    height_px: int
    view_count: int
    share_fraction: float
    zoom_range_ratio: tuple[float, float]


BATCH_SHAPES: Final = (
    BatchShape(width_px=384, height_px=256, view_count=4, share_fraction=0.4, zoom_range_ratio=(0.42, 1.0)),
    BatchShape(width_px=384, height_px=256, view_count=4, share_fraction=0.2, zoom_range_ratio=(0.8, 2.2)),
    BatchShape(width_px=768, height_px=512, view_count=1, share_fraction=0.4, zoom_range_ratio=(0.6, 2.2)),
)
"""Mostly whole frames, small ones for their number: a part of a frame has other gray values after standardisation.

Zooms reach far: a network that had not seen large blocks recognised only the parts of them that look like small ones.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Views of one origin and the share of every batch that it fills; ``lends``: objects to other views.

    Simulated lamellae are known from the trenches around them and mean nothing elsewhere.
    """

    views: Sequence[View]
    share_fraction: float
    lends: bool = True


def series_sources(samples: Sequence[Sample], share_fraction: float, *, lends: bool = True) -> list[Source]:
    """Return one source per series, drawn in proportion to the square root of its number of images.

    Frames of a series look alike (data/README.md): a long one would otherwise crowd out what few images show.
    """
    members = defaultdict(list)
    for sample, group in zip(samples, group_series(samples), strict=True):
        members[group].append(to_view(sample))
    roots = [math.sqrt(len(views)) for views in members.values()]
    return [
        Source(views, share_fraction * root / sum(roots), lends)
        for views, root in zip(members.values(), roots, strict=True)
    ]


def to_view(sample: Sample) -> View:
    """Return the sample at the stored scale, its longest fitting side scaled to the frame; 8 bit."""
    height_px, width_px = sample.image.shape
    limits = (NETWORK_SIZE[0] * STORE_RATIO, NETWORK_SIZE[1] * STORE_RATIO)
    ratio = min(limits[0] / width_px, limits[1] / height_px)
    size_px = (max(1, round(width_px * ratio)), max(1, round(height_px * ratio)))
    way = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    gray = to_8_bit(sample.image.data)
    labels = cv2.resize(sample.labels, size_px, interpolation=cv2.INTER_NEAREST_EXACT)
    return View(np.asarray(cv2.resize(gray, size_px, interpolation=way), np.uint8), np.asarray(labels, np.uint8))


class BatchMaker:
    """Draw batches for ever from weighted sources; the same seed draws the same batches."""

    def __init__(self, sources: Sequence[Source], *, seed: int, shapes: Sequence[BatchShape] = BATCH_SHAPES) -> None:
        self._sources = sources
        self._shapes = shapes
        self._rng = np.random.default_rng(seed)
        self._donors = [v for s in sources if s.lends for v in s.views if v.labels.any()]
        shares = np.array([source.share_fraction for source in sources])
        self._chances = shares / shares.sum()

    def draw(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return gray (n, height, width) uint8 and labels of the same shape."""
        rng = self._rng
        shape = self._shapes[int(rng.choice(len(self._shapes), p=[s.share_fraction for s in self._shapes]))]
        views = [self._draw_view(shape) for _ in range(shape.view_count)]
        return np.stack([v.gray for v in views]), np.stack([v.labels for v in views])

    def _draw_view(self, shape: BatchShape) -> View:
        rng = self._rng
        views = self._sources[int(rng.choice(len(self._sources), p=self._chances))].views
        view = views[int(rng.integers(len(views)))]
        donor = self._donors[int(rng.integers(len(self._donors)))] if self._donors else None
        low, high = (math.log(limit / STORE_RATIO) for limit in shape.zoom_range_ratio)
        zoom = math.exp(rng.uniform(low, high))
        return augment(view, donor, (shape.width_px, shape.height_px), zoom, rng)
