"""Take a loose piece out of a sample: a sample of its own, and a cut that hides it where it was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulator.census import Bounds, Census, Lattice, around, bounds_of, look
from drivers.simulator.columns import lay_out_terrain
from drivers.simulator.sample import Cut, Sample
from fibsem_runtime.core.units import UM

Floats = NDArray[np.float64]

SECOND_RAY_COUNT: Final = 40_000
"""Rays of the second look, which decides: 50 nm apart for an on-grid lamella, 0.2 µm for a lift-out block."""

OBSTRUCTED_FRACTION: Final = 0.01
"""Share of a piece's rays that may be covered by something else before it counts as caught (numerical)."""

ANCHOR_REACH_M: Final = 1.5 * UM
"""How near to a joint a piece must be to be held by it (assumed: the size of a weld)."""

_EVERYTHING_M: Final = 1.0
"""Front of a cut that leaves nothing."""

_CLEAR_M: Final = 2 * UM
"""How far beyond a piece its own sample reaches, and how far behind it nothing else is looked for."""

_RING: Final = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Piece:
    """A loose piece: its sample, ``box_m`` (2, 3) around it, and the cut that hides it in the sample it came from."""

    sample: Sample
    box_m: Floats
    hiding: Cut
    census: Census
    number: int


def newest_frame(cuts: Sequence[Cut]) -> tuple[Floats, Floats] | None:
    """Return origin and axes along the newest milled cut, with u across it; None where nothing is milled."""
    milled = [c for c in cuts if c.is_milled and np.isfinite(c.front_m).any()]
    return (milled[-1].origin, axes_along(milled[-1].axes[2])) if milled else None


def axes_along(direction: Floats) -> Floats:
    """Return axes (u, v, w) of a cut along a direction, u as near to x as there is."""
    right = np.array([1.0, 0.0, 0.0]) - direction[0] * direction
    if np.linalg.norm(right) < 1e-3:
        right = np.array([0.0, 1.0, 0.0]) - direction[1] * direction
    right /= np.linalg.norm(right)
    return np.array([right, np.cross(right, direction), direction])


def find_pieces(sample: Sample, near: Sequence[Cut], *, box_m: Floats | None = None) -> list[Piece]:
    """Return the pieces at the cuts ``near`` that hang together with nothing, each confirmed by a finer second look.

    A piece from which every direction that was tried is blocked by the rest of the sample is caught and stays. A sample
    that ends within its map is looked at as a whole, ``box_m`` (2, 3): its largest part is itself, the others are
    pieces.
    """
    frame = newest_frame(near)
    if frame is None:
        return []
    terrain = lay_out_terrain(sample)
    together = around(sample.cuts, near, *frame, terrain)
    bounds, until_m = _whole(box_m, *frame) if box_m is not None else bounds_of(together, *frame, terrain)
    first = look(sample, *frame, bounds, until_m)
    loose = first.loose if box_m is None else first.loose[1:]
    found = (_confirm(sample, first, number) for number in loose)
    return [piece for piece in found if piece is not None]


def _whole(box_m: Floats, origin: Floats, axes: Floats) -> tuple[Bounds, float]:
    at = (np.array(list(product(*box_m.T))) - origin) @ axes.T
    low, high = at.min(axis=0), at.max(axis=0)
    return ((float(low[0]), float(high[0])), (float(low[1]), float(high[1]))), float(high[2])


def _confirm(sample: Sample, first: Census, number: int) -> Piece | None:
    """Look again, finer and along other directions, until one is free; None when the piece is held or caught."""
    inside, ends = first.middle(number), _ends(first, number)
    for axes in _directions(first.lattice.axes):
        at = (ends - first.lattice.origin) @ axes.T
        low, high = at.min(axis=0), at.max(axis=0)
        room_m = 2 * first.lattice.pitch_m
        bounds: Bounds = ((low[0] - room_m, high[0] + room_m), (low[1] - room_m, high[1] + room_m))
        second = look(sample, first.lattice.origin, axes, bounds, float(high[2]) + _CLEAR_M, ray_count=SECOND_RAY_COUNT)
        found = second.number_at(inside)
        if found is None or found not in second.loose:
            return None
        if not _is_obstructed(second, found):
            return _take_out(sample, second, found)
    return None


def _directions(axes: Floats) -> Iterator[Floats]:
    """Yield the frame itself, then one that looks straight down."""
    yield axes
    yield axes_along(np.array([0.0, 0.0, -1.0]))


def _ends(census: Census, number: int) -> Floats:
    """Return (n, 3) points at which the rays enter and leave a piece."""
    begin, end = (a.ravel() for a in census.piece(number))
    on = np.isfinite(begin)
    points, direction = census.lattice.points()[on], census.lattice.axes[2]
    return np.concatenate([points + np.multiply.outer(w, direction) for w in (begin[on], end[on])])


def _is_obstructed(census: Census, number: int) -> bool:
    """Tell whether something else lies before the piece along the rays."""
    begin, _ = census.piece(number)
    other = np.where((census.labels >= 0) & (census.labels != number), census.spans[..., 0], np.inf).min(axis=1)
    before = other.reshape(begin.shape) < begin
    on = np.isfinite(begin)
    return bool((before & on).sum() > OBSTRUCTED_FRACTION * on.sum())


