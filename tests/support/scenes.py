"""Synthetic scenes for measurements: a textured film with domes in two beams, slabs between trenches, lattices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from images import gray

from fibsem_runtime.core import BeamType, Image

PIXEL_M = 0.2e-6
SHAPE = (500, 750)


@dataclass(frozen=True)
class Dome:
    """One cell: centre from the middle of the film, radii and height, micrometres."""

    x_um: float
    y_um: float
    rx_um: float = 8.0
    ry_um: float = 6.5
    height_um: float = 5.0


def texture(shape: tuple[int, int], seed: int, sigma_px: float = 2.0) -> np.ndarray:
    """Return band-limited noise of zero mean and unit deviation."""
    noise = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    smoothed = cv2.GaussianBlur(noise, (0, 0), sigma_px) - cv2.GaussianBlur(noise, (0, 0), 3 * sigma_px)
    return smoothed / smoothed.std()


def _film(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Return stains of the film that both beams show, in -1..1."""
    return np.tanh(texture(shape, seed, 6.0)) * 0.5 + texture(shape, seed + 1, 2.0) * 0.25


def _radius(domes: list[Dome], shape: tuple[int, int], squeeze: float, shift_um: float) -> list[np.ndarray]:
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    x_um = (x - shape[1] / 2) * PIXEL_M * 1e6
    y_um = ((shape[0] / 2 - y) * PIXEL_M * 1e6 - shift_um) * squeeze
    return [np.hypot((x_um - d.x_um) / d.rx_um, (y_um - d.y_um) / d.ry_um) for d in domes]


def electron_view(domes: list[Dome], *, seed: int = 0, noise: float = 0.05, with_bar: bool = False) -> Image:
    """Return the film from above: domes have bright rims and their own texture."""
    values = 0.4 + 0.03 * _film(seed, SHAPE)
    for number, radius in enumerate(_radius(domes, SHAPE, 1.0, 0.0)):
        inside = radius < 1
        values = values + 0.25 * np.exp(-(((radius - 0.95) / 0.07) ** 2))
        values = values + inside * 0.03 * texture(SHAPE, seed + 50 + number, 1.5)
    if with_bar:
        values[:, :90] = 0.75
    values = values + noise * np.random.default_rng(seed + 7).normal(size=SHAPE)
    return gray(values, pixel_size_m=PIXEL_M, beam_type=BeamType.ELECTRON)


def ion_view(
    domes: list[Dome],
    stretch_ratio: float,
    *,
    offset_um: tuple[float, float] = (0.0, 0.0),
    seed: int = 0,
    noise: float = 0.05,
) -> Image:
    """Return the film squeezed along y by ``stretch_ratio``, its middle at ``offset_um``; contrast is inverted."""
    film = _film(seed, SHAPE)
    dx_px, dy_px = offset_um[0] / (PIXEL_M * 1e6), -offset_um[1] / (PIXEL_M * 1e6)
    back = np.array(
        [
            [1.0, 0.0, -dx_px],
            [0.0, stretch_ratio, (SHAPE[0] / 2 - 0.5) * (1 - stretch_ratio) - stretch_ratio * dy_px],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(film.astype(np.float32), back, SHAPE[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT)
    values = 0.55 - 0.06 * moved
    shifted = [Dome(d.x_um + offset_um[0], d.y_um, d.rx_um, d.ry_um, d.height_um) for d in domes]
    for radius in _radius(shifted, SHAPE, stretch_ratio, offset_um[1]):
        values = np.where(radius < 1, values - 0.15, values)
    values = values + noise * np.random.default_rng(seed + 8).normal(size=SHAPE)
    return gray(values, pixel_size_m=PIXEL_M, beam_type=BeamType.ION)


def hill_view(x_um: float, y_um: float, width_um: float, height_um: float, *, seed: int = 0) -> Image:
    """Return a grazing ion image: a dark half ellipse before a bright streaked film."""
    streaks = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32), (0, 0), 25, sigmaY=3)
    values = 0.6 + 0.05 * streaks / streaks.std()
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    dx = (x - SHAPE[1] / 2) * PIXEL_M * 1e6 - x_um
    dy = (SHAPE[0] / 2 - y) * PIXEL_M * 1e6 - (y_um + height_um / 2)
    inside = (np.hypot(dx / (width_um / 2), dy / height_um) < 1) & (dy < 0)
    values = np.where(inside, 0.3, values) + 0.06 * np.random.default_rng(seed + 1).normal(size=SHAPE)
    return gray(values, pixel_size_m=PIXEL_M, beam_type=BeamType.ION)


def slab_view(
    thickness_nm: float,
    *,
    pixel_nm: float = 13.0,
    tilt_deg: float = 0.0,
    face_nm: float = 0.0,
    offset_nm: float = 0.0,
    blur_nm: float = 25.0,
    ions: float = 125.0,
    seed: int = 0,
) -> Image:
    """Return a lamella edge-on between two trenches; ``face_nm`` is the width of each inclined face."""
    height_px, width_px = 400, 700
    y, x = np.mgrid[:height_px, :width_px] + 0.5
    tilt = math.radians(tilt_deg)
    across_nm = ((y - height_px / 2) * math.cos(tilt) + (x - width_px / 2) * math.sin(tilt)) * pixel_nm - offset_nm
    fine_nm = np.arange(-3000.0, 3000.0)
    half_nm = thickness_nm / 2
    levels = np.full(fine_nm.shape, 0.10)
    levels[np.abs(fine_nm) < half_nm + face_nm / 2] = 0.55
    levels[np.abs(fine_nm) < half_nm - face_nm / 2] = 0.55 if face_nm == 0 else 0.28
    levels[np.abs(fine_nm) > 900] = 0.45
    kernel = np.exp(-0.5 * (np.arange(-150, 151) / blur_nm) ** 2)
    levels = np.convolve(np.pad(levels, 150, mode="edge"), kernel / kernel.sum(), mode="valid")
    clean = np.interp(across_nm, fine_nm, levels)
    noisy = np.random.default_rng(seed).poisson(clean * ions) / ions
    return gray(noisy, pixel_size_m=pixel_nm * 1e-9, beam_type=BeamType.ION)


def lattice(shape: tuple[int, int], pitch_px: float, seed: int, shift: tuple[float, float] = (0.0, 0.0)) -> Image:
    """Return a film with round holes on a square lattice and nothing else."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    wave = np.cos(2 * math.pi * (x - shift[0]) / pitch_px) + np.cos(2 * math.pi * (y - shift[1]) / pitch_px)
    values = 0.5 - 0.3 / (1 + np.exp(-6 * (wave - 0.7)))
    return gray(values + 0.05 * np.random.default_rng(seed).normal(size=shape))
