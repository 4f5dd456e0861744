"""Charge leaves streaks behind bright places, along the line and in the direction of the scan."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.simulator.charging import ChargingSettings, charge
from fibsem_runtime.core import ImageSettings

ON = ChargingSettings(enabled=True, length_um=1.0)
IMAGE = ImageSettings(width_px=200, height_px=20, hfw_m=20e-6, dwell_time_s=1e-6)


def scan(
    *,
    settings: ChargingSettings = ON,
    voltage_v: float = 5e3,
    beam_current_a: float = 50e-12,
    image: ImageSettings = IMAGE,
) -> np.ndarray:
    signal = np.ones((20, 200), np.float32)
    signal[8:12, 100] = 20.0
    return charge(signal, image, beam_current_a=beam_current_a, voltage_v=voltage_v, settings=settings)


def test_a_bright_place_darkens_what_is_scanned_after_it_and_nothing_before_it() -> None:
    image = scan()
    before, after, other_line = image[10, 80:100], image[10, 101:106], image[3, 101:106]
    assert after.max() < other_line.min()
    assert np.ptp(before) < 0.05
    assert image[10, 101] < image[10, 110] < image[10, 140]


def test_streaks_grow_with_the_dose_of_one_pass() -> None:
    depths = [float(1 - scan(beam_current_a=current_a)[10, 101]) for current_a in (1e-12, 10e-12, 100e-12)]
    assert depths[0] < depths[1] < depths[2]


@pytest.mark.parametrize("off", [{"settings": ChargingSettings()}, {"voltage_v": 1e3}])
def test_without_charging_or_below_its_onset_the_signal_stays(off: dict[str, float]) -> None:
    assert np.array_equal(scan(**off), scan(settings=ChargingSettings()))  # type: ignore[arg-type]
    assert scan(**off)[10, 101] == 1.0  # type: ignore[arg-type]
