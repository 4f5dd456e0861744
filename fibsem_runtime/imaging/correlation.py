"""Normalised cross-correlation of two signals and what its peak is worth.

The coefficient is computed over the true overlap at every shift (Padfield 2012, IEEE Trans. Image Process. 21, 2706,
for full masks), so that large shifts are neither damped by a window nor favoured by empty borders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_FINE_STEPS_PER_PX: Final = 32
_REFINE_PASSES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """Highest point of a correlation map: the content of the second signal lies (dx, dy) px from that of the first.

    ``rival_ratio`` is the height of the best other peak over this one, 0 when there is none.
    """

    dx_px: int
    dy_px: int
    score: float
    rival_ratio: float
    is_on_boundary: bool


def correlate(
    reference: NDArray[np.float32], moving: NDArray[np.float32], max_dx_px: int, max_dy_px: int
) -> NDArray[np.float32]:
    """Return (2 max_dy + 1, 2 max_dx + 1) correlation coefficients -1..1 of two signals of equal shape.

    The middle element is the shift (0, 0); element [max_dy + dy, max_dx + dx] compares ``reference[y, x]`` with
    ``moving[y + dy, x + dx]``.
    """
    height_px, width_px = reference.shape
    dy = np.arange(-max_dy_px, max_dy_px + 1)
    dx = np.arange(-max_dx_px, max_dx_px + 1)
    first, second = reference - reference.mean(), moving - moving.mean()
    products = _cross_products(first, second, max_dx_px, max_dy_px)[np.ix_(dy, dx)]
    count = np.outer(height_px - np.abs(dy), width_px - np.abs(dx)).astype(np.float64)
    sum_1, squares_1 = _overlap_sums(first, -dy, -dx), _overlap_sums(first * first, -dy, -dx)
    sum_2, squares_2 = _overlap_sums(second, dy, dx), _overlap_sums(second * second, dy, dx)
    variance = (squares_1 - sum_1**2 / count) * (squares_2 - sum_2**2 / count)
    floor = 1e-12 * max(float(squares_1.max()) * float(squares_2.max()), 1e-30)
    covariance = products - sum_1 * sum_2 / count
    return np.asarray(np.where(variance > floor, covariance / np.sqrt(np.maximum(variance, floor)), 0), np.float32)


def _cross_products(
    first: NDArray[np.float32], second: NDArray[np.float32], max_dx_px: int, max_dy_px: int
) -> NDArray[np.float32]:
    size = (
        cv2.getOptimalDFTSize(first.shape[0] + max_dy_px),
        cv2.getOptimalDFTSize(first.shape[1] + max_dx_px),
    )
    spectrum = np.conj(np.fft.rfft2(first, size)) * np.fft.rfft2(second, size)
    return np.asarray(np.fft.irfft2(spectrum, size), dtype=np.float32)


def _overlap_sums(values: NDArray[np.float32], dy: NDArray[np.int_], dx: NDArray[np.int_]) -> NDArray[np.float64]:
    """Return the sums over rows max(0, dy)..min(H, H + dy) and the like columns, for all dy and dx."""
    height_px, width_px = values.shape
    table = np.zeros((height_px + 1, width_px + 1))
    np.cumsum(np.cumsum(values, axis=0, dtype=np.float64), axis=1, out=table[1:, 1:])
    top, bottom = np.maximum(0, dy), np.minimum(height_px, height_px + dy)
    left, right = np.maximum(0, dx), np.minimum(width_px, width_px + dx)
    return np.asarray(
        table[np.ix_(bottom, right)]
        - table[np.ix_(top, right)]
        - table[np.ix_(bottom, left)]
        + table[np.ix_(top, left)]
    )


def find_peak(coefficients: NDArray[np.float32], *, rival_level_ratio: float, lobe_px: int) -> Peak:
    """Find the highest coefficient and its best rival.

    The main lobe is the region around the peak above ``rival_level_ratio`` of it, widened by ``lobe_px``; the rival is
    the highest local maximum outside.
    """
    row, column = (int(i) for i in np.unravel_index(int(np.argmax(coefficients)), coefficients.shape))
    score = float(coefficients[row, column])
    height_px, width_px = coefficients.shape
    rival = _rival(coefficients, (row, column), rival_level_ratio * score, lobe_px) if score > 0 else score
    return Peak(
        dx_px=column - width_px // 2,
        dy_px=row - height_px // 2,
        score=score,
        rival_ratio=max(0.0, rival / score) if score > 0 else 1.0,
        is_on_boundary=row in (0, height_px - 1) or column in (0, width_px - 1),
    )


def _rival(coefficients: NDArray[np.float32], peak: tuple[int, int], level_score: float, lobe_px: int) -> float:
    _, labels = cv2.connectedComponents((coefficients >= level_score).astype(np.uint8))
    lobe = (labels == labels[peak]).astype(np.uint8)
    lobe = cv2.dilate(lobe, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * lobe_px + 1, 2 * lobe_px + 1)))
    local_maximum = coefficients >= cv2.dilate(coefficients, np.ones((3, 3), np.uint8))
    others = coefficients[local_maximum & (lobe == 0)]
    return float(others.max()) if others.size else 0.0


def refine_peak(
    reference: NDArray[np.float32], moving: NDArray[np.float32], dx_px: float, dy_px: float
) -> tuple[float, float]:
    """Refine a shift to a few hundredths of a pixel and return (dx, dy).

    Cuts the overlap at the nearest whole pixel, so that nothing is interpolated, and adds the peak of the windowed
    cross-correlation, evaluated on a fine grid by a matrix Fourier transform (Guizar-Sicairos 2008, Opt. Lett. 33,
    156). The rest is then at most half a pixel, where the window does not bias it.
    """
    for _ in range(_REFINE_PASSES):
        whole_x, whole_y = round(dx_px), round(dy_px)
        step_x, step_y = _fine_step(*_overlap(reference, moving, whole_x, whole_y))
        dx_px, dy_px = whole_x + step_x, whole_y + step_y
        if (round(dx_px), round(dy_px)) == (whole_x, whole_y):
            break
    return dx_px, dy_px


def overlap_score(reference: NDArray[np.float32], moving: NDArray[np.float32], dx_px: float, dy_px: float) -> float:
    """Return the correlation coefficient of the overlap after ``moving`` is moved back by (dx, dy), whole pixels."""
    first, second = _overlap(reference, moving, round(dx_px), round(dy_px))
    covariance, power_1, power_2 = (
        float(np.vdot(a, b)) for a, b in ((first, second), (first, first), (second, second))
    )
    mean_1, mean_2 = float(first.mean()), float(second.mean())
    norm = math.sqrt(max(power_1 - first.size * mean_1**2, 0.0) * max(power_2 - first.size * mean_2**2, 0.0))
    return (covariance - first.size * mean_1 * mean_2) / norm if norm > 0 else 0.0


def _overlap(
    reference: NDArray[np.float32], moving: NDArray[np.float32], dx_px: int, dy_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the parts of both signals that show the same content when ``moving`` lies (dx, dy) further."""
    height_px, width_px = reference.shape
    left, right = max(0, -dx_px), min(width_px, width_px - dx_px)
    top, bottom = max(0, -dy_px), min(height_px, height_px - dy_px)
    return (
        np.ascontiguousarray(reference[top:bottom, left:right]),
        np.ascontiguousarray(moving[top + dy_px : bottom + dy_px, left + dx_px : right + dx_px]),
    )


