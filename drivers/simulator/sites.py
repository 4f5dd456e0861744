"""Places of the sample where work makes sense, for those who may know the truth."""

from __future__ import annotations

from drivers.simulator.sample import Sample
from fibsem_runtime.core import SpecimenPosition
from fibsem_runtime.hal.truth import Site, SiteKind

MIDDLE_FRACTION = 0.4
"""Height of a lamella's middle in a cell, of the cell's height: most of the cell is in it (assumed)."""


def find_sites(sample: Sample) -> tuple[Site, ...]:
    """Return a site for every cell."""
    return tuple(
        Site(
            kind=SiteKind.CELL,
            position=SpecimenPosition(x_m=cell.x_m, y_m=cell.y_m, z_m=MIDDLE_FRACTION * cell.height_m),
            width_m=2 * cell.radius_x_m,
        )
        for cell in sample.cells
    )
