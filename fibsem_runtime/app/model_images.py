"""Images on which models are compared, calibrated and timed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from fibsem_runtime.core import Image, ImageMetadata
from fibsem_runtime.core.errors import DataError
from fibsem_runtime.imaging import read_image

_SUFFIXES: Final = (".tif", ".tiff")


def read_some(paths: Sequence[Path], most: int) -> list[tuple[str, Image]]:
    """Return names and images of the files and folders given, at most ``most``, spread evenly over all.

    Raises `DataError` when there is none.
    """
    files = [file for path in paths for file in (_files_in(path) if path.is_dir() else [path])]
    if not files:
        where = ", ".join(str(path) for path in paths) or "nothing: give files or folders with --images"
        raise DataError(f"there is no TIFF image in {where}")
    chosen = sorted({round(index) for index in np.linspace(0, len(files) - 1, min(most, len(files)))})
    return [(files[index].name, read_image(files[index])) for index in chosen]


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def drawn_frame(number: int, *, width_px: int = 1536, height_px: int = 1024) -> tuple[str, Image]:
    """Draw bright bodies on a grainy ground, the same for a number each time, where no real image is given."""
    rng = np.random.default_rng(number)
    level = rng.normal(90, 12, (height_px, width_px)).astype(np.float32)
    for _ in range(6):
        centre = (int(rng.integers(width_px)), int(rng.integers(height_px)))
        sides = (int(rng.integers(20, width_px // 3)), int(rng.integers(10, height_px // 4)))
        corners = cv2.boxPoints((centre, sides, float(rng.uniform(0, 180)))).astype(np.int32)
        cv2.fillConvexPoly(level, corners, float(rng.uniform(60, 220)))
    grainy = cv2.GaussianBlur(level, (0, 0), 1.5) + rng.normal(0, 9, level.shape)
    return f"drawn-{number}", Image(np.clip(grainy, 0, 255).astype(np.uint8), ImageMetadata())
