from __future__ import annotations

import numpy as np
import pytest

from drivers.simulator.noise import add_shot_noise, digitise, fit_range, primary_count
from fibsem_runtime.core import ImageSettings


@pytest.mark.parametrize(
    ("current_a", "dwell_time_s", "lines", "expected"),
    [(25e-12, 0.2e-6, 1, 31), (25e-12, 1e-6, 1, 156), (50e-12, 1e-6, 1, 312), (13e-12, 100e-9, 100, 811)],
)
def test_the_published_doses_a_pixel_come_out(
    current_a: float, dwell_time_s: float, lines: int, expected: float
) -> None:
    settings = ImageSettings(dwell_time_s=dwell_time_s, line_integration_count=lines)
    assert primary_count(settings, current_a) == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize("quanta", [2.0, 6.0, 30.0, 300.0])
def test_shot_noise_has_the_mean_and_variance_of_counted_quanta(quanta: float) -> None:
    signal = np.full((300, 300), 1.0, np.float32)
    noisy = add_shot_noise(signal, quantum_count=quanta, amplifier_noise_ratio=0, rng=np.random.default_rng(4))
    assert float(noisy.mean()) == pytest.approx(1.0, rel=0.01)
    assert float(noisy.var()) == pytest.approx(1 / quanta, rel=0.1)


def test_a_dark_pixel_is_less_noisy_than_a_bright_one() -> None:
    signal = np.repeat(np.array([[0.1, 1.0]], np.float32), 4000, axis=0)
    noisy = add_shot_noise(signal, quantum_count=50, amplifier_noise_ratio=0, rng=np.random.default_rng(0))
    assert noisy[:, 0].std() < 0.5 * noisy[:, 1].std()


def test_amplifier_noise_is_there_without_signal() -> None:
    dark = np.zeros((200, 200), np.float32)
    noisy = add_shot_noise(dark, quantum_count=1000, amplifier_noise_ratio=0.05, rng=np.random.default_rng(0))
    assert float(noisy.std()) == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(("bit_depth", "largest"), [(8, 255), (16, 65535)])
def test_brightness_lifts_and_contrast_spreads(bit_depth: int, largest: int) -> None:
    signal = np.linspace(0.5, 1.5, 100, dtype=np.float32)[None, :]

    def gray(brightness: float, contrast: float) -> np.ndarray:
        return (
            digitise(signal, brightness_fraction=brightness, contrast_fraction=contrast, bit_depth=bit_depth) / largest
        )

    middle = gray(0.5, 0.5)
    assert middle.mean() == pytest.approx(0.5, abs=0.01)
    assert gray(0.6, 0.5).mean() > middle.mean() + 0.05
    assert np.ptp(gray(0.5, 0.55)) > 1.2 * np.ptp(middle)


def test_gray_values_stop_at_the_ends_of_the_range() -> None:
    signal = np.array([[-5.0, 20.0]], np.float32)
    assert digitise(signal, brightness_fraction=0.5, contrast_fraction=0.5, bit_depth=8).tolist() == [[0, 255]]


def test_a_fitted_range_spreads_the_signal() -> None:
    signal = np.random.default_rng(0).uniform(0.3, 0.8, (100, 100)).astype(np.float32)
    brightness, contrast = fit_range(signal, margin_fraction=0.05)
    gray = digitise(signal, brightness_fraction=brightness, contrast_fraction=contrast, bit_depth=8)
    assert np.percentile(gray, 1) == pytest.approx(0.05 * 255, abs=4)
    assert np.percentile(gray, 99) == pytest.approx(0.95 * 255, abs=4)


def test_a_flat_field_does_not_ask_for_more_than_the_range() -> None:
    assert fit_range(np.full((10, 10), 0.7, np.float32), margin_fraction=0.05)[1] == 1.0