def _fine_step(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[float, float]:
    """Return the position of the correlation's peak within 1.5 px of zero shift."""
    height_px, width_px = first.shape
    window = np.outer(np.hanning(height_px), np.hanning(width_px)).astype(np.float32)
    size = (cv2.getOptimalDFTSize(height_px), cv2.getOptimalDFTSize(width_px))
    spectrum = np.conj(np.fft.rfft2((first - first.mean()) * window, size))
    spectrum *= np.fft.rfft2((second - second.mean()) * window, size)
    frequencies = np.fft.rfftfreq(size[1])
    # The half spectrum of real signals stands for both signs of the frequency, except at zero and the highest.
    spectrum *= np.where((frequencies == 0) | (frequencies == 0.5), 1, 2).astype(np.float32)
    steps = np.arange(-48, 49) / _FINE_STEPS_PER_PX
    rows = np.exp(2j * np.pi * np.outer(steps, np.fft.fftfreq(size[0]))).astype(np.complex64)
    columns = np.exp(2j * np.pi * np.outer(frequencies, steps)).astype(np.complex64)
    surface = np.real(rows @ spectrum @ columns)
    row, column = (int(i) for i in np.unravel_index(int(np.argmax(surface)), surface.shape))
    return (
        float(steps[column]) + _vertex(surface[row, :], column) / _FINE_STEPS_PER_PX,
        float(steps[row]) + _vertex(surface[:, column], row) / _FINE_STEPS_PER_PX,
    )


def _vertex(values: NDArray[np.float64], index: int) -> float:
    """Return the offset of a parabola's vertex through a maximum and its neighbours, in samples; 0 at an end."""
    if index in (0, len(values) - 1):
        return 0.0
    before, here, after = (float(values[index + i]) for i in (-1, 0, 1))
    curvature = before - 2 * here + after
    return 0.5 * (before - after) / curvature if curvature < 0 else 0.0
