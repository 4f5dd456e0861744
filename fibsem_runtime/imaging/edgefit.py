"""Sub-pixel positions of the two edges of a bright band in a profile.

A sharp edge seen by a Gaussian beam is an error function; its half-height is the edge. The levels follow linearly from
the edges and the blur, so that only three numbers are searched (variable projection, Golub and Pereyra 1973, SIAM J.
Numer. Anal. 10, 413).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ITERATION_COUNT: Final = 25
_STEP_PX: Final = 1e-3
_MIN_BLUR_PX: Final = 0.3
_CONVERGED_PX: Final = 1e-3

_erf = np.vectorize(math.erf, otypes=[np.float64])


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Two edges of a band, pixels along the profile, and the gray levels before, inside and behind it.

    ``residual`` is the standard deviation of what the model does not explain, in gray levels.
    """

    first_px: float
    second_px: float
    blur_px: float
    before_level: float
    inside_level: float
    behind_level: float
    residual: float

    @property
    def width_px(self) -> float:
        """Return the distance of the edges."""
        return self.second_px - self.first_px

    @property
    def contrast(self) -> float:
        """Return how much brighter the band is than the brighter side."""
        return self.inside_level - max(self.before_level, self.behind_level)


def fit_band(
    positions_px: NDArray[np.float64], profile: NDArray[np.float64], first_px: float, second_px: float, blur_px: float
) -> Band | None:
    """Fit a band near the given edges to ``profile``; None when the fit does not converge inside the profile."""
    unknowns = np.array([first_px, second_px, math.log(blur_px)])
    residuals = _residuals(positions_px, profile, unknowns)
    damping = 1e-3
    for _ in range(_ITERATION_COUNT):
        slopes = _slopes(positions_px, profile, unknowns, residuals)
        normal = slopes.T @ slopes
        step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), slopes.T @ residuals)
        candidate = unknowns + np.clip(step, -3, 3)
        fresh = _residuals(positions_px, profile, candidate)
        if fresh @ fresh < residuals @ residuals:
            unknowns, residuals, damping = candidate, fresh, damping / 5
        else:
            damping *= 10
        if np.abs(step[:2]).max() < _CONVERGED_PX:
            break
    return _as_band(positions_px, profile, unknowns, residuals)


def _shapes(positions_px: NDArray[np.float64], unknowns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the levels before, inside and behind are multiplied with: (positions, 3)."""
    blur_px = max(math.exp(min(float(unknowns[2]), 10.0)), _MIN_BLUR_PX) * math.sqrt(2)
    begun = 0.5 * (1 + _erf((positions_px - unknowns[0]) / blur_px))
    ended = 0.5 * (1 + _erf((positions_px - unknowns[1]) / blur_px))
    return np.stack([1 - begun, begun - ended, ended], axis=1)


def _levels(shapes: NDArray[np.float64], profile: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.lstsq(shapes, profile, rcond=None)[0])


def _residuals(
    positions_px: NDArray[np.float64], profile: NDArray[np.float64], unknowns: NDArray[np.float64]
) -> NDArray[np.float64]:
    shapes = _shapes(positions_px, unknowns)
    return np.asarray(shapes @ _levels(shapes, profile) - profile)


def _slopes(
    positions_px: NDArray[np.float64],
    profile: NDArray[np.float64],
    unknowns: NDArray[np.float64],
    residuals: NDArray[np.float64],
) -> NDArray[np.float64]:
    moved = [_residuals(positions_px, profile, unknowns + _STEP_PX * axis) for axis in np.eye(3)]
    return np.stack([(values - residuals) / _STEP_PX for values in moved], axis=1)


def _as_band(
    positions_px: NDArray[np.float64],
    profile: NDArray[np.float64],
    unknowns: NDArray[np.float64],
    residuals: NDArray[np.float64],
) -> Band | None:
    first_px, second_px = float(unknowns[0]), float(unknowns[1])
    if not positions_px[0] < first_px < second_px < positions_px[-1]:
        return None
    before, inside, behind = (float(level) for level in _levels(_shapes(positions_px, unknowns), profile))
    return Band(
        first_px=first_px,
        second_px=second_px,
        blur_px=max(math.exp(float(unknowns[2])), _MIN_BLUR_PX),
        before_level=before,
        inside_level=inside,
        behind_level=behind,
        residual=float(residuals.std()),
    )
