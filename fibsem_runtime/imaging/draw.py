"""Drawings on images: points with names, boxes and patterns, a scale bar, pairs side by side; RGB arrays and PNG bytes.

Sizes follow the image, so that marks are readable on a 512 px thumbnail and on a 6144 px frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image, ImagePoint, PixelPoint
from fibsem_runtime.core.errors import ImageFileError
from fibsem_runtime.core.frames import image_to_pixel
from fibsem_runtime.core.units import format_quantity

Rgb: TypeAlias = NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]

CYAN: Final[Colour] = (0, 220, 255)
YELLOW: Final[Colour] = (255, 210, 0)
MAGENTA: Final[Colour] = (255, 80, 220)
GREEN: Final[Colour] = (60, 230, 90)
RED: Final[Colour] = (255, 70, 60)
WHITE: Final[Colour] = (255, 255, 255)

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_REFERENCE_WIDTH_PX: Final = 1536
_BAR_STEPS: Final = (1.0, 2.0, 5.0)
_BAR_FRACTION: Final = 0.2
"""Longest scale bar over the width of the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point to draw, with a text beside it."""

    point: PixelPoint
    label: str = ""
    colour: Colour = CYAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle around ``centre`` in metres from the image centre (y up), rotated counter-clockwise."""

    centre: ImagePoint
    width_m: float
    height_m: float
    rotation_rad: float = 0.0
    label: str = ""
    colour: Colour = YELLOW


