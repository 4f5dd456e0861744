"""Images made small enough to travel inside the page, with their true size in pixels and metres."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image, PixelPoint
from fibsem_runtime.core.errors import DataError
from fibsem_runtime.events import ImageReference
from fibsem_runtime.experiment import Experiment
from fibsem_runtime.imaging.draw import round_length_m, to_rgb

_THUMBNAIL_WIDTH_PX: Final = 640
_JPEG_QUALITY: Final = 78
_LEAST_DETAIL_PX: Final = 60
"""Fewer pixels than this show nothing that a person would recognise (assumed)."""
_SCALE_BAR_FRACTION: Final = 0.25
"""Longest scale bar as a part of the width (assumed: what figures in papers show)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Part of an image in its own pixels, which the page uses as coordinates."""

    left_px: float
    top_px: float
    width_px: float
    height_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image in the page: ``key`` names it there, ``uri`` is its content, ``scale_bar_m`` fits into ``view``."""

    key: str
    uri: str
    view: View
    pixel_size_m: float | None
    scale_bar_m: float | None

    @property
    def scale_bar_px(self) -> float:
        """Return the length of the scale bar in image pixels, 0 without a scale."""
        return self.scale_bar_m / self.pixel_size_m if self.scale_bar_m and self.pixel_size_m else 0.0


class PictureBook:
    """Load images once, keep their small versions and say why one cannot be shown."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._pictures: dict[str, Picture] = {}
        self._problems: dict[str, str] = {}

    @property
    def pictures(self) -> list[Picture]:
        """Return all pictures that were asked for, each once."""
        return list(self._pictures.values())

    def whole(self, reference: ImageReference) -> Picture | str:
        """Return the whole image, or one line why it cannot be shown."""
        return self._find(reference.path, reference, None)

    def detail(self, reference: ImageReference, points: list[PixelPoint], min_width_m: float) -> Picture | str:
        """Return the surroundings of some points at the image's own resolution, at least ``min_width_m`` wide."""
        key = f"{reference.path}#" + ",".join(f"{p.x_px:.1f}/{p.y_px:.1f}" for p in points)
        return self._find(key, reference, (points, min_width_m))

    def _find(
        self, name: str, reference: ImageReference, detail: tuple[list[PixelPoint], float] | None
    ) -> Picture | str:
        if reference.path in self._problems:
            return self._problems[reference.path]
        if name not in self._pictures:
            try:
                image = self._experiment.load_image(reference)
            except DataError as error:
                self._problems[reference.path] = str(error)
                return str(error)
            view = _whole_view(image) if detail is None else _detail_view(image, *detail)
            self._pictures[name] = _make(f"picture-{len(self._pictures) + 1}", image, view)
        return self._pictures[name]


def _whole_view(image: Image) -> View:
    height_px, width_px = image.shape
    return View(left_px=0, top_px=0, width_px=width_px, height_px=height_px)


def _detail_view(image: Image, points: list[PixelPoint], min_width_m: float) -> View:
    """Return a 3:2 part around the points, four times as wide as they lie apart, as far as the image reaches."""
    height_px, width_px = image.shape
    xs, ys = [p.x_px for p in points], [p.y_px for p in points]
    spread_px = max(max(xs) - min(xs), 1.5 * (max(ys) - min(ys)))
    least_px = min_width_m / image.pixel_size_m if image.metadata.pixel_size_m else width_px / 8
    wanted_px = max(4 * spread_px, least_px, _LEAST_DETAIL_PX)
    part_width_px, part_height_px = min(width_px, round(wanted_px)), min(height_px, round(wanted_px / 1.5))
    left_px = (max(xs) + min(xs) - part_width_px) / 2
    top_px = (max(ys) + min(ys) - part_height_px) / 2
    return View(
        left_px=round(min(max(left_px, 0), width_px - part_width_px)),
        top_px=round(min(max(top_px, 0), height_px - part_height_px)),
        width_px=part_width_px,
        height_px=part_height_px,
    )


def _make(key: str, image: Image, view: View) -> Picture:
    """Return a part of an image; 8-bit pixels stay as the instrument gave them, so that before and after compare."""
    left_px, top_px = int(view.left_px), int(view.top_px)
    part = to_rgb(image, stretch=image.data.dtype != np.uint8)[
        top_px : top_px + int(view.height_px), left_px : left_px + int(view.width_px), 0
    ]
    pixel_size_m = image.metadata.pixel_size_m
    return Picture(
        key=key,
        uri=_data_uri(part),
        view=view,
        pixel_size_m=pixel_size_m,
        scale_bar_m=round_length_m(view.width_px * pixel_size_m * _SCALE_BAR_FRACTION) if pixel_size_m else None,
    )


def _data_uri(shown: NDArray[np.uint8]) -> str:
    """Return gray pixels as a JPEG inside an address, no wider than a thumbnail."""
    ratio = _THUMBNAIL_WIDTH_PX / shown.shape[1]
    if ratio < 1:
        size_px = (_THUMBNAIL_WIDTH_PX, max(1, round(shown.shape[0] * ratio)))
        shown = np.asarray(cv2.resize(shown, size_px, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    _, encoded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