def _take_out(sample: Sample, census: Census, number: int) -> Piece:
    lattice = census.lattice
    begin_m, end_m = census.piece(number)
    on = np.isfinite(begin_m)
    behind_m = _midway_behind(census, end_m)
    ring = (cv2.dilate(on.astype(np.uint8), _RING) > 0) & ~on
    spread_m = _spread_to(behind_m, on, ring)
    free = ring & ~_stands_until(census, spread_m)
    hiding = _cut(lattice, np.where(on | free, spread_m, -np.inf))
    # From behind, everything up to the gap behind the piece goes; beside the piece `beside` has left nothing anyway.
    filled_m = np.where(on | free, spread_m, np.nanmax(np.where(on, behind_m, np.nan)))
    beneath = _cut(_turned_back(lattice), np.flip(-filled_m, axis=1))
    box_m = _box(census, number)
    part = _window(sample, box_m)
    beside = _covering(_cut(lattice, np.where(on | free, -np.inf, _EVERYTHING_M)), part)
    part.cuts = [beside, beneath, *(replace(cut, front_m=cut.front_m.copy()) for cut in sample.cuts)]
    return Piece(sample=part, box_m=box_m, hiding=hiding, census=census, number=number)


def _covering(cut: Cut, part: Sample) -> Cut:
    """Return a cut whose grid covers the whole of a part, leaving nothing where it did not reach."""
    rows, columns = part.top_m.shape
    ends_m = np.array(
        [
            [part.x0_m, part.y0_m, float(part.bottom_m.min())],
            [
                part.x0_m + (columns - 1) * part.pitch_m,
                part.y0_m + (rows - 1) * part.pitch_m,
                float(part.top_m.max()),
            ],
        ]
    )
    at = (np.array(list(product(*ends_m.T))) - cut.origin) @ cut.axes[:2].T
    starts, sizes = (cut.u0_m, cut.v0_m), cut.front_m.shape[::-1]
    pitches = (cut.du_m, cut.dv_m)
    before = [max(0, math.ceil((s - low) / d) + 1) for s, low, d in zip(starts, at.min(axis=0), pitches, strict=True)]
    after = [
        max(0, math.ceil((high - s) / d) - n + 2)
        for s, high, d, n in zip(starts, at.max(axis=0), pitches, sizes, strict=True)
    ]
    front_m = np.pad(
        cut.front_m, ((before[1], after[1]), (before[0], after[0])), constant_values=np.float32(_EVERYTHING_M)
    )
    return replace(cut, front_m=front_m, u0_m=cut.u0_m - before[0] * cut.du_m, v0_m=cut.v0_m - before[1] * cut.dv_m)


def _midway_behind(census: Census, end_m: Floats) -> Floats:
    """Return the middle of the gap behind the piece on each ray, at most `_CLEAR_M` behind it."""
    ends = end_m.ravel()[:, np.newaxis]
    begins = np.where((census.labels >= 0) & (census.spans[..., 0] > ends - 1e-12), census.spans[..., 0], np.inf)
    following = begins.min(axis=1).reshape(end_m.shape)
    return np.asarray(end_m + np.minimum((following - end_m) / 2, _CLEAR_M), np.float64)


def _spread_to(values_m: Floats, on: NDArray[np.bool_], ring: NDArray[np.bool_]) -> Floats:
    """Return the values with those of the nearest rays of the piece on the ring around it."""
    known = np.where(on, values_m, -np.inf)
    largest = cv2.dilate(known, _RING)
    return np.asarray(np.where(ring, largest, np.where(on, values_m, -np.inf)), np.float64)


def _stands_until(census: Census, until_m: Floats) -> NDArray[np.bool_]:
    """Tell on which rays there is anything before a distance."""
    first = np.where(census.labels >= 0, census.spans[..., 0], np.inf).min(axis=1)
    return np.asarray(first.reshape(until_m.shape) < until_m)


def _cut(lattice: Lattice, front_m: Floats) -> Cut:
    return Cut(
        origin=lattice.origin.copy(),
        axes=lattice.axes.copy(),
        u0_m=float(lattice.u_m[0]),
        du_m=lattice.pitch_m,
        v0_m=float(lattice.v_m[0]),
        dv_m=lattice.pitch_m,
        front_m=np.ascontiguousarray(front_m, np.float32),
        is_milled=False,
    )


def _turned_back(lattice: Lattice) -> Lattice:
    """Return the same rays the other way round: w and u reversed, so that the frame stays right-handed."""
    axes = lattice.axes * np.array([[-1.0], [1.0], [-1.0]])
    return replace(lattice, axes=axes, u_m=-lattice.u_m[::-1])


def _box(census: Census, number: int) -> Floats:
    ends = _ends(census, number)
    room_m = census.lattice.pitch_m
    return np.array([ends.min(axis=0) - room_m, ends.max(axis=0) + room_m])


def _window(sample: Sample, box_m: Floats) -> Sample:
    """Return the part of a sample around a box, with nothing beyond its border and nothing far below the box."""
    first, last = (
        np.clip(np.round((corner[:2] - [sample.x0_m, sample.y0_m]) / sample.pitch_m).astype(int), 0, None)
        for corner in (box_m[0] - _CLEAR_M, box_m[1] + _CLEAR_M)
    )
    part = (slice(int(first[1]), int(last[1]) + 1), slice(int(first[0]), int(last[0]) + 1))
    top_m, bottom_m = sample.top_m[part].copy(), sample.bottom_m[part].copy()
    np.maximum(bottom_m, np.float32(box_m[0, 2] - _CLEAR_M), out=bottom_m)
    border = np.ones(top_m.shape, np.bool_)
    border[1:-1, 1:-1] = False
    top_m[border], bottom_m[border] = box_m[0, 2], box_m[0, 2] + 0.1 * UM
    return Sample(
        x0_m=sample.x0_m + int(first[0]) * sample.pitch_m,
        y0_m=sample.y0_m + int(first[1]) * sample.pitch_m,
        pitch_m=sample.pitch_m,
        top_m=top_m,
        bottom_m=bottom_m,
        coating_m=sample.coating_m[part].copy(),
        material=sample.material[part].copy(),
        has_surroundings=False,
    )
