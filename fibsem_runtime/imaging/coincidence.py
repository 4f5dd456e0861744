"""Whether both beams look at one point: an electron and an ion image brought to one plane and compared (check C7).

The image of a flat film is foreshortened differently by the two columns; stretched along y by the ratio of the two
(vendor-geometry.md section 6), the ion image shows the film as the electron image does. Brightness differs in sign and
kind between the beams, so that the strength of edges is compared. Refuse, do not guess: two independent bands agree,
no peak on the boundary, no rival above 0.80 outside a lobe of 3.2 µm (methods.md sections 3 and 11).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image, ImagePoint
from fibsem_runtime.core.errors import AlignmentError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.imaging.correlation import Peak, correlate, find_peak, refine_peak
from fibsem_runtime.imaging.filters import band_pass, clip_outliers, gradient_magnitude, normalise_contrast, to_float

_WORK_PIXEL_M: Final = 0.3e-6
_LOBE_M: Final = 3.2e-6
_MAX_RIVAL_RATIO: Final = 0.80
_MAX_DISAGREEMENT_M: Final = 8e-6
_FINE_DISAGREEMENT_M: Final = 0.75e-6
"""How near the two bands must be: far from coincidence one correction only has to land within reach of the next."""
_MIN_SCORE: Final = 0.10
_SEARCH_FRACTION: Final = 0.40
_BANDS_M: Final = ((0.5e-6, 0.8e-6, 4e-6), (0.9e-6, 1.6e-6, 10e-6))
"""Each band: blur before the gradient, finest and coarsest size kept of the edge strength (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coincidence:
    """How far the content of the ion image lies from that of the electron image.

    ``offset``: metres in the ion image, x right and y up, so that its y is what a vertical move takes. ``score`` is the
    correlation coefficient, ``rival_ratio`` the best other peak over the chosen one, ``disagreement_m`` the distance
    between the results of the two bands in the plane of the film.
    """

    offset: ImagePoint
    score: float
    rival_ratio: float
    disagreement_m: float

    @property
    def is_fine(self) -> bool:
        """Tell whether the two bands agree well enough to call the beams coincident."""
        return self.disagreement_m <= _FINE_DISAGREEMENT_M


def measure_coincidence(electron: Image, ion: Image, stretch_ratio: float) -> Coincidence:
    """Measure how far the two beams are from looking at one point of the film.

    ``stretch_ratio`` is the length of the film along y in the electron image over that in the ion image (from the
    kinematics at the pose of the images). A result is good for one more correction; only one that `is_fine` says that
    the beams meet. Raises `AlignmentError` when the two images cannot be brought together with certainty; image with a
    longer dwell time then (at least 1 µs).
    """
    first, second = _common_plane(electron, ion, stretch_ratio)
    results = [_match(first, second, band_m) for band_m in _BANDS_M]
    (fine_x_px, fine_y_px, peak), (coarse_x_px, coarse_y_px, _) = results
    disagreement_m = math.hypot(fine_x_px - coarse_x_px, fine_y_px - coarse_y_px) * _WORK_PIXEL_M
    if disagreement_m > _MAX_DISAGREEMENT_M:
        raise AlignmentError(
            f"two sizes of detail place the ion image {format_quantity(disagreement_m, 'm')} apart, allowed are "
            f"{format_quantity(_MAX_DISAGREEMENT_M, 'm')}; image both beams with a longer dwell time"
        )
    return Coincidence(
        offset=ImagePoint(fine_x_px * _WORK_PIXEL_M, -fine_y_px * _WORK_PIXEL_M / stretch_ratio),
        score=peak.score,
        rival_ratio=peak.rival_ratio,
        disagreement_m=disagreement_m,
    )


def _common_plane(electron: Image, ion: Image, stretch_ratio: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return both images at the working pixel size over the field that both show, centres in the middle."""
    width_m = min(image.pixel_size_m * image.shape[1] for image in (electron, ion))
    height_m = min(electron.pixel_size_m * electron.shape[0], ion.pixel_size_m * ion.shape[0] * stretch_ratio)
    shape = (int(height_m / _WORK_PIXEL_M), int(width_m / _WORK_PIXEL_M))
    return _resample(electron, shape, 1.0), _resample(ion, shape, stretch_ratio)


def _resample(image: Image, shape: tuple[int, int], stretch_ratio: float) -> NDArray[np.float32]:
    """Return ``image`` stretched along y around its centre, without detail finer than the new pixel."""
    scale_x = _WORK_PIXEL_M / image.pixel_size_m
    scale_y = scale_x / stretch_ratio
    values = to_float(image)
    if scale_y > 1:
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), sigmaX=0.5 * scale_x, sigmaY=0.5 * scale_y), np.float32)
    (height_px, width_px), (full_height_px, full_width_px) = shape, image.shape
    back = np.array(
        [
            [scale_x, 0.0, full_width_px / 2 - 0.5 - scale_x * (width_px / 2 - 0.5)],
            [0.0, scale_y, full_height_px / 2 - 0.5 - scale_y * (height_px / 2 - 0.5)],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(values, back, (width_px, height_px), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, dtype=np.float32)


def _match(
    first: NDArray[np.float32], second: NDArray[np.float32], band_m: tuple[float, float, float]
) -> tuple[float, float, Peak]:
    """Return the sub-pixel shift and the peak of one band."""
    edges_1, edges_2 = _edges(first, band_m), _edges(second, band_m)
    max_dx_px, max_dy_px = (int(_SEARCH_FRACTION * size) for size in (first.shape[1], first.shape[0]))
    lobe_px = round(_LOBE_M / _WORK_PIXEL_M)
    peak = find_peak(correlate(edges_1, edges_2, max_dx_px, max_dy_px), rival_level_ratio=0.8, lobe_px=lobe_px)
    _check(peak)
    return (*refine_peak(edges_1, edges_2, peak.dx_px, peak.dy_px), peak)


def _edges(values: NDArray[np.float32], band_m: tuple[float, float, float]) -> NDArray[np.float32]:
    blur_px, fine_px, coarse_px = (size_m / _WORK_PIXEL_M for size_m in band_m)
    strength = band_pass(gradient_magnitude(values, blur_px), fine_px, coarse_px)
    return clip_outliers(normalise_contrast(strength, 2 * coarse_px), 3.0)


def _check(peak: Peak) -> None:
    if peak.score < _MIN_SCORE:
        raise AlignmentError(
            f"the electron and the ion image match with a score of {peak.score:.2f} only, needed are {_MIN_SCORE:g}; "
            "image both with a longer dwell time and check that both show the site"
        )
    if peak.is_on_boundary:
        raise AlignmentError("the best match of both beams lies on the edge of the search; correct the height by hand")
    if peak.rival_ratio > _MAX_RIVAL_RATIO:
        raise AlignmentError(
            f"the match of both beams is ambiguous: a second one reaches {peak.rival_ratio:.2f} of the best, allowed "
            f"are {_MAX_RIVAL_RATIO:g}; choose a field with a cell or a grid bar in it"
        )
