"""How the session of fibsem-os #900 measured coincidence, rebuilt from what is published about it (#714, #900).

Both images are normalised locally, band-passed twice and reduced to edge strength; a correlation under a Hann window
finds the shift of each band. The measurement is refused when the bands disagree, when a peak lies on the boundary of
the search, or when it lies farther to the side than a height error can put it. All sizes are in pixels, whatever the
field of view: that is what makes it sensitive to shot noise. Here only as the yardstick of a validation anchor; what
the runtime itself uses is `fibsem_runtime.imaging.measure_coincidence`.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image
from fibsem_runtime.core.units import UM

Values = NDArray[np.float32]

_BANDS_PX: Final = ((2.0, 8.0), (4.0, 16.0))
_NORMALISED_PX: Final = 32.0
_CAPTURE_M: Final = 20 * UM
_LATERAL_LIMIT_M: Final = 5 * UM
_BOUNDARY_PX: Final = 3
"""Published with the measure (fibsem-os #714, #730): bands and neighbourhood as sigmas, reach of the search."""


def published_disagreement_m(electron: Image, ion: Image, stretch_ratio: float, *, binned: int = 1) -> float:
    """Return by how much the two bands disagree, m; infinite where the measure refuses for another reason."""
    pixel_size_m = electron.pixel_size_m * binned
    first, second = (_bin(np.asarray(image.data, np.float32), binned) for image in (electron, ion))
    second = _stretch(second, stretch_ratio)
    shifts = [_shift_px(first, second, band, _CAPTURE_M / pixel_size_m, stretch_ratio) for band in _BANDS_PX]
    if any(shift is None for shift in shifts):
        return math.inf
    (x_a, y_a), (x_b, y_b) = (shift for shift in shifts if shift is not None)
    if abs(x_a + x_b) / 2 * pixel_size_m > _LATERAL_LIMIT_M:
        return math.inf
    return math.hypot(x_a - x_b, (y_a - y_b) / stretch_ratio) * pixel_size_m


def _bin(values: Values, count: int) -> Values:
    height_px, width_px = values.shape
    size_px = (width_px // count, height_px // count)
    return np.asarray(cv2.resize(values, size_px, interpolation=cv2.INTER_AREA), np.float32)


def _stretch(values: Values, ratio: float) -> Values:
    """Stretch along y about the middle; nothing is known beyond the frame."""
    height_px, width_px = values.shape
    middle = (height_px - 1) / 2
    transform = np.array([[1.0, 0.0, 0.0], [0.0, ratio, middle * (1 - ratio)]])
    return np.asarray(cv2.warpAffine(values, transform, (width_px, height_px)), np.float32)


def _shift_px(
    first: Values, second: Values, band_px: tuple[float, float], reach_px: float, stretch_ratio: float
) -> tuple[float, float] | None:
    """Return the shift of one band as (x, y), None when the peak lies on the boundary of the search."""
    window = np.outer(*(np.hanning(size) for size in first.shape)).astype(np.float32)
    one, two = (np.fft.rfft2(_edges(values, band_px) * window) for values in (first, second))
    correlation = np.fft.fftshift(np.fft.irfft2(one * two.conj(), first.shape))
    middle = [size // 2 for size in first.shape]
    reach = [min(round(reach_px * stretch_ratio), middle[0]), min(round(reach_px), middle[1])]
    part = correlation[tuple(slice(m - r, m + r + 1) for m, r in zip(middle, reach, strict=True))]
    y, x = (int(at) for at in np.unravel_index(part.argmax(), part.shape))
    margins = (min(at, size - 1 - at) for at, size in zip((y, x), part.shape, strict=True))
    if min(margins) < _BOUNDARY_PX:
        return None
    return float(x - reach[1]), float(y - reach[0])


def _edges(values: Values, band_px: tuple[float, float]) -> Values:
    mean = cv2.GaussianBlur(values, (0, 0), _NORMALISED_PX)
    spread = np.sqrt(cv2.GaussianBlur((values - mean) ** 2, (0, 0), _NORMALISED_PX))
    normal = (values - mean) / (spread + 1e-6)
    fine, coarse = (cv2.GaussianBlur(normal, (0, 0), sigma) for sigma in band_px)
    band = fine - coarse
    strength = np.hypot(cv2.Sobel(band, cv2.CV_32F, 1, 0), cv2.Sobel(band, cv2.CV_32F, 0, 1))
    return np.asarray((strength - strength.mean()) / (strength.std() + 1e-6), np.float32)
