"""What is left of a sample as stretches along parallel rays, and which stretches hang together."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from drivers.simulator.columns import STEP_M, VACUUM, column_at, depths, is_below, piece_at
from drivers.simulator.kernels import with_memory
from drivers.simulator.rays import is_removed, removed_until

MAX_SPANS: Final = 12
"""Stretches kept a ray; more than these are joined to the last one."""

_ONE_SPAN_M: Final = 1e-9
"""Gap along a ray below which two stretches are one (rounding)."""


@with_memory
def find_spans(points: Any, direction: Any, until: float, terrain: Any, cuts: Any) -> Any:
    """Return (rays, `MAX_SPANS`, 2) float64, begin and end of what is left on each ray, and (rays,) how many there are.

    Rays are followed up to ``until`` or to where they have left the sample; a stretch that is cut off there ends at
    infinity.
    """
    spans = np.zeros((points.shape[0], MAX_SPANS, 2))
    counts = np.zeros(points.shape[0], np.int64)
    for n in range(points.shape[0]):
        counts[n] = _follow(spans[n], points[n], direction, until, MAX_SPANS + 1, terrain, cuts)
    return spans, counts


@with_memory
def find_begins(points: Any, is_asked: Any, direction: Any, terrain: Any, cuts: Any) -> Any:
    """Return (rays,) float64, where the first of what is left begins on each ray that ``is_asked``; infinite without.

    A ray is not followed any further than that.
    """
    begins = np.full(points.shape[0], np.inf)
    span = np.zeros((1, 2))
    for n in range(points.shape[0]):
        if is_asked[n] and _follow(span, points[n], direction, np.inf, 1, terrain, cuts) > 0:
            begins[n] = span[0, 0]
    return begins


@with_memory
def _follow(spans: Any, p: Any, d: Any, until: float, enough: int, terrain: Any, cuts: Any) -> int:
    """Fill the stretches of one ray, up to ``until`` or until there are ``enough`` of them."""
    removed = removed_until(cuts, p[0], p[1], p[2])
    s = (terrain.high_m + STEP_M - p[2]) / d[2]
    x, y, z = p[0] + s * d[0], p[1] + s * d[1], p[2] + s * d[2]
    column = column_at(terrain, x, y)
    count = 0
    while s < until and count < enough and not is_below(terrain, column, z):
        x1, y1, z1 = x + STEP_M * d[0], y + STEP_M * d[1], z + STEP_M * d[2]
        following = column_at(terrain, x1, y1)
        t = 0.0 if z1 < max(column[0], following[0]) and s + STEP_M > removed else 1.0
        above, below = depths(column, z), depths(following, z1)
        while t < 1.0:
            end, layer = piece_at(t, above, below, column, following)
            begin_m, end_m = max(s + t * STEP_M, removed), s + end * STEP_M
            m = 0.5 * (t + end)
            if (
                layer != VACUUM
                and begin_m < end_m
                and not is_removed(cuts, x + m * (x1 - x), y + m * (y1 - y), z + m * (z1 - z))
            ):
                if count > 0 and (begin_m <= spans[count - 1, 1] + _ONE_SPAN_M or count == spans.shape[0]):
                    spans[count - 1, 1] = end_m
                else:
                    spans[count, 0], spans[count, 1] = begin_m, end_m
                    count += 1
            t = end
        s += STEP_M
        x, y, z, column = x1, y1, z1, following
    if count > 0 and s >= until and spans[count - 1, 1] >= s - STEP_M:
        spans[count - 1, 1] = np.inf
    return count


@with_memory
def _root(parents: Any, k: int) -> int:
    while parents[k] != k:
        parents[k] = parents[parents[k]]
        k = parents[k]
    return k


@with_memory
def label_spans(spans: Any, counts: Any, rows: int, columns: int, tolerance_m: float) -> Any:
    """Return (rays, `MAX_SPANS`) int64, the same number for stretches that hang together, -1 where there is none.

    Rays are those of a grid, row by row. Stretches of neighbouring rays touch when they overlap or when no more than
    ``tolerance_m`` lies between them along the ray, as in a film that the rays cross at a slant.
    """
    size = spans.shape[1]
    parents = np.arange(rows * columns * size)
    for j in range(rows):
        for i in range(columns):
            n = j * columns + i
            for turn in range(2):
                m = n + 1 if turn == 0 else n + columns
                if (turn == 0 and i + 1 == columns) or (turn == 1 and j + 1 == rows):
                    continue
                for a in range(counts[n]):
                    for b in range(counts[m]):
                        gap = max(spans[n, a, 0], spans[m, b, 0]) - min(spans[n, a, 1], spans[m, b, 1])
                        if gap <= tolerance_m:
                            one, two = _root(parents, n * size + a), _root(parents, m * size + b)
                            parents[max(one, two)] = min(one, two)
    labels = np.full((rows * columns, size), -1, np.int64)
    for n in range(rows * columns):
        for a in range(counts[n]):
            labels[n, a] = _root(parents, n * size + a)
    return labels
