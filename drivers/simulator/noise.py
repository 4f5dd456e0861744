"""Shot noise of the dose, and the detector's gain and offset."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.bands import in_bands
from fibsem_runtime.core import ImageSettings, Pixels

ELEMENTARY_CHARGE_C: Final = 1.602176634e-19

_GAIN_AT_MIDDLE: Final = 0.5
_GAIN_RANGE: Final = 20.0
_LEVEL_RANGE: Final = 2.0


def primary_count(settings: ImageSettings, beam_current_a: float) -> float:
    """Return the particles that one pixel receives, I t / e, all integrations together (physics.md section 7)."""
    integrations = settings.line_integration_count * settings.frame_integration_count
    return beam_current_a * settings.dwell_time_s * integrations / ELEMENTARY_CHARGE_C


def add_shot_noise(
    signal: NDArray[np.float32], *, quantum_count: float, amplifier_noise_ratio: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return ``signal`` with the noise of ``quantum_count`` detected quanta a pixel at signal 1.

    Drawn as the square of a normal variate, which has the mean, the variance and the skew of a Poisson number to a few
    percent down to one quantum (Anscombe 1948, Biometrika 35, 246) and costs a tenth. ``rng`` gives the key of the
    frame, from which each band of rows draws its own numbers. ``amplifier_noise_ratio`` is the noise of the detector
    without signal, one sigma in units of signal 1.
    """
    count = np.float32(quantum_count)
    floor = np.float32((quantum_count * amplifier_noise_ratio) ** 2)
    key = rng.integers(0, 2**64, 2, np.uint64)
    noisy = np.empty(signal.shape, np.float32)

    def draw(first: int, last: int) -> None:
        root = noisy[first:last]
        np.maximum(signal[first:last], 0, out=root)
        root *= count
        root += floor
        np.sqrt(root, out=root)
        root += 0.5 * _stream(key, first).standard_normal(root.shape, dtype=np.float32)
        root *= root
        root -= np.float32(0.25) + floor
        root /= count

    in_bands(draw, len(signal))
    return noisy


def _stream(key: NDArray[np.uint64], row: int) -> np.random.Generator:
    """Return the random numbers of the band of rows that begins with ``row``: the same on any number of cores."""
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, row]))


def digitise(
    signal: NDArray[np.float32], *, brightness_fraction: float, contrast_fraction: float, bit_depth: int
) -> Pixels:
    """Return the gray values of a signal: contrast sets the gain, brightness the level shown as mid gray."""
    gain = _GAIN_AT_MIDDLE * _GAIN_RANGE ** (2 * contrast_fraction - 1)
    level = _LEVEL_RANGE * (1 - brightness_fraction)
    largest = 2**bit_depth - 1
    values = signal * np.float32(gain * largest)
    values += np.float32((0.5 - gain * level) * largest + 0.5)
    np.clip(values, 0, largest, out=values)
    return values.astype(np.uint8) if bit_depth == 8 else values.astype(np.uint16)


def fit_range(signal: NDArray[np.float32], *, margin_fraction: float) -> tuple[float, float]:
    """Return (brightness, contrast) fractions that spread the signal over the gray values, leaving a margin.

    The darkest and the brightest half percent may be cut. Both fractions stay within 0..1, as on an instrument.
    """
    low, high = np.percentile(signal, [0.5, 99.5])
    gain = (1 - 2 * margin_fraction) / max(float(high - low), 1e-6)
    contrast = 0.5 + 0.5 * np.log(gain / _GAIN_AT_MIDDLE) / np.log(_GAIN_RANGE)
    brightness = 1 - (float(low + high) / 2) / _LEVEL_RANGE
    return float(np.clip(brightness, 0, 1)), float(np.clip(contrast, 0, 1))
