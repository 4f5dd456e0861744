"""Objects that a frame can show: what they are, where their corners lie and which places belong to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from drivers.simulator.slab_search import MAX_GAP_M, Gap, find_gaps, find_slabs, was_taken_out
from fibsem_runtime.core import SpecimenPosition
from fibsem_runtime.core.units import NM, UM
from fibsem_runtime.hal.truth import LamellaTruth, ObjectClass

Floats: TypeAlias = NDArray[np.float64]

_FACE_M: Final = 10 * NM
"""How far a face may stand out of the slab's edges, which are those of its middle: uneven milling (assumed)."""

_BEFORE_ENTRY_M: Final = 3 * UM
"""How far before the plane of entry the slab may begin, because the surface is not flat (assumed)."""


_THINNED_FRACTION: Final = 0.5
"""A slab that is thinner than this part of its piece was milled into it; a thicker one is the piece (assumed)."""

_NOTHING_HELD: Final[Mapping[int, tuple[str, ...]]] = {}


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
    """A lamella: what is seen of a slab between two trenches, its surface and its milled faces, attached or not.

    ``held_by`` names what holds it where it is a part of a piece.
    """

    slab: Slab
    sample: Sample
    body: int
    held_by: tuple[str, ...] | None = None

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
        """Name the sides that hold it, or what holds the piece that it is a part of."""
        return self._measured.attached_to

    @cached_property
    def _measured(self) -> LamellaTruth:
        slab = self.slab
        middle = slab.point((slab.left_m + slab.right_m) / 2, (slab.bottom_m + slab.top_m) / 2)
        x_m, y_m, z_m = map(float, middle)
        target = SpecimenPosition(x_m=x_m, y_m=y_m, z_m=z_m)
        return measure_lamella(self.sample, target, slab.view, held_by=self.held_by)


@dataclass(frozen=True, eq=False)
class WholeThing:
    """A body that is one object: the needle, an adaptor on it, a piece that was cut free."""

    whole: Body
    object_class: ObjectClass
    attached_to: tuple[str, ...] = ()
    thickness_m: float | None = None

    @property
    def body(self) -> int:
        """Return its number."""
        return self.whole.number

    def corners(self) -> Floats:
        """Return the eight corners of the box around it."""
        return self.whole.corners_m()

    def holds(self, places: Floats) -> NDArray[np.bool_]:
        """Tell which places are any."""
        return np.isfinite(places[..., 0])


def find_things(
    bodies: Sequence[Body], *, is_serial: bool = False, held_by: Mapping[int, tuple[str, ...]] = _NOTHING_HELD
) -> list[Thing]:
    """Return every object of some bodies; ``held_by`` names what holds a body that was cut free.

    ``is_serial``: the scene is that of serial lift-out, with a mesh to land on. Its blocks are volume blocks,
    and lamellae once they stand there; all others are lamellae from the moment when trenches isolate them
    (data/README.md; detection.md section 2).
    """
    return [
        thing
        for body in bodies
        for thing in _things_of(body, is_serial=is_serial, held_by=held_by.get(body.number, ()))
    ]


def _things_of(body: Body, *, is_serial: bool, held_by: tuple[str, ...]) -> Sequence[Thing]:
    match body.kind:
        case BodyKind.NEEDLE:
            return [WholeThing(body, ObjectClass.MANIPULATOR)]
        case BodyKind.ADAPTOR:
            return [WholeThing(body, ObjectClass.COPPER_ADAPTOR, held_by)]
        case BodyKind.POSTS:
            return find_posts(body.sample, body.number)
        case BodyKind.RECEIVER:
            return find_bars(body.sample, body.number)
    if body.kind is BodyKind.PIECE:
        is_block = is_serial and body.carrier is Carrier.MANIPULATOR
        return _things_of_piece(body, ObjectClass.VOLUME_BLOCK if is_block else ObjectClass.LAMELLA, held_by)
    left = [slab for slab in find_slabs(body.sample) if not was_taken_out(slab, body.sample)]
    slabs = [SlabThing(slab, body.sample, body.number) for slab in left]
    object_class = ObjectClass.VOLUME_BLOCK if is_serial and body.kind is BodyKind.BLOCK else ObjectClass.LAMELLA
    gaps = _wide_gaps(body.sample, [thing.slab for thing in slabs])
    return [*slabs, *(PrismThing(gap, body.sample, object_class, body.number) for gap in gaps)]


def _things_of_piece(body: Body, object_class: ObjectClass, held_by: tuple[str, ...]) -> Sequence[Thing]:
    """Return the thinned part of a piece where there is one, else the whole piece as one object."""
    slabs = [SlabThing(slab, body.sample, body.number, held_by) for slab in find_slabs(body.sample)]
    if not slabs:
        return [WholeThing(body, object_class, held_by)]
    thinnest = min(slabs, key=lambda thing: thing.slab.top_m - thing.slab.bottom_m)
    across_m = float(np.ptp(body.corners_m() @ thinnest.slab.view.up))
    if thinnest.slab.top_m - thinnest.slab.bottom_m < _THINNED_FRACTION * across_m:
        return [thinnest]
    return [WholeThing(body, object_class, held_by, thinnest.thickness_m)]


def _wide_gaps(sample: Sample, slabs: Sequence[Slab]) -> list[Gap]:
    """Return the gaps with a block in them: wide, and neither thinned to a lamella nor emptied nor cut across."""
    chosen: list[Gap] = []
    for gap in find_gaps(sample.cuts, widest_m=WIDEST_M):
        is_new = not any(gap.overlaps(other) for other in chosen)
        is_whole = not any(gap.surrounds(slab) for slab in slabs) and not gap.is_emptied(sample.cuts)
        if gap.width_m > MAX_GAP_M and is_new and is_whole:
            chosen.append(gap)
    return chosen
