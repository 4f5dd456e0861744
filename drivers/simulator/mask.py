"""The truth of a frame for scoring and training: which pixels show the lamella, and its key points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulator.region import region_of
from drivers.simulator.render import locate, prepare
from drivers.simulator.sample import Sample
from drivers.simulator.slab import Slab, find_slab
from drivers.simulator.view import View
from fibsem_runtime.core import ImageSettings, PixelPoint, SpecimenPosition
from fibsem_runtime.core.units import NM, UM

__all__ = ["BACKGROUND", "LAMELLA", "class_mask", "lamella_key_points"]

BACKGROUND: Final = 0
LAMELLA: Final = 1
"""Classes of detection.md section 1 that occur in this scene."""

_FACE_M: Final = 10 * NM
"""How far a face may stand out of the slab's edges, which are those of its middle: uneven milling (assumed)."""
_BEFORE_ENTRY_M: Final = 3 * UM
"""How far before the plane of entry the slab may begin, because the surface is not flat (assumed)."""


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
    mask = np.full(places.shape[:2], BACKGROUND, np.uint8)
    for slab in slabs:
        if slab is not None:
            mask[_belongs_to(slab, places)] = LAMELLA
    return mask


def lamella_key_points(mask: NDArray[np.uint8]) -> dict[str, PixelPoint]:
    """Return centre and edges of the lamella in a mask by detection.md section 2, empty where none is seen.

    Of the largest component the centre is the mean of the pixels, the edges are the ends of the mean row and column.
    """
    count, labels, sizes, _ = cv2.connectedComponentsWithStats((mask == LAMELLA).astype(np.uint8), connectivity=8)
    if count < 2:
        return {}
    rows, columns = np.nonzero(labels == 1 + int(sizes[1:, cv2.CC_STAT_AREA].argmax()))
    row, column = int(rows.mean()), int(columns.mean())
    points = {"LamellaCentre": PixelPoint(float(columns.mean()) + 0.5, float(rows.mean()) + 0.5)}
    along = columns[rows == row]
    if along.size:
        points["LamellaLeftEdge"] = PixelPoint(float(along.min()), row + 0.5)
        points["LamellaRightEdge"] = PixelPoint(float(along.max()) + 1, row + 0.5)
    across = rows[columns == column]
    if across.size:
        points["LamellaTopEdge"] = PixelPoint(column + 0.5, float(across.min()))
        points["LamellaBottomEdge"] = PixelPoint(column + 0.5, float(across.max()) + 1)
    return points


def _belongs_to(slab: Slab, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which specimen points, (height, width, 3) with NaN for nothing, lie on a slab."""
    offsets = places - slab.view.origin
    x, y, along = (offsets @ axis for axis in (slab.view.right, slab.view.up, slab.view.direction))
    inside = (x >= slab.left_m) & (x <= slab.right_m)
    inside &= (y >= slab.bottom_m - _FACE_M) & (y <= slab.top_m + _FACE_M)
    return np.asarray(inside & (along >= slab.entry_m - _BEFORE_ENTRY_M) & (along <= slab.limit_m), np.bool_)
