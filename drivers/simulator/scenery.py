"""What a beam sees of several bodies at once, by the rays that draw the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.region import Region
from drivers.simulator.render import locate, prepare
from drivers.simulator.sample import Sample
from drivers.simulator.surface import NOTHING
from drivers.simulator.view import View

Floats: TypeAlias = NDArray[np.float64]

NOBODY = -1


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Layer:
    """One body with the beam's rays in its own frame; ``number`` names it."""

    number: int
    sample: Sample
    view: View


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Seen:
    """The first thing behind each pixel centre.

    ``numbers``: (height, width) int16, the layer, `NOBODY` for nothing. ``places``: (height, width, 3) float64, the
    place in that body's own frame, NaN for nothing.
    """

    numbers: NDArray[np.int16]
    places: Floats

    def part(self, rows: slice, columns: slice) -> Seen:
        """Return a rectangle of it."""
        return Seen(numbers=self.numbers[rows, columns], places=self.places[rows, columns])


def look_through(layers: Sequence[Layer], region: Region) -> Seen:
    """Return what the pixels of a region show; of several bodies on a ray the nearest to the column."""
    shape = (region.height_px, region.width_px)
    numbers, places = np.full(shape, NOBODY, np.int16), np.full((*shape, 3), np.nan)
    nearest_m = np.full(shape, np.inf)
    for layer in layers:
        found, kinds = locate(prepare(layer.sample, layer.view, region))
        along_m = (found - layer.view.origin) @ layer.view.direction
        is_first = (kinds != NOTHING) & (along_m < nearest_m)
        numbers[is_first], places[is_first] = layer.number, found[is_first]
        nearest_m[is_first] = along_m[is_first]
    return Seen(numbers=numbers, places=places)
