"""Find which images belong to one series, so that a split never separates them.

Images are joined when their names differ only by counter, beam or resolution, when their names are times less than two
minutes apart, or when they look alike. Joins are transitive.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.learning.dataset import Sample

_ALIKE_SCORE: Final = 0.6
_TIME_GAP_S: Final = 120
"""Assumed: on the autoliftout images 0.6 joins frames of one field and nothing else (looked at by eye)."""

_THUMBNAIL: Final = (96, 64)
_CLOCK: Final = re.compile(r"(\d{2})-(\d{2})-(\d{2})(AM|PM)")
_INCIDENTAL: Final = re.compile(r"_(?:eb|ib|high_res|low_res|\d+)(?=_|$)")


def group_series(samples: Sequence[Sample]) -> list[int]:
    """Return one group number per sample; samples of one series have the same."""
    groups = list(range(len(samples)))
    thumbnails = [_thumbnail(sample) for sample in samples]
    for i in range(len(samples)):
        for j in range(i):
            if groups[i] != groups[j] and _belong_together(samples[i], samples[j], thumbnails[i], thumbnails[j]):
                kept, gone = sorted((groups[i], groups[j]))
                groups = [kept if group == gone else group for group in groups]
    return groups


def _belong_together(a: Sample, b: Sample, look_a: NDArray[np.float32], look_b: NDArray[np.float32]) -> bool:
    times = _time_s(a.name), _time_s(b.name)
    if times[0] is not None and times[1] is not None and abs(times[0] - times[1]) <= _TIME_GAP_S:
        return True
    if times[0] is None and _INCIDENTAL.sub("", a.name) == _INCIDENTAL.sub("", b.name):
        return True
    return float(np.mean(look_a * look_b)) > _ALIKE_SCORE


def _time_s(name: str) -> int | None:
    """Return the time of day in a name like ``01-08-20PM``, in seconds."""
    match = _CLOCK.search(name)
    if match is None:
        return None
    hour, minute, second = (int(part) for part in match.groups()[:3])
    return (hour % 12 + (12 if match.group(4) == "PM" else 0)) * 3600 + minute * 60 + second


def _thumbnail(sample: Sample) -> NDArray[np.float32]:
    """Return the small image without its shading, of zero mean and unit variance."""
    small = cv2.resize(sample.image.data, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
    small = small - cv2.GaussianBlur(small, (0, 0), 12)
    return np.asarray((small - small.mean()) / max(float(small.std()), 1e-6), dtype=np.float32)
