"""Lay bodies over each other: each is drawn by itself and shows where it lies before what is drawn already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.region import Region
from drivers.simulator.render import LookArrays, draw, locate, prepare
from drivers.simulator.sample import Sample
from drivers.simulator.shading import Look
from drivers.simulator.surface import NOTHING
from drivers.simulator.view import View

Signal = NDArray[np.float32]

_FINER: Final = 2
"""Rays a pixel along each axis that tell how much of it a body covers."""

_RIM_PX: Final = 2


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sight:
    """One body as a beam sees it: its sample and the beam's rays in the sample's own frame.

    All sights of one frame are the same rays, so that distances along them compare. ``box_m``: (2, 3) lowest and
    highest corner of what is left of the body, None for the whole map.
    """

    sample: Sample
    view: View
    box_m: NDArray[np.float64] | None = None

    def window(self, region: Region) -> Region | None:
        """Return the part of a region in which the body can be seen; None outside it."""
        away = (self._corners() - self.view.origin) / region.pixel_size_m
        x = away @ self.view.right + region.full_width_px / 2
        y = region.full_height_px / 2 - away @ self.view.up
        left, top = (
            max(start, math.floor(a.min()) - _RIM_PX) for a, start in ((x, region.left_px), (y, region.top_px))
        )
        right = min(region.left_px + region.width_px, math.ceil(x.max()) + _RIM_PX)
        bottom = min(region.top_px + region.height_px, math.ceil(y.max()) + _RIM_PX)
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
        return np.array(list(product(x_m, y_m, (float(sample.bottom_m.min()), float(sample.top_m.max())))))


def overlay(
    signal: Signal,
    sky: Signal,
    sights: Sequence[Sight],
    region: Region,
    look: LookArrays,
    *,
    step_fraction: float,
) -> None:
    """Draw all sights but the first, which ``signal`` and ``sky`` show already, where they lie before what is shown."""
    depth_m = np.full(signal.shape, np.inf)
    empty = (_with_dark_background(look[0]), *look[1:])
    for sight in sights[1:]:
        window = sight.window(region)
        if window is None:
            continue
        part = _slices(window, region)
        np.minimum(depth_m[part], distances(sights[0], window), out=depth_m[part])
        own_m, share = _covered(sight, window)
        own_signal, own_sky = draw(prepare(sight.sample, sight.view, window), empty, step_fraction=step_fraction)
        share *= own_m < depth_m[part]
        shown = share > 0
        for below, own in ((signal[part], own_signal), (sky[part], own_sky)):
            np.copyto(below, own * shown + (1 - share) * below)
        np.copyto(depth_m[part], np.where(shown, np.minimum(own_m, depth_m[part]), depth_m[part]))


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
