"""How sharp and how well exposed an image is; numbers to compare frames of one scene, not frames of two.

Sharpness formulas as compared by Pertuz 2013 (Pattern Recognition 46, 1415): Tenengrad (TEN), variance of the Laplacian
(LAPV) and normalised variance (GLVN). All work on gray values in 0..1 of the stored type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from fibsem_runtime.core import Image, Pixels
from fibsem_runtime.imaging.filters import smooth, to_float

_NOISE_SIGMA_PX: Final = 1.0
"""Assumed: shot noise is the sharpest thing in a short exposure and would win over every edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Gray values of an image: mean and standard deviation in 0..1, pixels at the ends of the range as fractions."""

    mean_fraction: float
    deviation_fraction: float
    black_fraction: float
    white_fraction: float


def tenengrad_score(image: Image | Pixels, *, noise_sigma_px: float = _NOISE_SIGMA_PX) -> float:
    """Return the mean squared gradient (Sobel) after a Gaussian blur of ``noise_sigma_px``."""
    blurred = smooth(to_float(image), noise_sigma_px)
    dx = cv2.Sobel(blurred, cv2.CV_32F, 1, 0)
    dy = cv2.Sobel(blurred, cv2.CV_32F, 0, 1)
    return float(np.mean(dx * dx + dy * dy))


def laplacian_score(image: Image | Pixels, *, noise_sigma_px: float = _NOISE_SIGMA_PX) -> float:
    """Return the variance of the Laplacian after a Gaussian blur of ``noise_sigma_px``."""
    return float(np.var(cv2.Laplacian(smooth(to_float(image), noise_sigma_px), cv2.CV_32F)))


def normalised_variance_score(image: Image | Pixels) -> float:
    """Return the variance over the mean; 0 for a black image."""
    values = to_float(image)
    mean = float(values.mean())
    return float(values.var()) / mean if mean > 0 else 0.0


def measure_exposure(image: Image | Pixels) -> Exposure:
    """Measure mean, spread and the fractions of pixels that are black or saturated."""
    data = image.data if isinstance(image, Image) else image
    values = to_float(data)
    return Exposure(
        mean_fraction=float(values.mean()),
        deviation_fraction=float(values.std()),
        black_fraction=float(np.count_nonzero(data == 0)) / data.size,
        white_fraction=float(np.count_nonzero(data == np.iinfo(data.dtype).max)) / data.size,
    )
