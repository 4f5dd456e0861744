"""The mask of the lamellae at known targets, for frames that are drawn without an instrument."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.region import region_of
from drivers.simulator.render import locate, prepare
from drivers.simulator.sample import Sample
from drivers.simulator.slab import find_slab
from drivers.simulator.things import SlabThing
from drivers.simulator.view import View
from fibsem_runtime.core import ImageSettings, SpecimenPosition
from fibsem_runtime.hal.truth import ObjectClass


def class_mask(
    sample: Sample, view: View, settings: ImageSettings, targets: Sequence[SpecimenPosition], ion_view: View
) -> NDArray[np.uint8]:
    """Return the class of every pixel of a frame, (height, width) of the reduced area if one is asked.

    A lamella is what is seen of the slab that stands nearest to a target: its surface between the trenches and its
    milled faces, also while the slab is still attached. ``ion_view`` is the view that milled it. A pixel belongs to
    what its centre shows.
    """
    slabs = [find_slab(sample, target, ion_view) for target in targets]
    places, _ = locate(prepare(sample, view, region_of(settings)))
    mask = np.full(places.shape[:2], ObjectClass.BACKGROUND, np.uint8)
    for slab in slabs:
        if slab is not None:
            mask[SlabThing(slab, sample, 0).holds(places)] = ObjectClass.LAMELLA
    return mask
