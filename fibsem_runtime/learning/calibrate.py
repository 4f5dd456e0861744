"""Learn from held-out images how far a point's cues can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from fibsem_runtime.core import Image, ImageMetadata, PixelPoint
from fibsem_runtime.core.errors import DataError
from fibsem_runtime.detection import FEATURES, Detector, Segmentation
from fibsem_runtime.detection.confidence import CUE_NAMES, Cues
from fibsem_runtime.detection.finder import Finder, Finding
from fibsem_runtime.detection.manifest import Calibration
from fibsem_runtime.learning.augment import View, augment
from fibsem_runtime.learning.batches import NETWORK_SIZE, STORE_RATIO, to_view
from fibsem_runtime.learning.dataset import Sample

_FAR_FRACTION: Final = 25 / 1536
"""A point further off than this part of the image's width is wrong: 25 px of a usual frame (issue 4)."""

_RIDGE: Final = 0.02
_ZOOM_LIMITS: Final = (0.6, 1.5)
"""Penalty of the weights' squares, and zooms of the changed copies, both assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The cues of one claimed point and whether it was right."""

    feature: str
    cues: Cues
    is_right: bool


def gather_verdicts(
    detector: Detector, samples: Sequence[Sample], features: Sequence[str], *, copies: int, seed: int
) -> list[Verdict]:
    """Judge the detector on held-out samples and on changed copies of them, which make it fail often enough to learn.

    The truth of a copy is what the finder finds on its labels.
    """
    rng = np.random.default_rng(seed)
    verdicts: list[Verdict] = []
    for sample in samples:
        view = to_view(sample)
        for _ in range(copies):
            zoom = math.exp(rng.uniform(math.log(_ZOOM_LIMITS[0]), math.log(_ZOOM_LIMITS[1]))) / STORE_RATIO
            verdicts += _judge(detector, augment(view, None, NETWORK_SIZE, zoom, rng), features)
    return verdicts


def _judge(detector: Detector, view: View, features: Sequence[str]) -> list[Verdict]:
    found = detector.segment(Image(view.gray, ImageMetadata()))
    true = Segmentation(classes=view.labels, confidence=np.full_like(view.labels, 255))
    limit = _FAR_FRACTION * view.gray.shape[1]
    verdicts = []
    for name in features:
        claimed, expected = (_find(detector, maps, name) for maps in (found, true))
        if claimed.point is not None and claimed.cues is not None:
            is_right = expected.point is not None and _distance(claimed.point, expected.point) <= limit
            verdicts.append(Verdict(feature=name, cues=claimed.cues, is_right=is_right))
    return verdicts


def _find(detector: Detector, maps: Segmentation, name: str) -> Finding:
    height_px, width_px = maps.shape
    centre = PixelPoint(width_px / 2, height_px / 2)
    classes = detector.manifest.classes
    # The copies are half as large as the frames they stand for; their floor is that of the full frame.
    scaled = replace(maps, x_scale_ratio=2.0, y_scale_ratio=2.0)
    near = PixelPoint(2 * centre.x_px, 2 * centre.y_px)
    finding = Finder(segmentation=scaled, classes=classes, pixel_size_m=None, near=near).find(FEATURES[name])
    if finding.point is None:
        return finding
    return replace(finding, point=PixelPoint(finding.point.x_px / 2, finding.point.y_px / 2))


def _distance(a: PixelPoint, b: PixelPoint) -> float:
    return math.hypot(a.x_px - b.x_px, a.y_px - b.y_px)


def fit_calibration(verdicts: Sequence[Verdict]) -> dict[str, Calibration]:
    """Fit one weight per cue for all features and an offset for each feature (ridge logistic regression).

    Right and wrong points count alike in sum, because copies fail more often than real images. Raises `DataError`
    when all points are right or all are wrong.
    """
    right = np.array([v.is_right for v in verdicts], dtype=np.float64)
    if right.size == 0 or right.min() == right.max():
        raise DataError("calibration needs right and wrong points; add held-out images or more changed copies")
    names = sorted({v.feature for v in verdicts})
    cues = np.array([[asdict(v.cues)[name] for name in CUE_NAMES] for v in verdicts])
    one_hot = np.array([[v.feature == name for name in names] for v in verdicts], dtype=np.float64)
    importance = np.where(right > 0, 0.5 / right.mean(), 0.5 / (1 - right.mean()))
    weights, offsets = _fit(cues, one_hot, right, importance)
    shared = {name: round(float(w), 4) for name, w in zip(CUE_NAMES, weights, strict=True)}
    return {
        name: Calibration(offset_score=round(float(offset), 4), **shared)
        for name, offset in zip(names, offsets, strict=True)
    }


def _fit(
    cues: NDArray[np.float64], one_hot: NDArray[np.float64], right: NDArray[np.float64], importance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Minimise the weighted log loss; every cue grows with trust, so its weight is kept at zero or above."""
    x, groups, y, w = (torch.tensor(a) for a in (cues, one_hot, right, importance))
    raw = torch.zeros(cues.shape[1], dtype=torch.float64, requires_grad=True)
    common = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    own = torch.zeros(one_hot.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([raw, common, own], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        score = x @ torch.nn.functional.softplus(raw) + common + groups @ own
        fit = torch.nn.functional.binary_cross_entropy_with_logits(score, y, weight=w)
        total = fit + _RIDGE * (own.square().mean() + torch.nn.functional.softplus(raw).square().mean())
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    weights = torch.nn.functional.softplus(raw).detach().numpy()
    return weights, (common + own).detach().numpy()
