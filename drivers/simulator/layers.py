"""Lay bodies over each other: each is drawn by itself and shows where it lies before what is drawn already."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.blur import blur, reach_px
from drivers.simulator.region import Region
from drivers.simulator.render import LookArrays, draw, locate, prepare
from drivers.simulator.sample import Sample
from drivers.simulator.shading import Look
from drivers.simulator.solid import pack_solid
from drivers.simulator.surface import NOTHING
from drivers.simulator.view import View

Signal = NDArray[np.float32]

_FINER: Final = 2
"""Rays a pixel along each axis that tell how much of it a body covers."""

_RIM_PX: Final = 2

_LEVEL_COUNT: Final = 5
_LEVEL_STEP_PX: Final = 0.5
"""A body is spread in so many steps of the probe's width, or fewer where it hardly changes (numerical)."""

Covariance: TypeAlias = Callable[[float], NDArray[np.float64]]
"""(2, 2) px^2 of the probe at a distance along the rays."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sight:
    """One body as a beam sees it: its sample and the beam's rays in the sample's own frame.

    All sights of one frame are the same rays, so that distances along them compare. ``box_m``: (2, 3) lowest and
    highest corner of what is left of the body, None for the whole map.
    """

    sample: Sample
    view: View
    box_m: NDArray[np.float64] | None = None

    def window(self, region: Region, *, rim_px: int = _RIM_PX) -> Region | None:
        """Return the part of a region in which the body can be seen, with a rim around it; None outside it."""
        x_m, y_m = self.view.across(self._corners() - self.view.origin)
        x = x_m / region.pixel_size_m + region.full_width_px / 2
        y = region.full_height_px / 2 - y_m / region.pixel_size_m
        left, top = (max(start, math.floor(a.min()) - rim_px) for a, start in ((x, region.left_px), (y, region.top_px)))
        right = min(region.left_px + region.width_px, math.ceil(x.max()) + rim_px)
        bottom = min(region.top_px + region.height_px, math.ceil(y.max()) + rim_px)
        if right <= left or bottom <= top:
            return None
        return replace(region, left_px=left, top_px=top, width_px=right - left, height_px=bottom - top)

    def _corners(self) -> NDArray[np.float64]:
        if self.box_m is not None:
            return np.array(list(product(*self.box_m.T)))
        sample = self.sample
        rows, columns = sample.top_m.shape
        x_m = (sample.x0_m, sample.x0_m + (columns - 1) * sample.pitch_m)
        y_m = (sample.y0_m, sample.y0_m + (rows - 1) * sample.pitch_m)
        return np.array(list(product(x_m, y_m, pack_solid(sample).z_range_m())))

    def reach_px(self, covariance_at: Covariance) -> int:
        """Return how many pixels beyond its outline the probe spreads what is out of focus."""
        along_m = (self._corners() - self.view.origin) @ self.view.direction
        return max(reach_px(covariance_at(float(at_m))) for at_m in (along_m.min(), along_m.max()))


def overlay(
    signal: Signal,
    sights: Sequence[Sight],
    region: Region,
    look: LookArrays,
    *,
    step_fraction: float,
    covariance_at: Covariance,
    finish: Callable[[Signal, Signal], None],
) -> None:
    """Draw all sights but the first, which ``signal`` shows already, where they lie before what is shown.

    ``covariance_at`` tells how the probe spreads the signal of what lies at a distance along the rays: each body is as
    sharp as it is near the focus. ``finish`` is given signal and open sky of a body before that.
    """
    depth_m = np.full(signal.shape, np.inf)
    empty = (_with_dark_background(look[0]), *look[1:])
    for sight in sights[1:]:
        window = sight.window(region, rim_px=_RIM_PX + sight.reach_px(covariance_at))
        if window is None:
            continue
        part = _slices(window, region)
        np.minimum(depth_m[part], distances(sights[0], window), out=depth_m[part])
        own_m, share = _covered(sight, window)
        own_signal, own_sky = draw(prepare(sight.sample, sight.view, window), empty, step_fraction=step_fraction)
        finish(own_signal, own_sky)
        share *= own_m < depth_m[part]
        shown = share > 0
        if not shown.any():
            continue
        own_signal *= shown
        np.copyto(depth_m[part], np.where(shown, np.minimum(own_m, depth_m[part]), depth_m[part]))
        own_signal, share = _spread(own_signal, share, np.where(shown, own_m, np.nan), covariance_at)
        np.copyto(signal[part], own_signal + (1 - share) * signal[part])


def _spread(
    signal: Signal, share: Signal, along_m: NDArray[np.float64], covariance_at: Covariance
) -> tuple[Signal, Signal]:
    """Return signal and share of a body, each pixel spread as its distance from the focus has it; NaN: no body.

    Between `_LEVEL_COUNT` distances at most, where the probe is computed, what is spread is mixed linearly.
    """
    low_m, high_m = float(np.nanmin(along_m)), float(np.nanmax(along_m))
    widths_px = [
        math.sqrt(float(np.linalg.eigvalsh(covariance_at(at_m))[-1])) for at_m in np.linspace(low_m, high_m, 3)
    ]
    count = 1 + min(_LEVEL_COUNT - 1, math.ceil((max(widths_px) - min(widths_px)) / _LEVEL_STEP_PX))
    if count == 1:
        covariance = covariance_at((low_m + high_m) / 2)
        return blur(signal, covariance), blur(share, covariance)
    place = np.nan_to_num((along_m - low_m) / (high_m - low_m) * (count - 1)).astype(np.float32)
    spread_signal, spread_share = np.zeros_like(signal), np.zeros_like(share)
    for level, at_m in enumerate(np.linspace(low_m, high_m, count)):
        weight = np.maximum(1 - np.abs(place - np.float32(level)), 0)
        covariance = covariance_at(float(at_m))
        spread_signal += blur(weight * signal, covariance)
        spread_share += blur(weight * share, covariance)
    return spread_signal, spread_share


def distances(sight: Sight, window: Region) -> NDArray[np.float64]:
    """Return (height, width) how far along the rays of a window a body is met; infinite where it is not."""
    places, kinds = locate(prepare(sight.sample, sight.view, window))
    along = (places - sight.view.origin) @ sight.view.direction
    return np.where(kinds == NOTHING, np.inf, along)


def _covered(sight: Sight, window: Region) -> tuple[NDArray[np.float64], Signal]:
    """Return the distance of the body and the share of each pixel that it covers."""
    fine = replace(
        window,
        **{name: _FINER * getattr(window, name) for name in ("left_px", "top_px", "width_px", "height_px")},
        full_width_px=_FINER * window.full_width_px,
        full_height_px=_FINER * window.full_height_px,
        pixel_size_m=window.pixel_size_m / _FINER,
    )
    blocks = distances(sight, fine).reshape(window.height_px, _FINER, window.width_px, _FINER)
    share = np.isfinite(blocks).mean(axis=(1, 3)).astype(np.float32)
    return np.asarray(blocks.min(axis=(1, 3))), share


def _slices(window: Region, region: Region) -> tuple[slice, slice]:
    top, left = window.top_px - region.top_px, window.left_px - region.left_px
    return slice(top, top + window.height_px), slice(left, left + window.width_px)


def _with_dark_background(look: NDArray[np.float64]) -> NDArray[np.float64]:
    dark = look.copy()
    dark[Look.BACKGROUND] = 0.0
    return dark
