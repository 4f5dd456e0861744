"""Where a shape puts its dose: its own frame, how finely it must be sampled, and its dose map blurred by the probe.

A footprint's frame has its origin at the shape's centre, u to the right and v up, turned by ``angle_rad``
counter-clockwise in the image. Doses are exact integrals (error functions) or exact shares of cells, so that an edge
is where the shape puts it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulator.cell_shares import covered_fractions
from drivers.simulator.pattern import Stroke
from fibsem_runtime.core.units import NM
from fibsem_runtime.hal.shapes import (
    BitmapShape,
    CircleShape,
    LineShape,
    PolygonShape,
    RectangleShape,
    ScanDirection,
    Shape,
)

Floats: TypeAlias = NDArray[np.float64]

SAMPLES_PER_SIGMA: Final = 4
"""Samples across an edge that runs along the grid, in one sigma of the probe: it is exact to 0.5 % of sigma (calc)."""

EDGE_ERROR_M: Final = 1 * NM
"""How exact an edge across the grid is: linear interpolation moves it by up to pitch^2 / (6 sigma) down to a tenth of
the full dose (calc)."""

MOST_SAMPLES: Final = 2_000_000
"""Samples of a shape whose outline runs anywhere; a large shape milled with a fine beam is sampled more widely."""

ARC_ERROR_M: Final = 0.1 * NM
"""Distance of a chord from its circle."""


class Footprint(Protocol):
    """One shape as the beam sees it."""

    @property
    def angle_rad(self) -> float:
        """Return the angle of u in the image, counter-clockwise."""

    @property
    def half_size_m(self) -> tuple[float, float]:
        """Return half the extent in u and v."""

    def pitch_m(self, sigma_m: float) -> tuple[float, float]:
        """Return the distance of samples in u and v that the edges need under a probe."""

    def dose(self, u_m: Floats, v_m: Floats, stroke: Stroke, sigma_m: float) -> Floats:
        """Return (v, u) float64: what a Gaussian beam leaves of a dose of 1 on the stroke's part of the shape."""


