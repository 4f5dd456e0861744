"""Places of the sample where work makes sense, for those who may know the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import Final

import numpy as np

from drivers.simulator.bodies import Body, BodyKind
from drivers.simulator.copper_things import find_bars, find_posts
from drivers.simulator.sample import Sample
from fibsem_runtime.core import SpecimenPosition
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal.truth import Site, SiteKind

MIDDLE_FRACTION: Final = 0.4
"""Height of a lamella's middle in a cell, of the cell's height: most of the cell is in it (assumed)."""

SPACING_M: Final = 80 * UM
"""Distance of sites on a slab or block: the widest published trenches are 80 µm high (methods.md section 9)."""

_INNER_FRACTION: Final = 0.3
"""Half the part of a map in which sites lie, so that their fields show no end of it."""


def find_sites(bodies: Sequence[Body]) -> tuple[Site, ...]:
    """Return a site for every cell, place of a slab or block, end of a post and window of a mesh."""
    return tuple(site for body in bodies if body.kind in _FINDERS for site in _FINDERS[body.kind](body.sample))


def _cells(sample: Sample) -> Iterator[Site]:
    for cell in sample.cells:
        position = SpecimenPosition(x_m=cell.x_m, y_m=cell.y_m, z_m=MIDDLE_FRACTION * cell.height_m)
        yield Site(kind=SiteKind.CELL, position=position, width_m=2 * cell.radius_x_m)


def _places(sample: Sample, kind: SiteKind) -> Iterator[Site]:
    rows, columns = sample.top_m.shape
    step = round(SPACING_M / sample.pitch_m)
    reach = (int(_INNER_FRACTION * size) // step for size in (columns, rows))
    for i, j in product(*(range(-count, count + 1) for count in reach)):
        yield _site(sample, kind, columns // 2 + i * step, rows // 2 + j * step, SPACING_M)


def _post_ends(sample: Sample) -> Iterator[Site]:
    for post in find_posts(sample, 0):
        rows, columns = np.nonzero(post.labels == post.label)
        width_m = float(np.ptp(columns)) * sample.pitch_m
        inside = round(width_m / 2 / sample.pitch_m)
        yield _site(sample, SiteKind.POST, round(columns.mean()), int(rows.min()) + inside, width_m)


def _windows(sample: Sample) -> Iterator[Site]:
    bars = find_bars(sample, 0)
    middles = [np.nonzero(bar.labels == bar.label)[1].mean() for bar in bars]
    row = sample.top_m.shape[0] // 2
    for (left, right), bar in zip(pairwise(middles), bars, strict=False):
        z_m = float(np.median(sample.top_m[bar.labels == bar.label]))
        x_m = sample.x0_m + sample.pitch_m * float(left + right) / 2
        position = SpecimenPosition(x_m=x_m, y_m=sample.y0_m + sample.pitch_m * row, z_m=z_m)
        yield Site(kind=SiteKind.MESH, position=position, width_m=float(right - left) * sample.pitch_m)


def _site(sample: Sample, kind: SiteKind, column: int, row: int, width_m: float) -> Site:
    position = SpecimenPosition(
        x_m=sample.x0_m + column * sample.pitch_m,
        y_m=sample.y0_m + row * sample.pitch_m,
        z_m=float(sample.top_m[row, column]),
    )
    return Site(kind=kind, position=position, width_m=width_m)


_FINDERS: Final[Mapping[BodyKind, Callable[[Sample], Iterator[Site]]]] = {
    BodyKind.GRID: _cells,
    BodyKind.WAFFLE: lambda sample: _places(sample, SiteKind.WAFFLE),
    BodyKind.BLOCK: lambda sample: _places(sample, SiteKind.BLOCK),
    BodyKind.POSTS: _post_ends,
    BodyKind.RECEIVER: _windows,
}
