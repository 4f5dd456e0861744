"""Sub-pixel edges of a slab with two inclined faces in a profile across it.

Seen along its length a slab that tapers shows three things: the outline of its thick end, the edge of its thin end, and
between them a face at grazing incidence, brighter or darker than the front. The model is five gray levels separated by
four edges, each an error function of one blur (a sharp edge seen by a Gaussian beam). The levels follow linearly from
the edges, so that only edges and blur are searched (variable projection, Golub and Pereyra 1973, SIAM J. Numer. Anal.
10, 413; Levenberg-Marquardt steps).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ITERATION_COUNT: Final = 40
_STEP: Final = 1e-3
_CONVERGED: Final = 1e-3
_LONGEST_STEP: Final = 2.0
_MIN_BLUR_PX: Final = 0.3
_START_BLUR_PX: Final = 1.5
_START_FACE_FRACTIONS: Final = (0.15, 0.3, 0.45)
_MIN_FACE_PX: Final = 1.5
"""Least distance of two edges; closer ones have no level of their own between them."""
_FACE_GAIN_RATIO: Final = 0.7
"""Faces are taken when they bring the unexplained part below this part of that without them (assumed)."""

Vector = NDArray[np.float64]

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Gray values and where along the profile they lie, in pixels."""

    positions_px: Vector
    values: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class SlabEdges:
    """Outer and inner edges on both sides in pixels, blur, and what the model leaves unexplained (one sigma).

    ``contrasts`` is how much brighter the slab is just inside each outer edge than outside. Without inclined faces the
    inner edges equal the outer ones.
    """

    outer_px: tuple[float, float]
    inner_px: tuple[float, float]
    has_faces: bool
    front_is_darkest: bool
    blur_px: float
    contrasts: tuple[float, float]
    residual: float

    @property
    def first_px(self) -> float:
        """Return the first face at half its length: the middle between its outer and its inner edge."""
        return (self.outer_px[0] + self.inner_px[0]) / 2

    @property
    def second_px(self) -> float:
        """Return the second face at half its length."""
        return (self.outer_px[1] + self.inner_px[1]) / 2


def fit_slab(profile: Profile, outer_px: tuple[float, float]) -> SlabEdges | None:
    """Fit edges and blur near the given outer edges; None when the fit does not end inside the profile.

    Inclined faces are part of the result when they explain the profile clearly better.
    """
    plain = _solve(profile, np.array([*outer_px, _START_BLUR_PX]))
    faced = fit_faced_slab(profile, outer_px)
    if plain is None or faced is None:
        return faced or plain
    return faced if faced.residual < _FACE_GAIN_RATIO * plain.residual else plain


def fit_faced_slab(profile: Profile, outer_px: tuple[float, float]) -> SlabEdges | None:
    """Fit a slab with two inclined faces that are brighter than its front; the best of several starts."""
    first, second = outer_px
    found = []
    for fraction in _START_FACE_FRACTIONS:
        face_px = fraction * (second - first)
        edges = _solve(profile, np.array([first, first + face_px, second - face_px, second, _START_BLUR_PX]))
        if edges is not None and edges.front_is_darkest:
            found.append(edges)
    return min(found, key=lambda edges: edges.residual, default=None)


def refit_slab(profile: Profile, known: SlabEdges, *, shift_px: float) -> SlabEdges | None:
    """Fit edges and blur near the outer edges of a known slab, moved by ``shift_px``, with faces when it has them."""
    outer_px = (known.outer_px[0] + shift_px, known.outer_px[1] + shift_px)
    if known.has_faces:
        return fit_faced_slab(profile, outer_px)
    return _solve(profile, np.array([*outer_px, known.blur_px]))


def _solve(profile: Profile, unknowns: Vector) -> SlabEdges | None:
    """Search 2 or 4 edges and the blur after them."""
    residuals, damping = _residuals(profile, unknowns), 1e-3
    for _ in range(_ITERATION_COUNT):
        moved = [_residuals(profile, unknowns + _STEP * axis) for axis in np.eye(len(unknowns))]
        slopes = np.stack([(values - residuals) / _STEP for values in moved], axis=1)
        normal = slopes.T @ slopes
        step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), slopes.T @ residuals)
        candidate = unknowns + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        fresh = _residuals(profile, candidate)
        if bool(np.all(np.diff(candidate[:-1]) >= _MIN_FACE_PX)) and fresh @ fresh < residuals @ residuals:
            unknowns, residuals, damping = candidate, fresh, damping / 5
        else:
            damping *= 10
        if np.abs(step).max() < _CONVERGED:
            break
    return _as_edges(profile, unknowns, residuals)


def _blur_px(unknowns: Vector) -> float:
    return max(abs(float(unknowns[-1])), _MIN_BLUR_PX)


def _parts(profile: Profile, unknowns: Vector) -> Vector:
    """Return what the levels between the edges are multiplied with: (positions, levels)."""
    blur_px = _blur_px(unknowns)
    distances = (unknowns[:-1][:, None] - profile.positions_px) / (blur_px * math.sqrt(2))
    begun = 0.5 * _erfc(distances)
    ones, zeros = np.ones_like(begun[:1]), np.zeros_like(begun[:1])
    return np.asarray(-np.diff(np.concatenate([ones, begun, zeros]), axis=0).T)


def _levels(parts: Vector, values: Vector) -> Vector:
    return np.asarray(np.linalg.lstsq(parts, values, rcond=None)[0])


def _residuals(profile: Profile, unknowns: Vector) -> Vector:
    parts = _parts(profile, unknowns)
    return np.asarray(parts @ _levels(parts, profile.values) - profile.values)


def _as_edges(profile: Profile, unknowns: Vector, residuals: Vector) -> SlabEdges | None:
    edges = [float(edge) for edge in unknowns[:-1]]
    if not profile.positions_px[0] < edges[0] < edges[-1] < profile.positions_px[-1]:
        return None
    levels = _levels(_parts(profile, unknowns), profile.values)
    has_faces = len(edges) == 4
    return SlabEdges(
        outer_px=(edges[0], edges[-1]),
        inner_px=(edges[1], edges[2]) if has_faces else (edges[0], edges[1]),
        has_faces=has_faces,
        front_is_darkest=float(levels[2]) == float(levels[1:-1].min()) if has_faces else False,
        blur_px=_blur_px(unknowns),
        contrasts=(float(levels[1] - levels[0]), float(levels[-2] - levels[-1])),
        residual=float(residuals.std()),
    )
