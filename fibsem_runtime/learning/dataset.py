"""Labelled images on disk (AutoLamella layout) and their split into groups that never share a series.

Layout (detection.md section 1, data/README.md): ``NAME.tif`` beside ``labels/NAME.tif``, uint8 class indices of equal
size, paired by name; key points in ``keypoints.csv`` of the folder or its parent.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from fibsem_runtime.core import Image, PixelPoint
from fibsem_runtime.core.errors import DataError, ImageFileError
from fibsem_runtime.imaging import read_image

CLASSES: Final = ("background", "lamella", "manipulator", "landing_post", "copper_adaptor", "volume_block")
"""Class of each index (detection.md section 1)."""

_NAME_COLUMNS: Final = ("filename", "fname", "image")
"""Names of one column in the predecessor's three schemas (detection.md D10)."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One labelled image; ``labels``: (height, width) uint8 class indices; ``points`` by feature, empty if unknown."""

    name: str
    image: Image
    labels: NDArray[np.uint8]
    points: dict[str, PixelPoint] = field(default_factory=dict)


def read_samples(folder: Path) -> list[Sample]:
    """Read every image of ``folder`` that has a label of the same name, sorted by name.

    Raises `DataError` when there is none, when a label is missing, differs in size or holds an unknown class.
    """
    points = _read_points(folder)
    paths = sorted(folder.glob("*.tif"))
    if not paths:
        raise DataError(f"no image NAME.tif with labels/NAME.tif in {folder}; give a folder in the AutoLamella layout")
    return [_read_sample(path, points.get(path.name, {})) for path in paths]


def _read_sample(path: Path, points: dict[str, PixelPoint]) -> Sample:
    image = read_image(path)
    labels = _read_labels(path.parent / "labels" / path.name)
    if labels.shape != image.shape:
        raise DataError(f"the label of {path} has shape {labels.shape}, its image {image.shape}; label it again")
    return Sample(path.stem, image, labels, points)


def _read_labels(path: Path) -> NDArray[np.uint8]:
    try:
        labels = np.asarray(tifffile.imread(path))
    except (OSError, tifffile.TiffFileError) as error:
        raise ImageFileError(f"the label {path} cannot be read ({error}); every image needs one") from error
    if labels.ndim != 2 or labels.size == 0 or labels.max() >= len(CLASSES):
        raise DataError(f"the label {path} must be a 2-D map of classes 0..{len(CLASSES) - 1}, got {labels.shape}")
    return labels.astype(np.uint8)


def _read_points(folder: Path) -> dict[str, dict[str, PixelPoint]]:
    """Read ``split, filename, feature, px.x, px.y`` rows of this folder; no file means no points."""
    table = next((p for p in (folder / "keypoints.csv", folder.parent / "keypoints.csv") if p.is_file()), None)
    points: dict[str, dict[str, PixelPoint]] = {}
    if table is None:
        return points
    with table.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            if row.get("split", folder.name) != folder.name:
                continue
            try:
                point = PixelPoint(float(row["px.x"]), float(row["px.y"]))
                name = next(row[column] for column in _NAME_COLUMNS if row.get(column))
                # The predecessor wrote (0, 0) for what it did not find (detection.md D1).
                if point != PixelPoint(0.0, 0.0):
                    points.setdefault(name, {})[row["feature"]] = point
            except (KeyError, TypeError, ValueError, StopIteration) as error:
                raise DataError(f"{table} line {number} is no key point ({error}); correct or remove it") from error
    return points


def split_by_group(
    samples: Sequence[Sample], groups: Sequence[int], *, held_out_fraction: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Return training and held-out samples; a group is never on both sides (detection.md D12)."""
    sizes = Counter(groups)
    held_out: set[int] = set()
    for group in np.random.default_rng(seed).permutation(sorted(sizes)):
        if sum(sizes[g] for g in held_out) + sizes[int(group)] <= held_out_fraction * len(samples):
            held_out.add(int(group))
    train = [s for s, g in zip(samples, groups, strict=True) if g not in held_out]
    return train, [s for s, g in zip(samples, groups, strict=True) if g in held_out]
