"""How far the content of an image has moved since a reference was taken, or a refusal (methods.md check C2).

Two methods look at different signals: the band-passed intensities by normalised cross-correlation, and the strength of
edges by correlation followed by the enhanced correlation coefficient (Evangelidis and Psarakis 2008, IEEE TPAMI 30,
1858). A shift is returned only when they agree and the peak has no rival.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image, Pixels
from fibsem_runtime.core.errors import AlignmentError
from fibsem_runtime.imaging.correlation import Peak, correlate, find_peak, overlap_score, refine_peak
from fibsem_runtime.imaging.filters import band_pass, clip_outliers, gradient_magnitude, shrink, smooth, to_float

_COARSE_SIZE_PX: Final = 640
_MIN_SIZE_PX: Final = 32
_LOBE_PX: Final = 5
_LARGEST_SHIFT_FRACTION: Final = 0.45
"""Of the smaller side; beyond, too little of both images overlaps to be compared."""
_SCALE_TOLERANCE_RATIO: Final = 1e-3
_FINE_SIGMA_PX: Final = 1.5
_COARSE_SIGMA_PX: Final = 16.0
_EDGE_SIGMA_PX: Final = 1.5
_ECC_CRITERIA: Final = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationGates:
    """When a registration is refused.

    ``max_rival_ratio`` is where true and false locks separate (0.35-0.72 against 0.86-0.99 on simulated scenes,
    methods.md section 3); ``max_disagreement_px`` is the predecessor's 2 px; ``min_score`` is ours: the coefficient of
    two unrelated noise images stays below 0.1.
    """

    min_score: float = 0.12
    max_rival_ratio: float = 0.80
    max_disagreement_px: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The content of the moving image lies (dx, dy) px from where the reference has it, x right and y down.

    ``score`` is the correlation coefficient of the overlap after the shift is undone, ``rival_ratio`` the height of the
    best other peak over the chosen one, ``disagreement_px`` the distance between the results of the two methods.
    """

    dx_px: float
    dy_px: float
    score: float
    rival_ratio: float
    disagreement_px: float


_DEFAULT_GATES: Final = RegistrationGates()


def register(
    reference: Image | Pixels,
    moving: Image | Pixels,
    *,
    max_shift_px: float | None = None,
    gates: RegistrationGates = _DEFAULT_GATES,
) -> Registration:
    """Measure how far the content has moved from ``reference`` to ``moving``, to a few hundredths of a pixel.

    Shifts up to ``max_shift_px`` per axis are searched (a quarter of the smaller side when None, never more than
    0.45 of it). Brightness, contrast and focus may differ. Raises `AlignmentError` for images that cannot be compared,
    a peak on the boundary of the search, a rival peak, a low score or methods that disagree.
    """
    _check_comparable(reference, moving)
    first, second = to_float(reference), to_float(moving)
    search_px = _search_px(first.shape, max_shift_px)
    factor = _shrink_factor(first.shape)
    fine_1, fine_2 = _intensities(first), _intensities(second)
    peak = _coarse_peak(fine_1, fine_2, search_px, factor, gates)
    _check_peak(peak, gates)
    dx_px, dy_px = refine_peak(fine_1, fine_2, *_full_resolution(peak, factor))
    score = overlap_score(fine_1, fine_2, dx_px, dy_px)
    other_dx_px, other_dy_px = _second_method(first, second, search_px, factor, gates)
    disagreement_px = math.hypot(dx_px - other_dx_px, dy_px - other_dy_px)
    if disagreement_px > gates.max_disagreement_px:
        raise AlignmentError(
            f"two registration methods disagree by {disagreement_px:.1f} px, allowed are {gates.max_disagreement_px:g} "
            "px; image with a longer dwell time or choose a more distinct reference"
        )
    return Registration(
        dx_px=dx_px, dy_px=dy_px, score=score, rival_ratio=peak.rival_ratio, disagreement_px=disagreement_px
    )


def _check_comparable(reference: Image | Pixels, moving: Image | Pixels) -> None:
    if reference.shape != moving.shape:
        raise AlignmentError(
            f"images of {reference.shape} and {moving.shape} (height, width) cannot be registered; "
            "repeat the reference's acquisition settings"
        )
    if min(reference.shape) < _MIN_SIZE_PX:
        raise AlignmentError(
            f"an image of {reference.shape} (height, width) is too small to register, needed are {_MIN_SIZE_PX} px "
            "each way; widen the reduced area"
        )
    if isinstance(reference, Image) and isinstance(moving, Image):
        _check_scale(reference.metadata.pixel_size_m, moving.metadata.pixel_size_m)