def footprint_of(shape: Shape) -> Footprint:
    """Return the footprint of a shape."""
    if isinstance(shape, RectangleShape):
        return RectangleFootprint(shape=shape)
    if isinstance(shape, LineShape):
        return LineFootprint(shape=shape)
    if isinstance(shape, BitmapShape):
        return BitmapFootprint(shape=shape)
    return AreaFootprint(shape=shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class RectangleFootprint:
    """Strips of a rectangle; v runs along or against the travel of the milled line, where samples are closest."""

    shape: RectangleShape

    @property
    def angle_rad(self) -> float:
        """Return the angle of u in the image."""
        return self.shape.rotation_rad + (math.pi / 2 if self._is_sideways else 0.0)

    @property
    def half_size_m(self) -> tuple[float, float]:
        """Return half the extent across and along the travel."""
        width_m, height_m = self.shape.width_m, self.shape.height_m
        return (height_m / 2, width_m / 2) if self._is_sideways else (width_m / 2, height_m / 2)

    @property
    def _is_sideways(self) -> bool:
        return self.shape.scan_direction in (ScanDirection.LEFT_TO_RIGHT, ScanDirection.RIGHT_TO_LEFT)

    def pitch_m(self, sigma_m: float) -> tuple[float, float]:
        """Return wide distances along the milled line and close ones across it, where the faces are."""
        return float(np.clip(sigma_m, 40 * NM, 60 * NM)), _pitch_across_m(sigma_m)

    def dose(self, u_m: Floats, v_m: Floats, stroke: Stroke, sigma_m: float) -> Floats:
        """Return the dose of the strip that the stroke covers."""
        half_u_m, half_v_m = self.half_size_m
        # With v turned by 90° for sideways scans, left to right runs against v as top to bottom does.
        downwards = self.shape.scan_direction in (ScanDirection.TOP_TO_BOTTOM, ScanDirection.LEFT_TO_RIGHT)
        fractions = (stroke.start_fraction, stroke.end_fraction)
        ends_m = [(2 * fraction - 1) * half_v_m * (-1 if downwards else 1) for fraction in fractions]
        across = _blurred_strip(v_m, min(ends_m), max(ends_m), sigma_m)
        return np.outer(across, _blurred_strip(u_m, -half_u_m, half_u_m, sigma_m))


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFootprint:
    """A line as thin as the beam, with the charge of a strip of its width; u runs along it."""

    shape: LineShape

    @property
    def angle_rad(self) -> float:
        """Return the angle of the line in the image."""
        way = self.shape.end - self.shape.start
        return math.atan2(way.y_m, way.x_m)

    @property
    def half_size_m(self) -> tuple[float, float]:
        """Return half its length, and nothing across."""
        return self.shape.length_m / 2, 0.0

    def pitch_m(self, sigma_m: float) -> tuple[float, float]:
        """Return wide distances along the line and close ones across it."""
        return float(np.clip(sigma_m, 40 * NM, 60 * NM)), _pitch_across_m(sigma_m)

    def dose(self, u_m: Floats, v_m: Floats, stroke: Stroke, sigma_m: float) -> Floats:
        """Return the beam's own profile across the line."""
        profile = np.exp(-0.5 * (v_m / sigma_m) ** 2) * (self.shape.width_m / (sigma_m * math.sqrt(math.tau)))
        half_m = self.shape.length_m / 2
        return np.outer(profile, _blurred_strip(u_m, -half_m, half_m, sigma_m))


@dataclass(frozen=True, slots=True, kw_only=True)
class BitmapFootprint:
    """An upright raster of doses."""

    shape: BitmapShape

    @property
    def angle_rad(self) -> float:
        """Return 0: bitmaps stand upright."""
        return 0.0

    @property
    def half_size_m(self) -> tuple[float, float]:
        """Return half the width and height."""
        return self.shape.width_m / 2, self.shape.height_m / 2

    def pitch_m(self, sigma_m: float) -> tuple[float, float]:
        """Return close distances in both directions: steps of dose run along both."""
        return (_pitch_in_area_m(self.half_size_m, sigma_m),) * 2

    def dose(self, u_m: Floats, v_m: Floats, stroke: Stroke, sigma_m: float) -> Floats:
        """Return the sum of the blurred points of the bitmap, each a rectangle of its own dose."""
        shares = np.array(self.shape.depth_fraction)[::-1]
        half_u_m, half_v_m = self.half_size_m
        columns = _blurred_cells(u_m, half_u_m, shares.shape[1], sigma_m)
        rows = _blurred_cells(v_m, half_v_m, shares.shape[0], sigma_m)
        return np.asarray(rows.T @ shares @ columns, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaFootprint:
    """The inside of a polygon, a circle or a ring."""

    shape: PolygonShape | CircleShape

    @property
    def angle_rad(self) -> float:
        """Return 0: the samples run along the image."""
        return 0.0

    @property
    def half_size_m(self) -> tuple[float, float]:
        """Return half the width and height of the box around it."""
        return self.shape.box.half_width_m, self.shape.box.half_height_m

    def pitch_m(self, sigma_m: float) -> tuple[float, float]:
        """Return close distances in both directions: the outline runs along any."""
        return (_pitch_in_area_m(self.half_size_m, sigma_m),) * 2

    def dose(self, u_m: Floats, v_m: Floats, stroke: Stroke, sigma_m: float) -> Floats:
        """Return the covered share of each cell around the samples, blurred by what the probe is wider than a cell."""
        pitch_m = float(u_m[1] - u_m[0])
        corner_m = np.array([u_m[0], v_m[0]]) - pitch_m / 2
        covered = np.zeros((len(v_m), len(u_m)))
        for outline_m, sign in self._outlines_m():
            covered += sign * covered_fractions((outline_m - corner_m) / pitch_m, *covered.shape)
        # A cell's average is a blur of its own with a variance of pitch^2 / 12.
        sigma_px = math.sqrt(max((sigma_m / pitch_m) ** 2 - 1 / 12, 0.01))
        size = 2 * math.ceil(6 * sigma_px) + 1
        blurred = cv2.GaussianBlur(covered, (size, size), sigma_px, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(blurred, np.float64)

    def _outlines_m(self) -> list[tuple[Floats, float]]:
        """Return the closed lines around the shape's centre, each adding (1) or leaving out (-1) its inside."""
        shape = self.shape
        if isinstance(shape, PolygonShape):
            points = [(p.x_m - shape.centre.x_m, p.y_m - shape.centre.y_m) for p in shape.vertices]
            return [(np.array(points), 1.0)]
        outlines = [(_circle_m(shape.outer_diameter_m / 2), 1.0)]
        if shape.inner_diameter_m > 0:
            outlines.append((_circle_m(shape.inner_diameter_m / 2), -1.0))
        return outlines


def _circle_m(radius_m: float) -> Floats:
    """Return (n, 2): a polygon as large as the circle, never farther from it than `ARC_ERROR_M`."""
    count = max(16, math.ceil(math.pi / math.sqrt(2 * ARC_ERROR_M / max(radius_m, ARC_ERROR_M))))
    angles_rad = np.arange(count) * math.tau / count
    # Its corners stand out as far as its sides fall short, so that the area is that of the circle.
    equal_area_m = radius_m * math.sqrt(math.tau / count / math.sin(math.tau / count))
    return equal_area_m * np.stack([np.cos(angles_rad), np.sin(angles_rad)], axis=1)


def _pitch_across_m(sigma_m: float) -> float:
    return float(np.clip(sigma_m / SAMPLES_PER_SIGMA, 2 * NM, 25 * NM))


def _pitch_in_area_m(half_size_m: tuple[float, float], sigma_m: float) -> float:
    """Return the pitch that keeps every edge to `EDGE_ERROR_M`, at most the probe's sigma, within `MOST_SAMPLES`."""
    exact_m = min(sigma_m, math.sqrt(6 * EDGE_ERROR_M * sigma_m))
    return max(exact_m, math.sqrt(4 * half_size_m[0] * half_size_m[1] / MOST_SAMPLES))


def _blurred_cells(at_m: Floats, half_m: float, count: int, sigma_m: float) -> Floats:
    """Return (count, samples): each of ``count`` equal parts of an interval around 0, blurred."""
    ends = _blurred_ends(at_m, np.linspace(-half_m, half_m, count + 1), sigma_m)
    return ends[:-1] - ends[1:]


def _blurred_strip(at_m: Floats, low_m: float, high_m: float, sigma_m: float) -> Floats:
    """Return (samples,): unit dose between two ends, blurred by a Gaussian, exactly."""
    ends = _blurred_ends(at_m, np.array([low_m, high_m]), sigma_m)
    return np.asarray(ends[0] - ends[1])


def _blurred_ends(at_m: Floats, ends_m: Floats, sigma_m: float) -> Floats:
    """Return (ends, samples): half an error function of the distance from each end."""
    scaled = (at_m - ends_m[:, np.newaxis]) / (sigma_m * math.sqrt(2))
    return np.array([[math.erf(x) for x in row] for row in scaled]) / 2
