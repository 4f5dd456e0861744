"""Thickness of a lamella seen edge-on between its two trenches (methods.md check C13, first way).

Each edge lies where the gray value has risen half-way from the dark of the trench to the bright rim beside it, as edges
are read by hand. A lamella that tapers along the beam shows its thick end as a dim outline and its thin end as
the inner side of the rim; the half-way point lies between the two. On simulated lamellae of 240-250 nm with 35 nm of
taper it read 12 ± 6 nm less than the median thickness (measured, six lamellae; docs/decisions/0002).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image, PixelPoint
from fibsem_runtime.core.errors import AlignmentError, FeatureNotFoundError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.imaging.filters import to_float

_BLOCK_COUNT: Final = 8
_MIN_BLOCK_PX: Final = 8
_MIN_BLOCK_FRACTION: Final = 0.7
_MIN_CONTRAST_SIGMA_COUNT: Final = 5.0
"""How many times the noise of the trench a rim must stand above it (assumed)."""
_MARGIN_M: Final = 0.25e-6
"""How much of either trench is looked at: less than the height of the narrowest polishing pattern, 0.35 µm."""
_REACH_M: Final = 1.0e-6
_MIN_BAND_FRACTION: Final = 0.5
"""Bands dimmer than this part of the brightest are the floor of a trench (assumed)."""
_BAND_LEVEL_FRACTION: Final = 0.2
"""Where a band begins between the dark of a trench and the rims; its middle is dimmer than its rims (assumed)."""
_MAX_TILT_RAD: Final = math.radians(4.0)
_TILT_STEP_COUNT: Final = 33
_MAX_SCATTER_M: Final = 25e-9
"""Beyond, the faces are not understood; ± 25 nm is the goal for the thickness itself (methods.md check C13)."""
_MAX_OFFSET_M: Final = 0.4e-6
"""How far from the asked place a slab is still taken for the one that was asked for (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slab:
    """A lamella seen along its length.

    ``thickness_m`` is across the slab at ``centre``; least and largest thickness are those of single blocks of columns;
    ``tilt_rad`` is the slope of the middle line, counter-clockwise; ``uncertainty_m`` is one standard error of the
    thickness from the scatter of the blocks, without the systematic part that the taper brings.
    """

    centre: PixelPoint
    thickness_m: float
    thickness_min_m: float
    thickness_max_m: float
    uncertainty_m: float
    tilt_rad: float


def measure_slab(image: Image, centre: PixelPoint, *, width_m: float) -> Slab:
    """Measure the thickness of the slab at ``centre`` over ``width_m`` across the image.

    The image must show the slab edge-on and level to a few degrees. Raises `FeatureNotFoundError` when there is no band
    with two opposite edges, `AlignmentError` when there are two of them or the edges cannot be trusted.
    """
    strip, left_px, top_px = _cut(image, centre, width_m)
    columns_px, profiles = _blocks(strip)
    middle_px = centre.x_px - left_px
    slope, level = _straighten(columns_px - middle_px, profiles)
    start_px = _find_band(level, centre.y_px - top_px, image.pixel_size_m)
    margin_px = _MARGIN_M / image.pixel_size_m
    found = []
    for x_px, profile in zip(columns_px, profiles, strict=True):
        shift_px = slope * (float(x_px) - middle_px)
        edges_px = _edges(profile, start_px[0] + shift_px, start_px[1] + shift_px, margin_px)
        if edges_px is not None:
            found.append((float(x_px), *edges_px))
    if len(found) < max(3, _MIN_BLOCK_FRACTION * len(columns_px)):
        raise AlignmentError(
            f"only {len(found)} of {len(columns_px)} parts of the slab have two clear edges; image it with a longer "
            "dwell time or correct the focus, no thickness was taken"
        )
    return _summarise(np.array(found), middle_px, left_px, top_px, image.pixel_size_m)


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


def _edges(
    profile: NDArray[np.float64], first_px: float, last_px: float, margin_px: float
) -> tuple[float, float] | None:
    """Return where the slab between two rough ends begins and ends; None when a rim is not clear of the dark."""
    first, last = max(0, round(first_px - margin_px)), min(len(profile), round(last_px + margin_px))
    middle = round((first_px + last_px) / 2)
    upper = _half_way(profile[first:middle], round(first_px) - first)
    lower = _half_way(profile[middle:last][::-1], last - round(last_px))
    return None if upper is None or lower is None else (first + upper, last - lower)


def _half_way(flank: NDArray[np.float64], dark_count: int) -> float | None:
    """Return where a flank that begins in the dark has risen half-way to its brightest; pixel i spans i to i + 1."""
    dark = flank[: max(2, dark_count - 2)]
    level, peak = float(np.median(dark)), int(flank.argmax())
    if float(flank[peak]) - level < _MIN_CONTRAST_SIGMA_COUNT * float(dark.std()) or peak == 0:
        return None
    half = (level + float(flank[peak])) / 2
    below = peak - 1
    while below > 0 and flank[below] >= half:
        below -= 1
    if flank[below] >= half:
        return None
    return below + 0.5 + (half - float(flank[below])) / (float(flank[below + 1]) - float(flank[below]))


def _summarise(found: NDArray[np.float64], x_px: float, left_px: int, top_px: int, pixel_size_m: float) -> Slab:
    """Combine the blocks' (column, first edge, second edge)."""
    columns_px = found[:, 0] - x_px
    upper, lower = _line(columns_px, found[:, 1]), _line(columns_px, found[:, 2])
    slope = (upper[1] + lower[1]) / 2
    across_m = pixel_size_m * math.cos(math.atan(slope))
    widths_m = (found[:, 2] - found[:, 1]) * across_m
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
        uncertainty_m=math.hypot(upper[2], lower[2]) * across_m,
        tilt_rad=-math.atan(slope),
    )


def _line(x_px: NDArray[np.float64], y_px: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return intercept and slope of a line that outliers do not bend (Theil-Sen), and its standard error."""
    first, second = np.triu_indices(len(x_px), 1)
    slope = float(np.median((y_px[second] - y_px[first]) / (x_px[second] - x_px[first])))
    intercept = float(np.median(y_px - slope * x_px))
    scatter = 1.4826 * float(np.median(np.abs(y_px - intercept - slope * x_px)))
    return intercept, slope, scatter / math.sqrt(len(x_px))
