"""Signals made from images before they are compared; all return (height, width) float32."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image, Pixels


def to_float(image: Image | Pixels) -> NDArray[np.float32]:
    """Return the gray values as float32 in 0..1 of the range of the stored type."""
    data = image.data if isinstance(image, Image) else image
    return data.astype(np.float32) / np.float32(np.iinfo(data.dtype).max)


def smooth(values: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Blur with a Gaussian; edges are mirrored."""
    if sigma_px <= 0:
        return values
    blurred = cv2.GaussianBlur(values, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, dtype=np.float32)


def band_pass(values: NDArray[np.float32], fine_sigma_px: float, coarse_sigma_px: float) -> NDArray[np.float32]:
    """Keep detail between two sizes: the difference of two Gaussian blurs."""
    return smooth(values, fine_sigma_px) - smooth(values, coarse_sigma_px)


def normalise_contrast(values: NDArray[np.float32], window_sigma_px: float) -> NDArray[np.float32]:
    """Divide a zero-mean signal by its local strength, so that bright and dim regions count alike.

    The floor of 10 % of the overall strength keeps empty regions from being blown up to noise.
    """
    power = smooth(values * values, window_sigma_px)
    floor = 0.1 * float(np.sqrt(np.mean(power))) + 1e-12
    return np.asarray(values / np.sqrt(power + np.float32(floor * floor)), dtype=np.float32)


def gradient_magnitude(values: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Return the strength of edges after a Gaussian blur (Scharr operator); the sign of the contrast is lost."""
    blurred = smooth(values, sigma_px)
    dx = cv2.Scharr(blurred, cv2.CV_32F, 1, 0)
    dy = cv2.Scharr(blurred, cv2.CV_32F, 0, 1)
    return np.asarray(cv2.magnitude(dx, dy), dtype=np.float32)


def clip_outliers(values: NDArray[np.float32], limit_sigma_count: float = 4.0) -> NDArray[np.float32]:
    """Limit values to some standard deviations around the mean, so that a bright speck does not decide a match."""
    mean, deviation = float(values.mean()), float(values.std())
    reach = limit_sigma_count * deviation
    return np.asarray(np.clip(values, mean - reach, mean + reach), dtype=np.float32)


def shrink(values: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Average blocks of ``factor`` x ``factor`` pixels; rows and columns that do not fill a block are left out."""
    if factor == 1:
        return values
    height_px, width_px = (size // factor for size in values.shape)
    cropped = values[: height_px * factor, : width_px * factor]
    return np.asarray(cv2.resize(cropped, (width_px, height_px), interpolation=cv2.INTER_AREA), dtype=np.float32)