def _check_scale(first_m: float | None, second_m: float | None) -> None:
    if first_m is None or second_m is None or abs(first_m - second_m) <= _SCALE_TOLERANCE_RATIO * first_m:
        return
    raise AlignmentError(
        f"images with pixels of {first_m * 1e9:.2f} and {second_m * 1e9:.2f} nm cannot be registered; "
        "repeat the reference's field width"
    )


def _search_px(shape: tuple[int, ...], max_shift_px: float | None) -> int:
    largest_px = _LARGEST_SHIFT_FRACTION * min(shape)
    wanted_px = min(shape) / 4 if max_shift_px is None else max_shift_px
    return max(2, math.ceil(min(wanted_px, largest_px)))


def _intensities(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the band between shot noise and slow brightness, without bright specks."""
    return clip_outliers(band_pass(values, _FINE_SIGMA_PX, _COARSE_SIGMA_PX))


def _shrink_factor(shape: tuple[int, ...]) -> int:
    return math.ceil(max(shape) / _COARSE_SIZE_PX)


def _peak(first: NDArray[np.float32], second: NDArray[np.float32], search_px: int, gates: RegistrationGates) -> Peak:
    coefficients = correlate(first, second, search_px, search_px)
    return find_peak(coefficients, rival_level_ratio=gates.max_rival_ratio, lobe_px=_LOBE_PX)


def _coarse_peak(
    first: NDArray[np.float32], second: NDArray[np.float32], search_px: int, factor: int, gates: RegistrationGates
) -> Peak:
    """Return the peak of two signals shrunk by ``factor``, in pixels of the shrunk signals."""
    small_search_px = min(math.ceil(search_px / factor) + 1, int(_LARGEST_SHIFT_FRACTION * min(first.shape) / factor))
    return _peak(shrink(first, factor), shrink(second, factor), small_search_px, gates)


def _check_peak(peak: Peak, gates: RegistrationGates) -> None:
    """Refuse a peak that is not one clear maximum inside the search."""
    if peak.score < gates.min_score:
        raise AlignmentError(
            f"registration scores {peak.score:.2f}, needed are {gates.min_score:g}: the images do not show the same "
            "content; check focus, contrast and position"
        )
    if peak.is_on_boundary:
        raise AlignmentError(
            "registration has its best match on the edge of the search: the shift is larger than allowed; "
            "move closer to the reference or allow a larger shift"
        )
    if peak.rival_ratio > gates.max_rival_ratio:
        raise AlignmentError(
            f"registration is ambiguous: a second match reaches {peak.rival_ratio:.2f} of the best, allowed are "
            f"{gates.max_rival_ratio:g}; the content repeats itself, choose a distinct reference"
        )


def _full_resolution(peak: Peak, factor: int) -> tuple[float, float]:
    """Return the shift of a peak in pixels of the unshrunk image."""
    return float(peak.dx_px * factor), float(peak.dy_px * factor)


def _second_method(
    first: NDArray[np.float32], second: NDArray[np.float32], search_px: int, factor: int, gates: RegistrationGates
) -> tuple[float, float]:
    """Return the shift found by the strength of edges and ECC, which shares no signal with the first method."""
    edges_1, edges_2 = (_edges(shrink(values, factor)) for values in (first, second))
    peak = _coarse_peak(edges_1, edges_2, math.ceil(search_px / factor), 1, gates)
    warp = np.array([[1.0, 0.0, peak.dx_px], [0.0, 1.0, peak.dy_px]], dtype=np.float32)
    try:
        _, found = cv2.findTransformECC(edges_1, edges_2, warp, cv2.MOTION_TRANSLATION, _ECC_CRITERIA)
    except cv2.error as error:
        raise AlignmentError(
            "the edges of the two images cannot be brought together; check focus, contrast and position"
        ) from error
    shift_px = np.asarray(found, dtype=np.float64)[:, 2] * factor
    return float(shift_px[0]), float(shift_px[1])


def _edges(values: NDArray[np.float32]) -> NDArray[np.float32]:
    strength = clip_outliers(gradient_magnitude(values, _EDGE_SIGMA_PX))
    return strength - smooth(strength, _COARSE_SIGMA_PX)
