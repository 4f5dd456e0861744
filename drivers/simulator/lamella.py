"""What stands at a target: the slab between two trenches, its thickness, its place and what holds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.sample import Sample
from drivers.simulator.view import View
from fibsem_runtime.core import SpecimenPosition
from fibsem_runtime.hal.truth import LamellaTruth

__all__ = ["Slab", "find_slab", "measure_lamella"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Slab:
    """The slab between two trenches in the frame of the ion view that it was asked in: x right, y up, metres.

    ``left_m``, ``right_m``: where the trenches end; ``bottom_m``, ``top_m``: its lower and upper edge in the middle of
    its width, as the ion beam sees them. ``is_through`` when both trenches cut through. ``view`` and ``entry_m`` (the
    distance along the beam, from the view's origin, at which the ions meet the slab) turn points into the specimen frame.
    """

    view: View
    left_m: float
    right_m: float
    bottom_m: float
    top_m: float
    entry_m: float
    is_through: bool

    def point(self, x_m: float, y_m: float) -> NDArray[np.float64]:
        """Return a point of the slab's entry plane in the specimen frame."""
        view = self.view
        return np.asarray(view.origin + x_m * view.right + y_m * view.up + self.entry_m * view.direction)

    def key_points(self) -> dict[str, tuple[float, float]]:
        """Return centre, top, bottom, left and right edge as (x, y) of the ion view, metres."""
        x_m, y_m = (self.left_m + self.right_m) / 2, (self.bottom_m + self.top_m) / 2
        return {
            "centre": (x_m, y_m),
            "top": (x_m, self.top_m),
            "bottom": (x_m, self.bottom_m),
            "left": (self.left_m, y_m),
            "right": (self.right_m, y_m),
        }


def find_slab(sample: Sample, target: SpecimenPosition, ion_view: View) -> Slab | None:
    """Find the slab that stands at or nearest to ``target`` between an upper and a lower trench; None without one."""
    raise NotImplementedError


def measure_lamella(sample: Sample, target: SpecimenPosition, ion_view: View) -> LamellaTruth:
    """Measure the lamella whose centre should be at ``target``."""
    raise NotImplementedError
