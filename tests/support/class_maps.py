"""Class maps and gray images of drawn scenes, with known geometry."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.detection import Segmentation

CLASSES = ("background", "lamella", "manipulator", "landing_post", "copper_adaptor", "volume_block")
LAMELLA, MANIPULATOR, POST, ADAPTOR, BLOCK = 1, 2, 3, 4, 5


def empty(height_px: int = 512, width_px: int = 768) -> NDArray[np.uint8]:
    """Return a class map of background only."""
    return np.zeros((height_px, width_px), np.uint8)


def box(classes: NDArray[np.uint8], index: int, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
    """Draw a rectangle, right and bottom exclusive, and return the map."""
    classes[top:bottom, left:right] = index
    return classes


def polygon(classes: NDArray[np.uint8], index: int, corners: Sequence[tuple[float, float]]) -> NDArray[np.uint8]:
    """Draw a filled polygon and return the map."""
    cv2.fillPoly(classes, [np.round(np.array(corners)).astype(np.int32)], index)
    return classes


def needle(classes: NDArray[np.uint8], tip_x: int, tip_y: int, *, face_px: int = 12) -> NDArray[np.uint8]:
    """Draw a manipulator that enters from the left and ends in a flat face of the given height."""
    half = face_px // 2
    corners = [(0, tip_y - 80), (tip_x, tip_y - half), (tip_x, tip_y + half), (0, tip_y + 80)]
    return polygon(classes, MANIPULATOR, corners)


def segmentation(classes: NDArray[np.uint8], *, share: float = 0.98, scale: float = 1.0) -> Segmentation:
    """Return the map with the same confidence everywhere."""
    confidence = np.full(classes.shape, round(share * 255), np.uint8)
    return Segmentation(classes=classes, confidence=confidence, x_scale_ratio=scale, y_scale_ratio=scale)


def gray(classes: NDArray[np.uint8], scale: int = 1) -> NDArray[np.uint8]:
    """Return the image that the level model of `tiny_models` reads back as this class map."""
    return np.kron(classes * 40 + 20, np.ones((scale, scale), np.uint8)).astype(np.uint8)
