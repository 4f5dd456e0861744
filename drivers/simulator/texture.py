"""Roughness that is fixed to the sample: the same from both beams and at every magnification."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.kernels import kernel

_SIDE: Final = 32
_MASK: Final = _SIDE - 1
_SEED: Final = 0x5EC


@cache
def noise_volume() -> NDArray[np.float32]:
    """Return the periodic volume of random values in -1..1 that all octaves read; a constant of the program."""
    values = np.random.default_rng(_SEED).random((_SIDE, _SIDE, _SIDE), dtype=np.float32)
    return 2.0 * values - 1.0


def resolved_octaves(wavelengths_m: Sequence[float], pixel_size_m: float, exponent: float) -> NDArray[np.float64]:
    """Return (n, 2) lattice cells a metre and weight of the octaves that a pixel size resolves.

    What is finer than about two pixels fades out, so that it does not alias. Weights follow ``wavelength ** exponent``,
    relative to the coarsest.
    """
    wavelengths = np.asarray(wavelengths_m, np.float64)
    resolved = np.clip((wavelengths / pixel_size_m - 2.0) / 2.0, 0.0, 1.0)
    octaves = np.stack([1 / wavelengths, (wavelengths / wavelengths.max()) ** exponent * resolved], axis=1)
    return np.ascontiguousarray(octaves[octaves[:, 1] > 0])


@kernel
def smooth_noise(volume: Any, x: float, y: float, z: float) -> float:
    """Return value noise at a point counted in lattice cells; smooth, of mean 0, repeating after 32 cells."""
    xf, yf, zf = np.floor(x), np.floor(y), np.floor(z)
    i, j, k = int(xf) & _MASK, int(yf) & _MASK, int(zf) & _MASK
    i1, j1, k1 = (i + 1) & _MASK, (j + 1) & _MASK, (k + 1) & _MASK
    fx, fy, fz = np.float32(x - xf), np.float32(y - yf), np.float32(z - zf)
    fx = fx * fx * (np.float32(3.0) - np.float32(2.0) * fx)
    fy = fy * fy * (np.float32(3.0) - np.float32(2.0) * fy)
    fz = fz * fz * (np.float32(3.0) - np.float32(2.0) * fz)
    a = volume[k, j, i] + fx * (volume[k, j, i1] - volume[k, j, i])
    b = volume[k, j1, i] + fx * (volume[k, j1, i1] - volume[k, j1, i])
    c = volume[k1, j, i] + fx * (volume[k1, j, i1] - volume[k1, j, i])
    d = volume[k1, j1, i] + fx * (volume[k1, j1, i1] - volume[k1, j1, i])
    low = a + fy * (b - a)
    return float(low + fz * (c + fy * (d - c) - low))


@kernel
def roughness(volume: Any, octaves: Any, x: float, y: float, z: float) -> float:
    """Return the sum of the octaves, (n, 2) lattice cells a metre and weight, at a specimen point in metres."""
    total = 0.0
    for k in range(octaves.shape[0]):
        q = octaves[k, 0]
        total += octaves[k, 1] * smooth_noise(volume, x * q + 17.3 * k, y * q, z * q)
    return total
