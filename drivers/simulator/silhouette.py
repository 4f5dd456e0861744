"""What one object looks like in a frame, also where it reaches beyond the border, and its key points.

Key points are those of detection.md section 2 on the whole visible part of an object. It is looked at on a raster of
its own, laid around it and usually finer than the frame's, so that a point depends neither on the frame's border nor
on its pixel size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.region import Region
from drivers.simulator.scenery import Layer, look_through
from drivers.simulator.things import Thing
from fibsem_runtime.core import PixelPoint
from fibsem_runtime.hal.truth import ObjectClass

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

FIRST_RAYS: Final = 6_000
RAYS: Final = 60_000
"""Rays with which an object is searched in its box and then looked at (numerical): 10 x 10 µm to 40 nm."""

BEYOND_FRAMES: Final = 1.0
"""How many field widths beyond the frame an object is followed (numerical); posts and needles reach far."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Silhouette:
    """Where an object is seen: ``mask`` (height, width) bool, not empty, on the raster ``region``; of which frame."""

    mask: Mask
    region: Region
    frame: Region

    def point(self, column_px: float, row_px: float) -> PixelPoint:
        """Return the pixel of the frame (of its reduced area, when there is one) at a place in pixels of the raster."""
        ratio = self.region.pixel_size_m / self.frame.pixel_size_m
        x_px = (column_px + self.region.left_px) * ratio + self.frame.full_width_px / 2
        y_px = (row_px + self.region.top_px) * ratio + self.frame.full_height_px / 2
        return PixelPoint(x_px - self.frame.left_px, y_px - self.frame.top_px)

    @property
    def band(self) -> float:
        """Return half the height of a row of the frame's pixels, in cells of the raster."""
        return max(0.5, 0.5 * self.frame.pixel_size_m / self.region.pixel_size_m)

    @property
    def cut_sides(self) -> frozenset[str]:
        """Name the sides on which the object goes on beyond where it is followed."""
        half_x, half_y = _reach_m(self.frame) / self.region.pixel_size_m - 1
        left, top = self.region.left_px, self.region.top_px
        at_end = {
            "left": left <= -half_x and self.mask[:, 0].any(),
            "right": left + self.mask.shape[1] >= half_x and self.mask[:, -1].any(),
            "top": top <= -half_y and self.mask[0].any(),
            "bottom": top + self.mask.shape[0] >= half_y and self.mask[-1].any(),
        }
        return frozenset(side for side, is_cut in at_end.items() if is_cut)


def _reach_m(frame: Region) -> Floats:
    """Return how far from the middle of the frame an object is followed, in x and y."""
    size_m = np.array([frame.full_width_px, frame.full_height_px]) * frame.pixel_size_m
    return np.asarray((0.5 + BEYOND_FRAMES) * size_m)


def look_at(thing: Thing, layers: Sequence[Layer], frame: Region) -> Silhouette | None:
    """Return what a beam sees of an object, in and around the frame; None when it is hidden or far away."""
    view = next(layer.view for layer in layers if layer.number == thing.body)
    half_m = _reach_m(frame)
    x_m, y_m = view.across(thing.corners() - view.origin)
    spots_m = np.stack([x_m, -y_m], axis=1)
    low_m, high_m = np.maximum(spots_m.min(axis=0), -half_m), np.minimum(spots_m.max(axis=0), half_m)
    found = None
    for ray_count in (FIRST_RAYS, RAYS):
        if (high_m <= low_m).any():
            return None
        region = _raster(low_m, high_m, math.sqrt(float((high_m - low_m).prod()) / ray_count))
        seen = look_through(layers, region)
        mask = (seen.numbers == thing.body) & thing.holds(seen.places)
        if not mask.any():
            return None
        found = Silhouette(mask=mask, region=region, frame=frame)
        low_m, high_m = _bounds_m(found, low_m, high_m)
    return found


def _raster(low_m: Floats, high_m: Floats, pixel_m: float) -> Region:
    left_px, top_px = (math.floor(value / pixel_m) for value in low_m)
    right_px, bottom_px = (math.ceil(value / pixel_m) for value in high_m)
    return Region(
        left_px=left_px,
        top_px=top_px,
        width_px=right_px - left_px,
        height_px=bottom_px - top_px,
        full_width_px=0,
        full_height_px=0,
        pixel_size_m=pixel_m,
    )


