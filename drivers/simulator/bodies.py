"""Rigid bodies: what stands on the stage, what hangs on the manipulator, and where each is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulator.sample import Sample
from drivers.simulator.solid import pack_solid
from drivers.simulator.view import View

Floats: TypeAlias = NDArray[np.float64]


NEEDLE: Final = 10
ADAPTOR: Final = 11
FIRST_PIECE: Final = 20
"""Numbers of bodies; those of the scene are counted from 0."""


class BodyKind(StrEnum):
    """What a body is."""

    GRID = "grid"
    WAFFLE = "waffle"
    BLOCK = "block"
    POSTS = "posts"
    RECEIVER = "receiver"
    NEEDLE = "needle"
    ADAPTOR = "adaptor"
    PIECE = "piece"


class Carrier(StrEnum):
    """What a body moves with."""

    STAGE = "stage"
    MANIPULATOR = "manipulator"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pose:
    """Where a body is: a point p of its own frame lies at ``rotation @ p + shift_m`` of the frame that carries it.

    ``rotation``: (3, 3) and ``shift_m``: (3,) float64. The stage carries the specimen frame, the manipulator the
    chamber, which moves with the needle's tip.
    """

    rotation: Floats = field(default_factory=lambda: np.eye(3))
    shift_m: Floats = field(default_factory=lambda: np.zeros(3))

    @property
    def is_identity(self) -> bool:
        """Tell whether the body's frame is the one that carries it."""
        return not self.shift_m.any() and np.array_equal(self.rotation, np.eye(3))

    def outward(self, points: Floats) -> Floats:
        """Return points (..., 3) of the body in the frame that carries it."""
        return np.asarray(points @ self.rotation.T + self.shift_m)

    def inward(self, points: Floats) -> Floats:
        """Return points (..., 3) of the frame that carries the body in the body's own."""
        return np.asarray((points - self.shift_m) @ self.rotation)

    def look(self, view: View) -> View:
        """Return rays of the frame that carries the body in the body's own."""
        if self.is_identity:
            return view
        back = self.rotation.T
        return View(
            origin=back @ (view.origin - self.shift_m),
            right=back @ view.right,
            up=back @ view.up,
            direction=back @ view.direction,
        )

    def after(self, first: Pose) -> Pose:
        """Return the pose that does ``first`` and then this one."""
        return Pose(rotation=self.rotation @ first.rotation, shift_m=self.outward(first.shift_m))

    def inverse(self) -> Pose:
        """Return the pose that undoes this one."""
        return Pose(rotation=self.rotation.T, shift_m=-(self.rotation.T @ self.shift_m))


@dataclass(slots=True, eq=False, kw_only=True)
class Body:
    """One rigid piece of the world with its own height field and cuts; ``number`` is its name in truth and state.

    ``box_m``: (2, 3) around what is left of a piece, in its own frame; None for the whole map. ``parent`` is the body
    that a piece was milled from; ``surface_m`` the height of what is worked on, where a focused beam is sharp.
    """

    number: int
    kind: BodyKind
    sample: Sample
    pose: Pose = field(default_factory=Pose)
    carrier: Carrier = Carrier.STAGE
    box_m: Floats | None = None
    surface_m: float = 0.0
    parent: int | None = None
    is_lost: bool = False

    @property
    def extent_m(self) -> Floats:
        """Return (2, 3): lowest and highest corner of what the body fills, in its own frame."""
        if self.box_m is not None:
            return self.box_m
        sample = self.sample
        rows, columns = sample.top_m.shape
        size_m = np.array([columns - 1, rows - 1]) * sample.pitch_m
        low = np.array([sample.x0_m, sample.y0_m])
        lowest_m, highest_m = pack_solid(sample).z_range_m()
        return np.array([[*low, lowest_m], [*(low + size_m), highest_m]])

    def corners_m(self) -> Floats:
        """Return the eight corners of `extent_m`."""
        return np.array(list(product(*self.extent_m.T)))

    def outline_m(self) -> Floats:
        """Return (n, 3) points of the body's frame whose convex hull holds all of it, close around a needle."""
        sample = self.sample
        if self.box_m is not None or sample.has_surroundings:
            return self.corners_m()
        # Walls run out between the last sample that stands and the one beside it.
        stands = cv2.dilate((sample.top_m > sample.bottom_m).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        columns = np.flatnonzero(stands.any(axis=0))
        first, last = stands.argmax(axis=0), len(stands) - 1 - stands[::-1].argmax(axis=0)
        low_m = np.where(stands, np.minimum(sample.bottom_m, sample.top_m), np.inf).min(axis=0)
        high_m = np.where(stands, np.maximum(sample.bottom_m, sample.top_m), -np.inf).max(axis=0)
        x_m = sample.x0_m + sample.pitch_m * columns
        sides = product((sample.y0_m + sample.pitch_m * rows[columns] for rows in (first, last)), (low_m, high_m))
        return np.concatenate([np.stack([x_m, y_m, z_m[columns]], axis=1) for y_m, z_m in sides])

    @property
    def middle_m(self) -> Floats:
        """Return the middle of the body's map in the frame that carries it."""
        sample = self.sample
        rows, columns = sample.top_m.shape
        x_m, y_m = sample.x0_m + (columns - 1) / 2 * sample.pitch_m, sample.y0_m + (rows - 1) / 2 * sample.pitch_m
        return self.pose.outward(np.array([x_m, y_m, 0.0]))
