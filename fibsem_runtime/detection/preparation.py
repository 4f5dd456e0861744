"""Bring any image into the network's frame: 8 bit, resized to fit, padded with its mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image, Pixels
from fibsem_runtime.core.errors import ImageFileError

_MIN_SIDE_PX: Final = 64
_MAX_SIDE_PX: Final = 16384
_MAX_ASPECT_RATIO: Final = 8.0
"""Assumed: smaller frames show no lamella, larger ones are mosaics to be cut, longer ones are line scans."""

_RANGE_PERCENTILES: Final = (0.1, 99.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Where the image lies in the network's frame: from the top left, ``width_px`` x ``height_px`` of it."""

    width_px: int
    height_px: int
    x_scale_ratio: float
    y_scale_ratio: float


def fit_image(shape: tuple[int, int], frame_shape: tuple[int, int]) -> Fit:
    """Return how an image of (height, width) fits into the frame; raise `ImageFileError` for sizes without sense."""
    height_px, width_px = shape
    short, long = min(shape), max(shape)
    if short < _MIN_SIDE_PX or long > _MAX_SIDE_PX or long / short > _MAX_ASPECT_RATIO:
        raise ImageFileError(
            f"features are found in images of {_MIN_SIDE_PX} to {_MAX_SIDE_PX} px a side, at most "
            f"{_MAX_ASPECT_RATIO:.0f} times as long as short; this one is {width_px} x {height_px}: crop or scale it"
        )
    ratio = min(frame_shape[1] / width_px, frame_shape[0] / height_px)
    fitted = (max(1, round(width_px * ratio)), max(1, round(height_px * ratio)))
    return Fit(
        width_px=fitted[0],
        height_px=fitted[1],
        x_scale_ratio=width_px / fitted[0],
        y_scale_ratio=height_px / fitted[1],
    )


def place_image(image: Image, fit: Fit, frame: NDArray[np.uint8]) -> None:
    """Write the image into ``frame`` in place, without a copy of the full image where it has 8 bit."""
    gray = to_8_bit(image.data)
    part = frame[: fit.height_px, : fit.width_px]
    shrinks = fit.x_scale_ratio > 1
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    part[...] = cv2.resize(gray, (fit.width_px, fit.height_px), interpolation=way)
    if part.shape != frame.shape:
        mean = round(float(cv2.mean(np.ascontiguousarray(part))[0]))
        frame[fit.height_px :, :] = mean
        frame[: fit.height_px, fit.width_px :] = mean


def to_8_bit(data: Pixels) -> NDArray[np.uint8]:
    """Return the gray values as uint8; 16 bit by the range that the image uses, whatever its nominal depth.

    The darkest and brightest 0.1 % are left out of the range, so that a hot pixel does not darken the rest.
    """
    if data.dtype == np.uint8:
        return np.asarray(data, np.uint8)
    low, high = (float(value) for value in np.percentile(data[::4, ::4], _RANGE_PERCENTILES))
    scale = 255.0 / max(high - low, 1.0)
    return np.asarray(np.clip((data.astype(np.float32) - low) * scale, 0, 255), dtype=np.uint8)
