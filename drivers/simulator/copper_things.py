"""Posts and mesh bars as objects: told apart on the height field."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulator.copper import PLATE_EDGE_UM
from drivers.simulator.sample import Sample
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal.truth import ObjectClass

Floats: TypeAlias = NDArray[np.float64]

_BAR_FRACTION: Final = 0.5
"""Part of a column of the map that stands where an upright bar runs (numerical)."""

_RAGGED_UM: Final = 3.0
"""How far the plate's ragged edge may reach towards the posts (assumed: seven sigma of `copper.OUTLINE_NOISE_UM`)."""

_RIM_CELLS: Final = 2
"""Cells around an object in which its walls are met: they lie between what stands and what does not."""


@dataclass(frozen=True, eq=False)
class FieldThing:
    """The part of a body's height field that carries a number in ``labels`` (ny, nx)."""

    sample: Sample
    labels: NDArray[np.int_]
    label: int
    object_class: ObjectClass
    body: int
    thickness_m: float | None = None
    attached_to: tuple[str, ...] = ("grid",)

    def corners(self) -> Floats:
        """Return the eight corners of the box around it."""
        sample = self.sample
        rows, columns = np.nonzero(self.labels == self.label)
        x_m = sample.x0_m + sample.pitch_m * np.array([columns.min() - 1, columns.max() + 1])
        y_m = sample.y0_m + sample.pitch_m * np.array([rows.min() - 1, rows.max() + 1])
        own = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        z_m = (float(sample.bottom_m[own].min()), float(sample.top_m[own].max()))
        return np.array(list(product(x_m, y_m, z_m)))

    def holds(self, places: Floats) -> NDArray[np.bool_]:
        """Tell which places lie on it or on its walls."""
        sample, mask = self.sample, self._with_rim
        is_place = np.isfinite(places[..., 0])
        at = np.where(is_place[..., np.newaxis], places[..., :2], 0.0)
        column = np.rint((at[..., 0] - sample.x0_m) / sample.pitch_m).astype(np.int64)
        row = np.rint((at[..., 1] - sample.y0_m) / sample.pitch_m).astype(np.int64)
        inside = is_place & (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0])
        held = mask[np.where(inside, row, 0), np.where(inside, column, 0)]
        return np.asarray(inside & held, np.bool_)

    @cached_property
    def _with_rim(self) -> NDArray[np.bool_]:
        own = (self.labels == self.label).astype(np.uint8)
        size = 2 * _RIM_CELLS + 1
        grown = cv2.dilate(own, np.ones((size, size), np.uint8)) > 0
        # The rim of one object never reaches into another one or into what is none.
        return np.asarray(grown & ((self.labels == self.label) | (self.sample.top_m <= self.sample.bottom_m)))


def find_posts(sample: Sample, body: int) -> list[FieldThing]:
    """Return the posts of a half-moon, without the plate that they stand on."""
    stands = sample.top_m > sample.bottom_m
    middle = (sample.top_m.shape[0] - 1) / 2
    edge = round(middle + (PLATE_EDGE_UM - _RAGGED_UM) * UM / sample.pitch_m)
    fingers = stands.copy()
    fingers[edge:] = False
    count, found = cv2.connectedComponents(fingers.astype(np.uint8), connectivity=4)
    labels = found.astype(np.int_)
    return [FieldThing(sample, labels, n, ObjectClass.LANDING_POST, body) for n in range(1, count)]


def find_bars(sample: Sample, body: int) -> list[FieldThing]:
    """Return the upright bars of a mesh; those across belong to the nearest of them."""
    stands = sample.top_m > sample.bottom_m
    is_bar = stands.mean(axis=0) > _BAR_FRACTION
    count, across = cv2.connectedComponents(is_bar.astype(np.uint8)[np.newaxis], connectivity=4)
    middles = [float(np.flatnonzero(across[0] == n).mean()) for n in range(1, count)]
    columns = np.arange(stands.shape[1])
    nearest = 1 + np.abs(columns[:, np.newaxis] - np.array(middles)).argmin(axis=1) if middles else 0 * columns
    labels = np.where(stands, nearest, 0).astype(np.int_)
    return [FieldThing(sample, labels, n, ObjectClass.LANDING_POST, body) for n in range(1, count)]
