"""How one beam looks at the specimen at one moment: the whole interface between the machine and the optics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Parallel projection in the specimen frame.

    The image point (x, y) (metres from the image centre, y up; scan rotation, beam shift and drift included) is reached
    by the ray ``origin + x * right + y * up + s * direction``. ``right``, ``up`` and ``direction`` are orthonormal, but
    for the little that ``up`` leans where the specimen drifts while a frame is scanned (`scan.drifting`); ``direction``
    is the travel of the primary beam, into the sample. ``origin`` lies at the column's working distance.
    """

    origin: NDArray[np.float64]
    right: NDArray[np.float64]
    up: NDArray[np.float64]
    direction: NDArray[np.float64]

    def across(self, away_m: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the image points x and y, m, of points (..., 3) given from the origin."""
        lean = float(self.up @ self.right)
        upright = self.up - lean * self.right
        y_m = np.asarray(away_m @ upright / (upright @ upright))
        return np.asarray(away_m @ self.right - lean * y_m), y_m