def _bounds_m(seen: Silhouette, low_m: Floats, high_m: Floats) -> tuple[Floats, Floats]:
    """Return the corners of what is seen with two cells of room, within the bounds of the raster."""
    rows, columns = np.nonzero(seen.mask)
    start_px = np.array([seen.region.left_px, seen.region.top_px])
    first = np.array([columns.min(), rows.min()]) - 2 + start_px
    last = np.array([columns.max(), rows.max()]) + 3 + start_px
    pixel_m = seen.region.pixel_size_m
    return np.maximum(first * pixel_m, low_m), np.minimum(last * pixel_m, high_m)


def _mean(shape: Silhouette) -> tuple[float, float]:
    rows, columns = np.nonzero(shape.mask)
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


def centre(shape: Silhouette) -> PixelPoint | None:
    """Return the mean of the object's visible part."""
    return shape.point(*_mean(shape))


def edge(shape: Silhouette, side: str) -> PixelPoint | None:
    """Return where the object ends on a side, on the row or in the column of its mean; None where it is hollow there.

    On a raster that is finer than the frame it is the median of the ends within one row of the frame's pixels.
    """
    if side in shape.cut_sides:
        return None
    column, row = _mean(shape)
    is_upright = side in ("top", "bottom")
    mask = shape.mask.T if is_upright else shape.mask
    across = column if is_upright else row
    lines = np.arange(mask.shape[0])
    lines = lines[(np.abs(lines + 0.5 - across) <= shape.band) & mask.any(axis=1)]
    if lines.size == 0:
        return None
    part = mask[lines]
    is_far = side in ("right", "bottom")
    ends = mask.shape[1] - part[:, ::-1].argmax(axis=1) if is_far else part.argmax(axis=1)
    end = float(np.median(ends))
    return shape.point(column, end) if is_upright else shape.point(end, row)


def foremost(shape: Silhouette, side: str) -> PixelPoint | None:
    """Return the object's outermost point on the right or at the bottom: the middle of its last line of pixels."""
    if side in shape.cut_sides:
        return None
    mask = shape.mask if side == "right" else shape.mask.T
    last = int(np.flatnonzero(mask.any(axis=0))[-1])
    depth = max(1, round(2 * shape.band))
    along = np.flatnonzero(mask[:, max(0, last + 1 - depth) : last + 1].any(axis=1))
    middle = float(np.median(along)) + 0.5
    return shape.point(last + 1, middle) if side == "right" else shape.point(middle, last + 1)


def corner(shape: Silhouette, name: str) -> PixelPoint | None:
    """Return the object's own foremost point on a diagonal, ``top left`` to ``bottom right``."""
    vertical, horizontal = name.split()
    if {vertical, horizontal} & shape.cut_sides:
        return None
    rows, columns = np.nonzero(shape.mask)
    x_sign, y_sign = (1 if horizontal == "right" else -1), (1 if vertical == "bottom" else -1)
    best = int(np.argmax(x_sign * columns + y_sign * rows))
    return shape.point(columns[best] + 0.5 + 0.5 * x_sign, rows[best] + 0.5 + 0.5 * y_sign)


Place: TypeAlias = Callable[[Silhouette], PixelPoint | None]


def _box(prefix: str, *, with_sides: bool = False, with_corners: bool = False) -> dict[str, Place]:
    sides = ("left", "right", "top", "bottom") if with_sides else ("top", "bottom")
    corners = [f"{v} {h}" for v in ("top", "bottom") for h in ("left", "right")] if with_corners else []
    return {
        f"{prefix}Centre": centre,
        **{f"{prefix}{side.title()}Edge": partial(edge, side=side) for side in sides},
        **{f"{prefix}{name.title().replace(' ', '')}Corner": partial(corner, name=name) for name in corners},
    }


PLACES: Final[Mapping[ObjectClass, Mapping[str, Place]]] = {
    ObjectClass.LAMELLA: {**_box("Lamella", with_sides=True), "CoreFeature": centre},
    ObjectClass.MANIPULATOR: {
        "NeedleTip": partial(foremost, side="right"),
        "NeedleTipBottom": partial(foremost, side="bottom"),
    },
    ObjectClass.LANDING_POST: {"LandingGridCentre": centre},
    ObjectClass.COPPER_ADAPTOR: _box("CopperAdapter"),
    ObjectClass.VOLUME_BLOCK: _box("VolumeBlock", with_corners=True),
}
"""Where the key points of each class are (detection.md section 2). The others of posts: `post_points`."""
