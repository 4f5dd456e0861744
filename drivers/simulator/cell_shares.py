"""Which share of each cell of a raster a polygon covers, exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.kernels import with_memory


def covered_fractions(vertices: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Return (rows, columns) in 0..1: the share of each unit cell inside a closed line through (n, 2) ``vertices``.

    Vertices are (column, row), counted in cells from the outer corner of the first one; the whole polygon lies within
    the raster. A line that crosses itself covers nothing twice.
    """
    edges = np.zeros((rows, columns + 2))
    add_edges(np.ascontiguousarray(vertices, np.float64), edges)
    covered: NDArray[np.float64] = np.minimum(np.abs(np.cumsum(edges, axis=1)[:, :columns]), 1.0)
    return covered


@with_memory
def add_edges(vertices: Any, edges: Any) -> None:
    """Add to ``edges`` how much each side of the polygon changes the covered share from a cell to the next.

    The signed-area accumulation of font rasterisers (libart, font-rs): summed along a row it gives the exact share.
    """
    for n in range(vertices.shape[0]):
        x0, y0 = vertices[n - 1, 0], vertices[n - 1, 1]
        x1, y1 = vertices[n, 0], vertices[n, 1]
        sign = 1.0
        if y0 > y1:
            x0, y0, x1, y1, sign = x1, y1, x0, y0, -1.0
        if y0 == y1:
            continue
        slope = (x1 - x0) / (y1 - y0)
        for row in range(int(y0), min(edges.shape[0], math.ceil(y1))):
            low, high = max(y0, float(row)), min(y1, row + 1.0)
            add_part(edges, row, x0 + (low - y0) * slope, x0 + (high - y0) * slope, sign * (high - low))


@with_memory
def add_part(edges: Any, row: int, begin: float, end: float, height: float) -> None:
    """Add the part of one side within one row, from ``begin`` to ``end`` along it and ``height`` high, signed."""
    left, right = min(begin, end), max(begin, end)
    first, last = int(left), int(right)
    covered = 0.0
    for column in range(first, last + 1):
        inner, outer = max(left, float(column)), min(right, column + 1.0)
        share = (outer - inner) / (right - left) if right > left else 1.0
        # Cells farther along the row are covered over the whole height, this one from the middle of the side on.
        here = height * share * (column + 1.0 - 0.5 * (inner + outer))
        edges[row, column] += here + covered
        covered = height * share - here
    edges[row, last + 1] += covered
