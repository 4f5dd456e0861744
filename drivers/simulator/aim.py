"""All rays of a frame at once: what depends on the view only, in the cells of the height field and of every cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.sample import Sample
from drivers.simulator.solid import PackedCuts, Solid
from drivers.simulator.view import View

_SLOWEST: Final = 1e-30
_STANDSTILL: Final = 1e-6
"""Cells a metre below which a ray stays in its column: one that crept back along a border would never leave it."""
_BOX_RIM_M: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Aim:
    """Affine maps from (across, down, s) to cells.

    ``course``: (8, 3) float64 for columns, rows and z: value at pixel (0, 0), change a pixel across, down, a metre
    along the ray, the inverse of that, lower and upper end of what is seen of the map; at last 1 when a plane lies
    around it, 0 and the plane's height. ``paths``: (cuts, 16) float64, the same four values for u, v and w of each cut,
    the three inverses and the largest front.
    """

    course: NDArray[np.float64]
    paths: NDArray[np.float64]


def take_aim(
    sample: Sample, solid: Solid, cuts: PackedCuts, rays: NDArray[np.float64], z_range_m: tuple[float, float]
) -> Aim:
    """Return the rays of a frame; ``rays``: (4, 3) metres, corner of pixel (0, 0), steps across and down, direction.

    ``z_range_m``: lowest and highest point of the map that they can meet.
    """
    rows, columns = sample.top_m.shape
    course = np.zeros((8, 3))
    course[:4] = rays / [sample.pitch_m, sample.pitch_m, 1.0]
    course[0, :2] -= np.array([sample.x0_m, sample.y0_m]) / sample.pitch_m
    course[3] = _away_from_zero(course[3])
    course[4] = 1 / course[3]
    course[5] = 0.0, 0.0, z_range_m[0] - _BOX_RIM_M
    course[6] = columns - 1, rows - 1, z_range_m[1] + _BOX_RIM_M
    course[7] = sample.has_surroundings, 0.0, solid.rim_m
    return Aim(course=course, paths=_paths(cuts, rays))


def rays_through(view: View, *, pixel_m: float, width_px: int, height_px: int) -> NDArray[np.float64]:
    """Return the rays of a full frame: corner of the top left pixel, steps across and down, direction."""
    corner = view.origin + pixel_m * (height_px / 2 * view.up - width_px / 2 * view.right)
    return np.stack([corner, pixel_m * view.right, -pixel_m * view.up, view.direction])


def _paths(cuts: PackedCuts, rays: NDArray[np.float64]) -> NDArray[np.float64]:
    paths = np.empty((len(cuts.frame), 16))
    for path, frame in zip(paths, cuts.frame, strict=True):
        origin, axes = frame[:3], frame[3:12].reshape(3, 3)
        cells = 1 / np.array([frame[13], frame[15], 1.0])
        steps = (rays @ axes.T) * cells
        steps[0] = ((rays[0] - origin) @ axes.T - [frame[12], frame[14], 0.0]) * cells
        steps[3] = _away_from_zero(steps[3])
        path[:12] = steps.T.ravel()
        path[12:15] = 1 / steps[3]
        path[15] = frame[16]
    return paths


def _away_from_zero(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rates with zeros replaced, so that a ray along an axis leaves a cell far away instead of dividing."""
    return np.where(np.abs(rates) < _STANDSTILL, _SLOWEST, rates)
