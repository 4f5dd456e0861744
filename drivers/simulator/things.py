"""Objects that a frame can show: what they are, where their corners lie and which places belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bodies import Body, BodyKind, Carrier
from drivers.simulator.copper_things import find_bars, find_posts
from drivers.simulator.lamella import measure_lamella
from drivers.simulator.prism import WIDEST_M, PrismThing
from drivers.simulator.sample import Sample
from drivers.simulator.slab import Slab
from drivers.simulator.slab_search import MAX_GAP_M, Gap, find_gaps, find_slabs
from fibsem_runtime.core import SpecimenPosition
from fibsem_runtime.core.units import NM, UM
from fibsem_runtime.hal.truth import LamellaTruth, ObjectClass

Floats: TypeAlias = NDArray[np.float64]

_FACE_M: Final = 10 * NM
"""How far a face may stand out of the slab's edges, which are those of its middle: uneven milling (assumed)."""

_BEFORE_ENTRY_M: Final = 3 * UM
"""How far before the plane of entry the slab may begin, because the surface is not flat (assumed)."""


class Thing(Protocol):
    """One object of the sample, of one of the six classes."""

    @property
    def object_class(self) -> ObjectClass:
        """Return what it is."""

    @property
    def body(self) -> int:
        """Return the number of the body that it is, or is part of."""

    def corners(self) -> Floats:
        """Return (n, 3) points of the body's frame that all of it lies between."""

    def holds(self, places: Floats) -> NDArray[np.bool_]:
        """Tell which points of the body, (height, width, 3), lie on it; NaN is nothing."""

    @property
    def thickness_m(self) -> float | None:
        """Return its thickness, None for what is no lamella or not cut through."""

    @property
    def attached_to(self) -> tuple[str, ...]:
        """Name what holds it."""


@dataclass(frozen=True, eq=False)
class SlabThing:
    """A lamella: what is seen of a slab between two trenches, its surface and its milled faces, attached or not."""

    slab: Slab
    sample: Sample
    body: int

    @property
    def object_class(self) -> ObjectClass:
        """Return `ObjectClass.LAMELLA`."""
        return ObjectClass.LAMELLA

    def _box(self) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
        slab = self.slab
        return (
            (slab.left_m, slab.right_m),
            (slab.bottom_m - _FACE_M, slab.top_m + _FACE_M),
            (slab.entry_m - _BEFORE_ENTRY_M, slab.limit_m),
        )

    def corners(self) -> Floats:
        """Return the eight corners of the box that the slab fills."""
        view = self.slab.view
        axes = np.array([view.right, view.up, view.direction])
        return np.asarray(view.origin + np.array(list(product(*self._box()))) @ axes)

    def holds(self, places: Floats) -> NDArray[np.bool_]:
        """Tell which specimen points lie on the slab."""
        view = self.slab.view
        offsets = places - view.origin
        inside = np.ones(places.shape[:-1], np.bool_)
        for axis, (low_m, high_m) in zip((view.right, view.up, view.direction), self._box(), strict=True):
            along = offsets @ axis
            inside &= (along >= low_m) & (along <= high_m)
        return inside

    @property
    def thickness_m(self) -> float | None:
        """Return its thickness as `measure_lamella` has it."""
        return self._measured.thickness_m

    @property
    def attached_to(self) -> tuple[str, ...]:
        """Name the sides that hold it."""
        return self._measured.attached_to

    @cached_property
    def _measured(self) -> LamellaTruth:
        slab = self.slab
        middle = slab.point((slab.left_m + slab.right_m) / 2, (slab.bottom_m + slab.top_m) / 2)
        x_m, y_m, z_m = map(float, middle)
        return measure_lamella(self.sample, SpecimenPosition(x_m=x_m, y_m=y_m, z_m=z_m), slab.view)


@dataclass(frozen=True, eq=False)
class WholeThing:
    """A body that is one object: the needle, an adaptor on it, a piece that was cut free."""

    sample: Sample
    object_class: ObjectClass
    body: int
    thickness_m: float | None = None
    attached_to: tuple[str, ...] = ()

    def corners(self) -> Floats:
        """Return the eight corners of the box around it."""
        sample = self.sample
        rows, columns = np.nonzero(sample.top_m > sample.bottom_m)
        x_m = sample.x0_m + sample.pitch_m * np.array([columns.min() - 1, columns.max() + 1])
        y_m = sample.y0_m + sample.pitch_m * np.array([rows.min() - 1, rows.max() + 1])
        z_m = (float(sample.bottom_m[rows, columns].min()), float(sample.top_m[rows, columns].max()))
        return np.array(list(product(x_m, y_m, z_m)))

    def holds(self, places: Floats) -> NDArray[np.bool_]:
        """Tell which places are any."""
        return np.isfinite(places[..., 0])


def find_things(bodies: Sequence[Body]) -> list[Thing]:
    """Return every object of some bodies.

    Blocks to land on a mesh are volume blocks, and lamellae once they stand there; all others are lamellae from the
    moment when trenches isolate them (data/README.md; detection.md section 2).
    """
    is_serial = any(body.kind is BodyKind.RECEIVER for body in bodies)
    return [thing for body in bodies for thing in _things_of(body, is_serial=is_serial)]


def _things_of(body: Body, *, is_serial: bool) -> Sequence[Thing]:
    sample, number = body.sample, body.number
    block = ObjectClass.VOLUME_BLOCK if is_serial else ObjectClass.LAMELLA
    match body.kind:
        case BodyKind.NEEDLE:
            return [WholeThing(sample, ObjectClass.MANIPULATOR, number)]
        case BodyKind.ADAPTOR:
            return [WholeThing(sample, ObjectClass.COPPER_ADAPTOR, number)]
        case BodyKind.PIECE:
            is_landed = body.carrier is Carrier.STAGE
            return [WholeThing(sample, ObjectClass.LAMELLA if is_landed else block, number)]
        case BodyKind.POSTS:
            return find_posts(sample, number)
        case BodyKind.RECEIVER:
            return find_bars(sample, number)
    slabs = find_slabs(sample)
    prisms = [
        PrismThing(gap, sample, block if body.kind is BodyKind.BLOCK else ObjectClass.LAMELLA, number)
        for gap in _wide_gaps(sample, slabs)
    ]
    return [*(SlabThing(slab, sample, number) for slab in slabs), *prisms]


def _wide_gaps(sample: Sample, slabs: Sequence[Slab]) -> list[Gap]:
    """Return the gaps with a block in them: wide, and neither thinned to a lamella nor cut across by a narrower gap."""
    chosen: list[Gap] = []
    for gap in find_gaps(sample.cuts, widest_m=WIDEST_M):
        is_new = not any(gap.overlaps(other) for other in chosen)
        if gap.width_m > MAX_GAP_M and is_new and not any(gap.surrounds(slab) for slab in slabs):
            chosen.append(gap)
    return chosen
