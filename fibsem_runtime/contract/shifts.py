"""Measure how far the content of one image has moved in another; independent of the runtime's own registration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image, ImagePoint


def content_shift(before: Image, after: Image) -> ImagePoint:
    """Return how far what ``before`` shows has moved in ``after``, x right and y up.

    By cross-correlation, half whitened so that slow shading does not blur the peak. Both images have one shape and
    pixel size; shifts up to a third of the field are found. Asserts a clear peak.
    """
    assert before.shape == after.shape
    spectrum = np.fft.rfft2(_prepared(after)) * np.conj(np.fft.rfft2(_prepared(before)))
    spectrum *= _low_pass(before.shape) / np.sqrt(np.abs(spectrum) + 1e-9)
    peaks = np.fft.irfft2(spectrum, s=before.shape)
    row, column = np.unravel_index(int(np.argmax(peaks)), peaks.shape)
    top = float(peaks[row, column])
    assert top > 6 * float(peaks.std()), "the two images have nothing in common"
    dy_px = _signed(row + _vertex(peaks[:, column], int(row)), before.shape[0])
    dx_px = _signed(column + _vertex(peaks[row], int(column)), before.shape[1])
    return ImagePoint(dx_px * before.pixel_size_m, -dy_px * before.pixel_size_m)


def _prepared(image: Image) -> NDArray[np.float64]:
    """Return the image without its mean and slow shading, fading to zero at the border."""
    data = image.data.astype(np.float64)
    height_px, width_px = data.shape
    data -= data.mean()
    window = np.outer(np.hanning(height_px), np.hanning(width_px))
    return data * window


def _low_pass(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return weights that leave out what is finer than a few pixels, which is noise."""
    rows, columns = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    weights: NDArray[np.float64] = np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * 0.12**2))
    return weights


def _vertex(line: NDArray[np.float64], index: int) -> float:
    """Return where the parabola through a peak and its neighbours has its top, relative to ``index``."""
    left, middle, right = line[index - 1], line[index], line[(index + 1) % line.size]
    return float((left - right) / (2 * (left - 2 * middle + right)))


def _signed(shift_px: float, size_px: int) -> float:
    return float(shift_px - size_px if shift_px > size_px / 2 else shift_px)
