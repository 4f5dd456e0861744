"""The width of the probe: how current, focus and stigmation spread the signal over pixels."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_DIRECT_SIGMA_PX: Final = 12.0
"""Above, a decimated frame is blurred; 0.997 correlation with the direct blur (physics.md section 7, #765)."""
_REACH_SIGMAS: Final = 3.5
_SMALLEST_SIGMA_PX: Final = 0.05


def probe_covariance_px(
    *, probe_px: float, defocus_px: float, astigmatism_x_px: float, astigmatism_y_px: float
) -> NDArray[np.float64]:
    """Return the covariance of the probe on the image, (2, 2) px^2, x right and y down.

    Defocus spreads the probe by ``defocus_px`` (one sigma, signed); stigmation x moves the focus of the image's x
    and y apart, stigmation y that of the two diagonals: a round blur in focus, a line on either side of it.
    """
    spread = np.array(
        [[defocus_px + astigmatism_x_px, astigmatism_y_px], [astigmatism_y_px, defocus_px - astigmatism_x_px]]
    )
    return np.asarray(spread @ spread.T + probe_px**2 * np.eye(2))


def reach_px(covariance: NDArray[np.float64]) -> int:
    """Return how many pixels beyond a region the blur looks."""
    return math.ceil(_REACH_SIGMAS * math.sqrt(float(np.linalg.eigvalsh(covariance)[-1]))) + 1


def decimation(covariance: NDArray[np.float64]) -> int:
    """Return the whole factor by which a frame may be made smaller before the blur, 1 for a sharp one."""
    sigma_px = math.sqrt(max(float(np.linalg.eigvalsh(covariance)[0]), 0.0))
    return max(1, int(sigma_px / (_DIRECT_SIGMA_PX / 3))) if sigma_px >= _DIRECT_SIGMA_PX else 1


def blur(signal: NDArray[np.float32], covariance: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return ``signal`` spread by the probe; the rim of `reach_px` pixels is not exact.

    A large blur works on a decimated frame, so start regions on multiples of `decimation`.
    """
    factor = decimation(covariance)
    if factor == 1:
        return _blur_directly(signal, covariance)
    height, width = signal.shape
    pad = ((0, -height % factor), (0, -width % factor))
    padded = np.pad(signal, pad, mode="edge")
    small = padded.reshape(padded.shape[0] // factor, factor, -1, factor).mean(axis=(1, 3), dtype=np.float32)
    box_variance = (factor**2 - 1) / 12 / factor**2
    blurred = _blur_directly(small, covariance / factor**2 - box_variance * np.eye(2))
    large = cv2.resize(blurred, padded.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[:height, :width], np.float32)


def _blur_directly(signal: NDArray[np.float32], covariance: NDArray[np.float64]) -> NDArray[np.float32]:
    if abs(covariance[0, 1]) > 1e-3 * float(np.trace(covariance)) + 1e-6:
        return np.asarray(cv2.filter2D(signal, -1, _kernel(covariance), borderType=cv2.BORDER_REPLICATE))
    sigma_x, sigma_y = np.sqrt(np.maximum(np.diag(covariance), _SMALLEST_SIGMA_PX**2))
    if max(sigma_x, sigma_y) <= 2 * _SMALLEST_SIGMA_PX:
        return signal
    size = (_odd(sigma_x), _odd(sigma_y))
    return np.asarray(cv2.GaussianBlur(signal, size, sigma_x, sigmaY=sigma_y, borderType=cv2.BORDER_REPLICATE))


def _odd(sigma_px: float) -> int:
    return 2 * math.ceil(_REACH_SIGMAS * sigma_px) + 1


def _kernel(covariance: NDArray[np.float64]) -> NDArray[np.float32]:
    reach = reach_px(covariance)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inverse = np.linalg.inv(covariance + _SMALLEST_SIGMA_PX**2 * np.eye(2))
    weights = np.exp(-0.5 * (inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2))
    return np.asarray(weights / weights.sum(), np.float32)
