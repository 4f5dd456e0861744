"""The class map of one image and the bodies in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import PixelPoint

Mask: TypeAlias = NDArray[np.uint8]

_AREA: Final = int(cv2.CC_STAT_AREA)
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
    """One connected region of a class, in map pixels."""

    segmentation: Segmentation
    class_index: int
    label: int
    labels: NDArray[np.int32]
    corner: tuple[int, int]
    box: tuple[int, int, int, int]
    pixel_count: int
    centre: tuple[float, float]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Return the body inside its box, (height, width)."""
        left, top, width, height = self.box
        x, y = left - self.corner[0], top - self.corner[1]
        return np.equal(self.labels[y : y + height, x : x + width], self.label)

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


def find_bodies(segmentation: Segmentation, class_index: int) -> list[Body]:
    """Return the connected regions (8-neighbourhood) of a class, the largest first."""
    mask = np.equal(segmentation.classes, class_index).view(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return []
    crop = mask[top : top + height, left : left + width]
    count, labels, stats, centres = cv2.connectedComponentsWithStats(crop, connectivity=8)
    order = 1 + np.argsort(-stats[1:count, _AREA], kind="stable")
    return [
        Body(
            segmentation=segmentation,
            class_index=class_index,
            label=int(label),
            labels=np.asarray(labels, np.int32),
            corner=(left, top),
            box=_shifted_box(stats[label], left, top),
            pixel_count=int(stats[label, _AREA]),
            # A pixel's middle lies half a pixel from its corner.
            centre=(float(centres[label, 0]) + left + 0.5, float(centres[label, 1]) + top + 0.5),
        )
        for label in order
    ]


def _shifted_box(stats: NDArray[np.int32], left: int, top: int) -> tuple[int, int, int, int]:
    x, y, width, height = (int(stats[column]) for column in _BOX)
    return x + left, y + top, width, height