def to_rgb(image: Image, *, stretch: bool = True) -> Rgb:
    """Return (height, width, 3) uint8; with ``stretch`` the darkest and brightest 0.5 % of the pixels are clipped."""
    values = image.data.astype(np.float32)
    low, high = (float(v) for v in np.percentile(values[::4, ::4], (0.5, 99.5))) if stretch else (0.0, 0.0)
    if high <= low:
        low, high = 0.0, float(np.iinfo(image.data.dtype).max)
    gray = np.clip((values - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(gray[:, :, None], 3, axis=2))


def draw_marks(canvas: Rgb, marks: Sequence[Mark]) -> Rgb:
    """Return a copy of ``canvas`` with a cross and a name at every point; points outside are left out."""
    drawn = canvas.copy()
    scale = _scale(drawn)
    arm_px, line_px = round(12 * scale), max(1, round(2 * scale))
    for mark in marks:
        if not (0 <= mark.point.x_px <= drawn.shape[1] and 0 <= mark.point.y_px <= drawn.shape[0]):
            continue
        x_px, y_px = _pixel(mark.point)
        for colour, extra_px in (((0, 0, 0), 2), (mark.colour, 0)):
            cv2.line(drawn, (x_px - arm_px, y_px), (x_px + arm_px, y_px), colour, line_px + extra_px, cv2.LINE_AA)
            cv2.line(drawn, (x_px, y_px - arm_px), (x_px, y_px + arm_px), colour, line_px + extra_px, cv2.LINE_AA)
        _write(drawn, mark.label, (x_px + arm_px + line_px, y_px - line_px), mark.colour)
    return drawn


def draw_boxes(canvas: Rgb, boxes: Sequence[Box], pixel_size_m: float) -> Rgb:
    """Return a copy of ``canvas`` with the outlines of ``boxes``, patterns or areas."""
    drawn = canvas.copy()
    line_px = max(1, round(1.5 * _scale(drawn)))
    for box in boxes:
        corners = np.array([_pixel_16th(corner) for corner in _corners(box, drawn.shape[:2], pixel_size_m)], np.int32)
        cv2.polylines(
            drawn, [corners], isClosed=True, color=(0, 0, 0), thickness=line_px + 2, lineType=cv2.LINE_AA, shift=4
        )
        cv2.polylines(
            drawn, [corners], isClosed=True, color=box.colour, thickness=line_px, lineType=cv2.LINE_AA, shift=4
        )
        left_px, top_px = (int(v) // 16 for v in corners.min(axis=0))
        _write(drawn, box.label, (left_px, top_px - 2 * line_px), box.colour)
    return drawn


def draw_scale_bar(canvas: Rgb, pixel_size_m: float) -> Rgb:
    """Return a copy of ``canvas`` with a bar of a round length and its name in the lower left corner."""
    drawn = canvas.copy()
    scale = _scale(drawn)
    length_m = round_length_m(_BAR_FRACTION * drawn.shape[1] * pixel_size_m)
    margin_px, thick_px = round(24 * scale), max(2, round(6 * scale))
    left_px, bottom_px = margin_px, drawn.shape[0] - margin_px
    right_px = left_px + max(1, round(length_m / pixel_size_m))
    cv2.rectangle(drawn, (left_px - 2, bottom_px - thick_px - 2), (right_px + 2, bottom_px + 2), (0, 0, 0), cv2.FILLED)
    cv2.rectangle(drawn, (left_px, bottom_px - thick_px), (right_px, bottom_px), WHITE, cv2.FILLED)
    _write(drawn, format_quantity(length_m, "m"), (left_px, bottom_px - 2 * thick_px), WHITE)
    return drawn


def draw_title(canvas: Rgb, title: str) -> Rgb:
    """Return a copy of ``canvas`` with a text in its upper left corner."""
    drawn = canvas.copy()
    scale = _scale(drawn)
    _write(drawn, title, (round(16 * scale), round(36 * scale)), WHITE)
    return drawn


def side_by_side(first: Rgb, second: Rgb) -> Rgb:
    """Return both pictures beside each other at the height of the lower one, with a white line between."""
    height_px = min(first.shape[0], second.shape[0])
    gap = np.full((height_px, max(2, round(4 * _scale(first))), 3), 255, np.uint8)
    return np.hstack([_to_height(first, height_px), gap, _to_height(second, height_px)])


def to_png(canvas: Rgb, *, max_width_px: int | None = None) -> bytes:
    """Encode ``canvas`` as PNG, shrunk to ``max_width_px`` when it is wider."""
    if max_width_px is not None and canvas.shape[1] > max_width_px:
        canvas = _to_height(canvas, max(1, round(canvas.shape[0] * max_width_px / canvas.shape[1])))
    encoded, buffer = cv2.imencode(".png", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise ImageFileError(f"a picture of shape {canvas.shape} cannot be encoded as PNG")
    return bytes(buffer.tobytes())


def _scale(canvas: Rgb) -> float:
    """Return how much larger marks are than on a frame of 1536 px, never too small to read."""
    return max(0.55, float(canvas.shape[1]) / _REFERENCE_WIDTH_PX)


def _pixel(point: PixelPoint) -> tuple[int, int]:
    """Return the pixel that ``point`` lies in; OpenCV counts from pixel centres."""
    return math.floor(point.x_px), math.floor(point.y_px)


def _pixel_16th(point: PixelPoint) -> tuple[int, int]:
    """Return the point in sixteenths of a pixel from the centre of the first, as OpenCV's shift of 4 asks for."""
    return round((point.x_px - 0.5) * 16), round((point.y_px - 0.5) * 16)


def _corners(box: Box, shape: tuple[int, ...], pixel_size_m: float) -> list[PixelPoint]:
    cos, sin = math.cos(box.rotation_rad), math.sin(box.rotation_rad)
    corners = []
    for side_x, side_y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        x_m, y_m = side_x * box.width_m / 2, side_y * box.height_m / 2
        corner = box.centre + ImagePoint(x_m * cos - y_m * sin, x_m * sin + y_m * cos)
        corners.append(image_to_pixel(corner, (shape[0], shape[1]), pixel_size_m))
    return corners


def _write(canvas: Rgb, text: str, at_px: tuple[int, int], colour: Colour) -> None:
    """Write ASCII ``text`` with its lower left corner at ``at_px``, moved inside the picture, outlined in black."""
    if not text:
        return
    text = text.replace("µ", "u").replace("°", " deg").encode("ascii", "replace").decode()
    scale = _scale(canvas)
    size, thick_px = 0.8 * scale, max(1, round(1.6 * scale))
    (width_px, height_px), _ = cv2.getTextSize(text, _FONT, size, thick_px)
    x_px = max(2, min(at_px[0], canvas.shape[1] - width_px - 2))
    y_px = max(height_px + 2, min(at_px[1], canvas.shape[0] - 4))
    # Not in thicker letters: some fonts of OpenCV set those wider, and they stand beside the others.
    rim_px = max(1, round(scale))
    for right_px, down_px in product((-rim_px, 0, rim_px), repeat=2):
        cv2.putText(canvas, text, (x_px + right_px, y_px + down_px), _FONT, size, (0, 0, 0), thick_px, cv2.LINE_AA)
    cv2.putText(canvas, text, (x_px, y_px), _FONT, size, colour, thick_px, cv2.LINE_AA)


def round_length_m(longest_m: float) -> float:
    """Return the longest length of 1, 2 or 5 times a power of ten that is not longer than ``longest_m``."""
    decade_m = math.pow(10, math.floor(math.log10(longest_m)))
    return max(step * decade_m for step in _BAR_STEPS if step * decade_m <= longest_m * (1 + 1e-9))


def _to_height(canvas: Rgb, height_px: int) -> Rgb:
    if canvas.shape[0] == height_px:
        return canvas
    width_px = max(1, round(canvas.shape[1] * height_px / canvas.shape[0]))
    return np.asarray(cv2.resize(canvas, (width_px, height_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)
