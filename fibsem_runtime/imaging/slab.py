"""Thickness of a lamella seen edge-on between its two trenches (methods.md check C13, first way)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image, PixelPoint
from fibsem_runtime.core.errors import AlignmentError, FeatureNotFoundError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.imaging.edgefit import Profile, SlabEdges, fit_slab, refit_slab
from fibsem_runtime.imaging.filters import to_float

_BLOCK_COUNT: Final = 8
_MIN_BLOCK_PX: Final = 8
_MIN_BLOCK_FRACTION: Final = 0.7
_MIN_CONTRAST_SIGMA_COUNT: Final = 3.0
_MARGIN_M: Final = 0.25e-6
"""How much of either trench is fitted: less than the height of the narrowest polishing pattern, 0.35 µm."""
_REACH_M: Final = 1.0e-6
_MIN_BAND_FRACTION: Final = 0.5
"""Bands dimmer than this part of the brightest are the floor of a trench (assumed)."""
_BAND_LEVEL_FRACTION: Final = 0.2
"""Where a band begins between the dark of a trench and the rims; its middle is dimmer than its rims (assumed)."""
_MAX_TILT_RAD: Final = math.radians(4.0)
_TILT_STEP_COUNT: Final = 33
_TAPER_UNCERTAINTY_RATIO: Final = 0.1
"""Error over the sum of both face widths on simulated lamellae: 0.03 below 180 nm, 0.13-0.19 above (measured)."""
_MAX_SCATTER_M: Final = 25e-9
"""Beyond, the faces are not understood; ± 25 nm is the goal for the thickness itself (methods.md check C13)."""
_MAX_OFFSET_M: Final = 0.4e-6
"""How far from the asked place a slab is still taken for the one that was asked for (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slab:
    """A lamella seen along its length.

    ``thickness_m`` is that at half its length: between the middles of the two faces, of which the outer edge belongs to
    the thick end and the inner edge to the thin one. ``silhouette_m`` is the distance of the outer edges. Both are
    across the slab at ``centre``; least and largest thickness are those of single blocks of columns; ``tilt_rad`` is
    the slope of the middle line, counter-clockwise; the edge uncertainties are standard errors.
    ``uncertainty_m`` is one sigma of the thickness; it grows with the taper, as faces that flare out at the foot put
    half the length nearer to the front than to the middle of the face.
    """

    centre: PixelPoint
    thickness_m: float
    thickness_min_m: float
    thickness_max_m: float
    silhouette_m: float
    uncertainty_m: float
    tilt_rad: float
    upper_edge_uncertainty_m: float
    lower_edge_uncertainty_m: float


def measure_slab(image: Image, centre: PixelPoint, *, width_m: float) -> Slab:
    """Measure the thickness of the slab at ``centre`` over ``width_m`` across the image.

    The image must show the slab edge-on and level to a few degrees. Raises `FeatureNotFoundError` when there is no band
    with two opposite edges, `AlignmentError` when there are two of them or the edges cannot be trusted.
    """
    pixel_size_m = image.pixel_size_m
    strip, left_px, top_px = _cut(image, centre, width_m)
    columns_px, profiles = _blocks(strip)
    middle_px = centre.x_px - left_px
    slope, level = _straighten(columns_px - middle_px, profiles)
    start = _find_band(level, centre.y_px - top_px, pixel_size_m)
    mean = _trusted(fit_slab(_around(level, start, pixel_size_m), start))
    if mean is None:
        raise AlignmentError("the slab has no two clear edges; image it with a longer dwell time or correct the focus")
    found = []
    for x_px, profile in zip(columns_px, profiles, strict=True):
        shift_px = slope * (float(x_px) - middle_px)
        ends = (mean.outer_px[0] + shift_px, mean.outer_px[1] + shift_px)
        edges = _trusted(refit_slab(_around(profile, ends, pixel_size_m), mean, shift_px=shift_px))
        if edges is not None:
            found.append((float(x_px), edges))
    if len(found) < max(3, _MIN_BLOCK_FRACTION * len(columns_px)):
        raise AlignmentError(
            f"only {len(found)} of {len(columns_px)} parts of the slab have two clear edges; image it with a longer "
            "dwell time or correct the focus, no thickness was taken"
        )
    return _summarise(found, middle_px, left_px, top_px, pixel_size_m)


def _cut(image: Image, centre: PixelPoint, width_m: float) -> tuple[NDArray[np.float64], int, int]:
    """Return the gray values around the slab and the column and row where they begin."""
    half_width_px = width_m / image.pixel_size_m / 2
    reach_px = _REACH_M / image.pixel_size_m
    left_px, right_px = round(centre.x_px - half_width_px), round(centre.x_px + half_width_px)
    top_px, bottom_px = round(centre.y_px - reach_px), round(centre.y_px + reach_px)
    height_px, all_width_px = image.shape
    if left_px < 0 or top_px < 0 or right_px > all_width_px or bottom_px > height_px:
        raise FeatureNotFoundError(
            f"a slab {format_quantity(width_m, 'm')} wide at x {centre.x_px:.0f}, y {centre.y_px:.0f} px leaves the "
            "image; centre it or use a larger field"
        )
    if right_px - left_px < 3 * _MIN_BLOCK_PX:
        raise FeatureNotFoundError(
            f"a slab of {right_px - left_px} px is too few to measure, needed are {3 * _MIN_BLOCK_PX}; "
            "use a smaller field"
        )
    part = to_float(image.data[top_px:bottom_px, left_px:right_px])
    return part.astype(np.float64), left_px, top_px


def _blocks(strip: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle columns of some blocks of columns and their averaged profiles (blocks, rows)."""
    parts = np.array_split(np.arange(strip.shape[1]), min(_BLOCK_COUNT, strip.shape[1] // _MIN_BLOCK_PX))
    middles = np.array([part.mean() + 0.5 for part in parts])
    return middles, np.stack([strip[:, part].mean(axis=1) for part in parts])


def _straighten(columns_px: NDArray[np.float64], profiles: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the slope at which the profiles add up to the sharpest one, and that profile."""
    rows_px = np.arange(profiles.shape[1])
    best_slope, best, best_sharpness = 0.0, profiles.mean(axis=0), -1.0
    for slope in np.tan(np.linspace(-_MAX_TILT_RAD, _MAX_TILT_RAD, _TILT_STEP_COUNT)):
        shifted = [
            np.interp(rows_px + slope * x, rows_px, profile) for x, profile in zip(columns_px, profiles, strict=True)
        ]
        mean = np.mean(shifted, axis=0)
        sharpness = float(np.sum(np.diff(mean[::2]) ** 2))
        if sharpness > best_sharpness:
            best_slope, best, best_sharpness = float(slope), mean, sharpness
    return best_slope, best


def _find_band(profile: NDArray[np.float64], centre_px: float, pixel_size_m: float) -> tuple[float, float]:
    """Return the rows where the only bright band near ``centre_px`` begins and ends."""
    smoothed = np.convolve(np.pad(profile, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    dark, bright = float(np.percentile(smoothed, 10)), float(np.percentile(smoothed, 99))
    level = dark + _BAND_LEVEL_FRACTION * (bright - dark)
    steps = np.diff(np.concatenate([[0], (smoothed > level).astype(np.int8), [0]]))
    runs = list(zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True))
    reach_px = _MAX_OFFSET_M / pixel_size_m
    brightest = max((float(smoothed[a:b].mean()) for a, b in runs), default=dark) - dark
    runs = [(a, b) for a, b in runs if smoothed[a:b].mean() - dark > _MIN_BAND_FRACTION * brightest]
    near = [(float(a), float(b)) for a, b in runs if a < centre_px + reach_px and b > centre_px - reach_px]
    whole = [(a, b) for a, b in near if a > 0 and b < len(profile)]
    if not whole:
        raise FeatureNotFoundError(
            "no bright band with a dark trench on both sides at the place of the slab; it is milled away, not yet "
            "thinned, or the image is not centred on it"
        )
    if len(near) > 1:
        raise AlignmentError(
            f"{len(near)} bright bands within {format_quantity(_MAX_OFFSET_M, 'm')} of the slab's place; "
            "centre the image on the one to measure"
        )
    return whole[0]


def _around(values: NDArray[np.float64], ends_px: tuple[float, float], pixel_size_m: float) -> Profile:
    """Return the part of a profile that holds the slab and a margin of trench on both sides."""
    margin_px = _MARGIN_M / pixel_size_m
    first, last = max(0, math.floor(ends_px[0] - margin_px)), min(len(values), math.ceil(ends_px[1] + margin_px))
    return Profile(positions_px=np.arange(first, last, dtype=np.float64) + 0.5, values=values[first:last])


def _trusted(edges: SlabEdges | None) -> SlabEdges | None:
    """Return the edges when both stand clear of what the model leaves unexplained."""
    if edges is None or min(edges.contrasts) < _MIN_CONTRAST_SIGMA_COUNT * edges.residual:
        return None
    return edges


def _summarise(
    found: list[tuple[float, SlabEdges]], x_px: float, left_px: int, top_px: int, pixel_size_m: float
) -> Slab:
    columns_px = np.array([x for x, _ in found]) - x_px
    upper = _line(columns_px, np.array([edges.first_px for _, edges in found]))
    lower = _line(columns_px, np.array([edges.second_px for _, edges in found]))
    slope = (upper[1] + lower[1]) / 2
    across_m = pixel_size_m * math.cos(math.atan(slope))
    widths_m = np.array([edges.second_px - edges.first_px for _, edges in found]) * across_m
    silhouettes_m = np.array([edges.outer_px[1] - edges.outer_px[0] for _, edges in found]) * across_m
    taper_m = float(np.median([sum(abs(o - i) for o, i in zip(e.outer_px, e.inner_px, strict=True)) for _, e in found]))
    taper_m *= across_m
    scatter_m = 1.4826 * float(np.median(np.abs(widths_m - np.median(widths_m))))
    if scatter_m > _MAX_SCATTER_M:
        raise AlignmentError(
            f"parts of the slab differ by {format_quantity(scatter_m, 'm')} (one sigma) in thickness, allowed are "
            f"{format_quantity(_MAX_SCATTER_M, 'm')}; it tapers too much for one number, look at its image"
        )
    return Slab(
        centre=PixelPoint(left_px + x_px, top_px + (upper[0] + lower[0]) / 2),
        thickness_m=(lower[0] - upper[0]) * across_m,
        thickness_min_m=float(widths_m.min()),
        thickness_max_m=float(widths_m.max()),
        silhouette_m=float(np.median(silhouettes_m)),
        uncertainty_m=math.hypot(upper[2] * across_m, lower[2] * across_m, _TAPER_UNCERTAINTY_RATIO * taper_m),
        tilt_rad=-math.atan(slope),
        upper_edge_uncertainty_m=upper[2] * across_m,
        lower_edge_uncertainty_m=lower[2] * across_m,
    )


def _line(x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return intercept and slope of a line that outliers do not bend (Theil-Sen), and its standard error."""
    first, second = np.triu_indices(len(x_px), 1)
    slope = float(np.median((y_px[second] - y_px[first]) / (x_px[second] - x_px[first])))
    intercept = float(np.median(y_px - slope * x_px))
    scatter = 1.4826 * float(np.median(np.abs(y_px - intercept - slope * x_px)))
    return intercept, slope, scatter / math.sqrt(len(x_px))
