"""How wide the hole is that a cut opens towards the sky, together with the cuts beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.sample import Cut

WIDEST_M2: Final = 1.0
"""Opening of a cut that was not drawn: it only says where a body ends and has no walls of its own."""

PARALLEL: Final = 0.999
"""Least cosine between the beams of two cuts that make one hole."""


def opening_areas_m2(cuts: Sequence[Cut]) -> NDArray[np.float64]:
    """Return (cuts,) the area of the hole that each cut belongs to, across its beam, m².

    Cuts along the same beam whose drawn shapes touch or overlap make one hole, as large as all of them together but no
    larger than the box around them.
    """
    areas_m2 = np.full(len(cuts), WIDEST_M2)
    drawn = [n for n, cut in enumerate(cuts) if cut.drawn_m is not None]
    if not drawn:
        return areas_m2
    axes = np.array([cuts[n].axes for n in drawn])
    drawn_m = np.array([cuts[n].drawn_m for n in drawn])
    halves_m = (drawn_m[:, 1] - drawn_m[:, 0]) / 2
    places = np.array([cuts[n].origin for n in drawn]) + np.einsum("ak,akx->ax", drawn_m.mean(axis=1), axes[:, :2])
    # (a, b, axis): where the middle of b lies in the axes of a across its beam, and half of the box around b there.
    middles_m = np.einsum("akx,abx->abk", axes[:, :2], places[np.newaxis] - places[:, np.newaxis])
    boxes_m = np.einsum("abkl,bl->abk", np.abs(np.einsum("akx,blx->abkl", axes[:, :2], axes[:, :2])), halves_m)
    touching = (np.abs(middles_m) <= boxes_m + halves_m[:, np.newaxis]).all(axis=2)
    touching &= axes[:, 2] @ axes[:, 2].T > PARALLEL
    one_hole = _joined(touching & touching.T)
    low_m, high_m = (
        np.where(one_hole[..., np.newaxis], middles_m + side * boxes_m, -side * np.inf) for side in (-1, 1)
    )
    around_m2 = np.prod(high_m.max(axis=1) - low_m.min(axis=1), axis=1)
    areas_m2[drawn] = np.minimum(one_hole @ np.prod(2 * halves_m, axis=1), around_m2)
    return areas_m2


def _joined(touching: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which cuts hang together, over others too."""
    while True:
        farther = touching @ touching
        if (farther == touching).all():
            return touching
        touching = farther
