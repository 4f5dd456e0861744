"""Random surfaces with a chosen grain."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

FloatMap: TypeAlias = NDArray[np.float32]
"""(rows, columns) float32."""

_DIRECT_SIGMA_PX = 4.0
"""Widest grain that is blurred at full size; a wider one is made small and enlarged."""


def smooth_noise(shape: tuple[int, int], sigma_px: float, rng: np.random.Generator) -> FloatMap:
    """Return white noise blurred by a Gaussian of ``sigma_px``, with mean 0 and standard deviation 1."""
    factor = max(1, int(sigma_px / _DIRECT_SIGMA_PX))
    small = (-(-shape[0] // factor) + 2, -(-shape[1] // factor) + 2)
    noise = cv2.GaussianBlur(rng.standard_normal(small, np.float32), (0, 0), sigma_px / factor)
    if factor > 1:
        noise = cv2.resize(noise, (small[1] * factor, small[0] * factor), interpolation=cv2.INTER_CUBIC)
    noise = np.asarray(noise, np.float32)[: shape[0], : shape[1]]
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)
