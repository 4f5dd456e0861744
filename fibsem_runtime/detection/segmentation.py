"""The class map of one image and the bodies in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import PixelPoint

Mask: TypeAlias = NDArray[np.uint8]

Labels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int32]

_PARENT: Final = 3
"""Column of OpenCV's contour tree; an outline without a parent bounds a region, one with bounds a hole."""
_FEW: Final = 24
_BOX: Final = (int(cv2.CC_STAT_LEFT), int(cv2.CC_STAT_TOP), int(cv2.CC_STAT_WIDTH), int(cv2.CC_STAT_HEIGHT))

_BORDER: Final = 1
"""Map pixels from the image's end within which a body counts as cut off; the outermost row is often missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Bounding box in pixels, ``right`` and ``bottom`` exclusive."""

    left_px: float
    top_px: float
    right_px: float
    bottom_px: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Segmentation:
    """Class and confidence of every map pixel of an image.

    ``classes``, ``confidence``: (height, width) uint8, the second in 1/255. A map pixel covers ``x_scale_ratio`` x
    ``y_scale_ratio`` image pixels; both frames have their origin at the outer corner of the first pixel.
    """

    classes: Mask
    confidence: Mask
    x_scale_ratio: float = 1.0
    y_scale_ratio: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(height, width)`` of the maps."""
        return (self.classes.shape[0], self.classes.shape[1])

    @property
    def pixel_area(self) -> float:
        """Return how many image pixels one map pixel covers."""
        return self.x_scale_ratio * self.y_scale_ratio

    def to_image(self, x_map_px: float, y_map_px: float) -> PixelPoint:
        """Convert map coordinates to pixels of the image."""
        return PixelPoint(x_map_px * self.x_scale_ratio, y_map_px * self.y_scale_ratio)

    def to_map(self, point: PixelPoint) -> tuple[float, float]:
        """Convert pixels of the image to map coordinates (x, y)."""
        return point.x_px / self.x_scale_ratio, point.y_px / self.y_scale_ratio


@dataclass(frozen=True, eq=False, kw_only=True)
class Body:
    """One connected region of a class, in map pixels; ``mask``: (height, width) bool, the region inside its box."""

    segmentation: Segmentation
    class_index: int
    mask: NDArray[np.bool_]
    box: tuple[int, int, int, int]
    pixel_count: int
    centre_px: tuple[float, float]

    @property
    def area_px(self) -> float:
        """Return the area in pixels of the image."""
        return self.pixel_count * self.segmentation.pixel_area

    @property
    def image_box(self) -> Box:
        """Return the bounding box in pixels of the image."""
        left, top, width, height = self.box
        first = self.segmentation.to_image(left, top)
        last = self.segmentation.to_image(left + width, top + height)
        return Box(left_px=first.x_px, top_px=first.y_px, right_px=last.x_px, bottom_px=last.y_px)

    @cached_property
    def body_share(self) -> float:
        """Return the mean confidence inside the body, 0..1."""
        left, top, width, height = self.box
        values = self.segmentation.confidence[top : top + height, left : left + width]
        return float(cv2.mean(values, self.mask.view(np.uint8))[0]) / 255

    @property
    def cut_sides(self) -> frozenset[str]:
        """Return the sides of the image at which the body is cut off: left, top, right, bottom."""
        left, top, width, height = self.box
        rows, columns = self.segmentation.shape
        sides = {
            "left": left <= _BORDER,
            "top": top <= _BORDER,
            "right": left + width >= columns - _BORDER,
            "bottom": top + height >= rows - _BORDER,
        }
        return frozenset(side for side, cut in sides.items() if cut)


@dataclass(frozen=True, eq=False, kw_only=True)
class BodyGroup:
    """The believable bodies of one class, the largest first; at least one."""

    bodies: tuple[Body, ...]

    @cached_property
    def filled_mask(self) -> Mask:
        """Return all bodies in one map of 0 and 1, holes filled: what is seen inside an outline is no edge."""
        mask = np.zeros(self.bodies[0].segmentation.shape, np.uint8)
        for body in self.bodies:
            left, top, width, height = body.box
            outlines, _ = cv2.findContours(body.mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            filled = cv2.drawContours(np.zeros((height, width), np.uint8), outlines, -1, 1, cv2.FILLED)
            mask[top : top + height, left : left + width] |= np.asarray(filled, np.uint8)
        return mask


def find_bodies(segmentation: Segmentation, class_index: int) -> list[Body]:
    """Return the connected regions (8-neighbourhood) of a class, the largest first."""
    mask = np.equal(segmentation.classes, class_index).view(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return []
    crop = mask[top : top + height, left : left + width]
    bodies = [
        _measure(segmentation, class_index, labels, label, box, (left, top)) for labels, label, box in _regions(crop)
    ]
    return sorted(bodies, key=lambda body: -body.pixel_count)


def _regions(mask: Mask) -> Iterator[tuple[Labels, int, tuple[int, int, int, int]]]:
    """Yield label map, label and box of each connected region.

    Outlines give the boxes at a tenth of the cost of OpenCV's statistics; only a mask of many specks is cheaper by
    these.
    """
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outer = [contour for contour, links in zip(contours, tree[0], strict=True) if links[_PARENT] < 0]
    if len(outer) == 1:
        yield mask, 1, (0, 0, mask.shape[1], mask.shape[0])
    elif len(outer) <= _FEW:
        labels: Labels = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_16U)[1].view(np.uint16)
        for contour in outer:
            x, y = contour[0, 0]
            box = cv2.boundingRect(contour)
            yield labels, int(labels[y, x]), (box[0], box[1], box[2], box[3])
    else:
        count, found, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for label in range(1, count):
            x, y, width, height = (int(stats[label, column]) for column in _BOX)
            yield np.asarray(found, np.int32), label, (x, y, width, height)


def _measure(
    segmentation: Segmentation,
    class_index: int,
    labels: Labels,
    label: int,
    box: tuple[int, int, int, int],
    corner: tuple[int, int],
) -> Body:
    x, y, width, height = box
    part = np.equal(labels[y : y + height, x : x + width], label).view(np.uint8)
    columns = cv2.reduce(part, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0]
    rows = cv2.reduce(part, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0]
    count = int(columns.sum())
    left, top = x + corner[0], y + corner[1]
    return Body(
        segmentation=segmentation,
        class_index=class_index,
        mask=part.view(np.bool_),
        box=(left, top, width, height),
        pixel_count=count,
        # A pixel's middle lies half a pixel from its corner.
        centre_px=(
            float(columns @ np.arange(width)) / count + left + 0.5,
            float(rows @ np.arange(height)) / count + top + 0.5,
        ),
    )
