"""Change gray values the way other instruments, detectors and settings would; the geometry stays.

Strengths are assumed. Order: local contrast, shading, tone curve, blur, charging and curtains, noise. Nothing follows
the outlines of the labels: contrast that did would be a mark by which the network finds objects in training and nowhere
else.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Gray: TypeAlias = NDArray[np.uint8]
_Field: TypeAlias = NDArray[np.float32]


_UNTOUCHED_CHANCE: Final = 0.35
_EQUALISE_CHANCE: Final = 0.1


def degrade(gray: Gray, rng: np.random.Generator) -> Gray:
    """Return another rendering of the same scene."""
    if rng.random() < _UNTOUCHED_CHANCE:
        return gray
    values: _Field = _equalise(gray, rng).astype(np.float32) / np.float32(255)
    values = _shade(values, rng)
    values = _change_tone(values, rng)
    values = _blur(values, rng)
    values = _streak(values, rng)
    values = _add_noise(values, rng)
    return np.asarray(np.clip(values, 0, 1) * 255, dtype=np.uint8)


def _equalise(gray: Gray, rng: np.random.Generator) -> Gray:
    """Stretch the contrast of each neighbourhood, as the live image of some microscopes does."""
    if rng.random() > _EQUALISE_CHANCE:
        return gray
    return np.asarray(cv2.createCLAHE(rng.uniform(1.0, 4.0), (8, 8)).apply(gray), np.uint8)


def _shade(values: _Field, rng: np.random.Generator) -> _Field:
    """Multiply by a smooth field: detector position, shadow, charging halo, contamination."""
    if rng.random() < 0.5:
        return values
    strength = rng.uniform(0.05, 0.4)
    return values * (1 + strength * _clouds(values.shape, math.exp(rng.uniform(math.log(15), math.log(200))), rng))


def _clouds(shape: tuple[int, ...], sigma_px: float, rng: np.random.Generator) -> _Field:
    """Return smooth random values of about unit range."""
    step = max(1, int(sigma_px / 2))
    coarse = rng.normal(0, 1, (shape[0] // step + 3, shape[1] // step + 3)).astype(np.float32)
    small = cv2.GaussianBlur(coarse, (0, 0), 2.0)
    field = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(field / max(float(np.abs(field).max()), 1e-6), dtype=np.float32)


def _change_tone(values: _Field, rng: np.random.Generator) -> _Field:
    """Apply gamma, contrast, brightness and, rarely, inversion (backscattered against secondary electrons)."""
    values = np.clip(values, 0, 1)
    if rng.random() < 0.08:
        values = 1 - values
    values = values ** math.exp(rng.normal(0, 0.4))
    middle = float(values.mean())
    contrast, brightness = math.exp(rng.normal(-0.15, 0.35)), rng.normal(0, 0.08)
    return np.asarray((values - middle) * contrast + middle + brightness, dtype=np.float32)


def _blur(values: _Field, rng: np.random.Generator) -> _Field:
    """Defocus, with some astigmatism, or sharpen as some acquisition software does."""
    choice = rng.random()
    if choice < 0.35:
        sigma_px = math.exp(rng.uniform(math.log(0.4), math.log(3.5)))
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_px, sigmaY=sigma_px * rng.uniform(0.6, 1.6)))
    if choice < 0.45:
        soft = cv2.GaussianBlur(values, (0, 0), 1.5)
        return np.asarray(values + rng.uniform(0.3, 1.2) * (values - soft), dtype=np.float32)
    return values


def _streak(values: _Field, rng: np.random.Generator) -> _Field:
    """Add charging (rows) and curtains (columns)."""
    height_px, width_px = values.shape
    if rng.random() < 0.12:
        rows = rng.normal(0, rng.uniform(0.02, 0.1), (height_px, 1)).astype(np.float32)
        values = values + rows
    if rng.random() < 0.15:
        columns = cv2.GaussianBlur(rng.normal(0, 1, (1, width_px)).astype(np.float32), (0, 0), rng.uniform(0.8, 4))
        strength = rng.uniform(0.05, 0.25) * _clouds(values.shape, 80, rng)
        values = values + strength * columns / max(float(columns.std()), 1e-6) * 0.5
    return np.asarray(values, dtype=np.float32)


def _add_noise(values: _Field, rng: np.random.Generator) -> _Field:
    """Add shot noise of few to many electrons a pixel and the detector's own."""
    if rng.random() < 0.2:
        return values
    electron_count = math.exp(rng.uniform(math.log(12), math.log(600)))
    shot = np.sqrt(np.clip(values, 0.01, 1) / electron_count)
    noise = rng.standard_normal(values.shape, dtype=np.float32) * (shot + np.float32(rng.uniform(0, 0.05)))
    if rng.random() < 0.3:
        noise = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.4, 1.0)) * 1.5
    return np.asarray(values + noise, dtype=np.float32)
