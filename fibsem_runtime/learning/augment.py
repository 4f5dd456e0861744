"""Change labelled views so that the network does not learn one instrument: geometry, objects, then gray values.

All strengths are assumed; they are wide on purpose: the model is used on instruments that it was not trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.learning.degrade import degrade

Gray = NDArray[np.uint8]
LAMELLA: Final = 1

_USUAL_ROTATION_RAD: Final = math.radians(5)
_LARGE_ROTATION_RAD: Final = math.radians(25)
_LARGE_ROTATION_CHANCE: Final = 0.15
_SQUEEZE: Final = 0.3
_TRANSPLANT_CHANCE: Final = 0.35
_LENT_CHANCE: Final = 0.75
_OCCLUSION_CHANCE: Final = 0.12
_DATA_BAR_CHANCE: Final = 0.08


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Gray image and class indices of one size, both (height, width) uint8."""

    gray: Gray
    labels: Gray


def augment(
    view: View, donor: View | None, size_px: tuple[int, int], zoom_ratio: float, rng: np.random.Generator
) -> View:
    """Return a changed view of ``size_px = (width, height)``.

    ``zoom_ratio`` is the number of output pixels per pixel of ``view``; ``donor`` lends it objects.
    """
    if donor is not None and rng.random() < _TRANSPLANT_CHANCE:
        view = transplant(view, donor, rng)
    view = _warp(view, size_px, zoom_ratio, rng)
    gray = degrade(view.gray, rng)
    return _cover(View(gray, view.labels), rng)


def _warp(view: View, size_px: tuple[int, int], zoom_ratio: float, rng: np.random.Generator) -> View:
    """Zoom, squeeze (a tilted specimen looks foreshortened), rotate, mirror and shift."""
    width_px, height_px = size_px
    squeeze = math.exp(rng.uniform(-_SQUEEZE, _SQUEEZE))
    angle_rad = _angle_rad(rng) + (math.pi if rng.random() < 0.15 else 0)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    matrix = zoom_ratio * np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([mirror, squeeze])
    focus = _focus(view, rng)
    shift = np.array([width_px, height_px]) / 2 - matrix @ focus
    transform = np.column_stack([matrix, shift])
    # Outside the frame there is nothing: black as where a mosaic ends, or gray as the engine's padding.
    fill = float(rng.choice([0.0, float(view.gray.mean())]))
    gray = cv2.warpAffine(view.gray, transform, size_px, flags=cv2.INTER_LINEAR, borderValue=fill)
    labels = cv2.warpAffine(view.labels, transform, size_px, flags=cv2.INTER_NEAREST)
    return View(np.asarray(gray, np.uint8), np.asarray(labels, np.uint8))


def _angle_rad(rng: np.random.Generator) -> float:
    if rng.random() < _LARGE_ROTATION_CHANCE:
        return float(rng.uniform(-_LARGE_ROTATION_RAD, _LARGE_ROTATION_RAD))
    return float(rng.normal(0, _USUAL_ROTATION_RAD))


def _focus(view: View, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the pixel to be centred: near the middle, near some object, or anywhere."""
    height_px, width_px = view.gray.shape
    choice = rng.random()
    if choice < 0.45:
        return np.array([width_px, height_px]) * rng.uniform(0.4, 0.6, 2)
    if choice < 0.8:
        rows, columns = np.nonzero(view.labels[::8, ::8])
        if rows.size:
            index = int(rng.integers(rows.size))
            spread = np.array([width_px, height_px]) * rng.normal(0, 0.12, 2)
            return np.array([columns[index], rows[index]]) * 8.0 + spread
    return np.array([width_px, height_px]) * rng.uniform(0.1, 0.9, 2)


def transplant(view: View, donor: View, rng: np.random.Generator) -> View:
    """Lay objects of the donor over the view: what an object looks like must not be known from its surroundings.

    What touches the donor's border still enters from the border. A view gets no second manipulator or post.
    """
    lent = [index for index in _lendable(view, donor) if rng.random() < _LENT_CHANCE]
    if not lent or donor.gray.shape != view.gray.shape:
        return view
    mask = np.isin(donor.labels, lent).astype(np.uint8)
    if not mask.any():
        return view
    transform = _placement(mask, rng)
    size_px = view.gray.shape[::-1]
    moved = cv2.warpAffine(donor.labels * mask, transform, size_px, flags=cv2.INTER_NEAREST)
    gray = cv2.warpAffine(_change_gains(donor, lent, rng), transform, size_px, flags=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur((moved > 0).astype(np.float32), (0, 0), rng.uniform(0.6, 2.0))
    mixed = soft * gray + (1 - soft) * view.gray
    return View(mixed.astype(np.uint8), np.where(moved > 0, moved, view.labels).astype(np.uint8))


def _lendable(view: View, donor: View) -> list[int]:
    theirs, ours = (set(np.unique(v.labels).tolist()) for v in (donor, view))
    return sorted(index for index in theirs - {0} if index == LAMELLA or index not in ours)


def _placement(mask: Gray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return an affine map of the donor's frame: anywhere for what floats, larger only for what touches the border."""
    height_px, width_px = mask.shape
    frame = np.array([width_px, height_px], dtype=np.float64)
    floats = not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
    zoom = math.exp(rng.uniform(math.log(0.5 if floats else 1.0), math.log(1.7)))
    flips = np.where(rng.random(2) < 0.5, -1.0, 1.0)
    anchor = frame * rng.uniform(0.2, 0.8, 2)
    if floats:
        rows, columns = np.nonzero(mask)
        anchor = np.array([columns.mean(), rows.mean()])
    goal = frame * rng.uniform(0.15, 0.85, 2) if floats else np.where(flips < 0, frame - anchor, anchor)
    return np.column_stack([np.diag(zoom * flips), goal - zoom * flips * anchor])


def _change_gains(donor: View, lent: Sequence[int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Brighten or darken each lent class on its own."""
    gains = np.ones(256, np.float32)
    gains[list(lent)] = rng.uniform(0.6, 1.5, len(lent))
    return np.asarray(np.clip(gains[donor.labels] * donor.gray, 0, 255), np.float32)


def _cover(view: View, rng: np.random.Generator) -> View:
    """Hide a patch or draw a vendor's data bar: what is covered is background."""
    gray, labels = view.gray, view.labels
    height_px, width_px = gray.shape
    if rng.random() < _OCCLUSION_CHANCE:
        w, h = (int(rng.uniform(0.05, 0.3) * size) for size in (width_px, height_px))
        x, y = int(rng.integers(width_px - w)), int(rng.integers(height_px - h))
        gray, labels = gray.copy(), labels.copy()
        gray[y : y + h, x : x + w] = rng.integers(0, 256)
        labels[y : y + h, x : x + w] = 0
    if rng.random() < _DATA_BAR_CHANCE:
        gray, labels = gray.copy(), labels.copy()
        top = height_px - int(rng.uniform(0.04, 0.1) * height_px)
        ink = int(rng.choice([0, 255]))
        gray[top:], labels[top:] = 255 - ink, 0
        text = f"{rng.uniform(1, 30):.2f} kV  {rng.uniform(5, 900):.0f} um  {rng.uniform(0, 52):.1f} deg"
        cv2.putText(gray, text, (8, height_px - 6), cv2.FONT_HERSHEY_SIMPLEX, (height_px - top) / 40, ink, 1)
    return View(gray, labels)
