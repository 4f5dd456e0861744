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
    fine_1, fine_2 = _intensities(first), _intensities(second)
    peak = _coarse_peak(fine_1, fine_2, search_px, gates)
    _check_peak(peak, search_px, gates)
    dx_px, dy_px = refine_peak(fine_1, fine_2, *_full_resolution(fine_1, fine_2, peak))
    score = overlap_score(fine_1, fine_2, dx_px, dy_px)
    other_dx_px, other_dy_px = _second_method(first, second, search_px, gates)
    disagreement_px = math.hypot(dx_px - other_dx_px, dy_px - other_dy_px)
    if disagreement_px > gates.max_disagreement_px:
        raise AlignmentError(
            f"two registration methods disagree by {disagreement_px:.1f} px, allowed are {gates.max_disagreement_px:g} "
            "px; image with a longer dwell time or choose a more distinct reference"
        )
    return Registration(
        dx_px=dx_px, dy_px=dy_px, score=score, rival_ratio=peak.rival_ratio, disagreement_px=disagreement_px
    )
