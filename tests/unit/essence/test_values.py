from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.essence.values import from_mm, from_pa, to_detector, to_mm, to_pa, to_position, to_shift
from fibsem_runtime.core import ImagePoint

MILLIMETRES = st.integers(-100_000, 100_000).map(lambda thousandths: thousandths / 1e3)


@given(MILLIMETRES)
def test_a_length_comes_back_as_it_was_sent(length_mm: float) -> None:
    assert from_mm(to_mm(from_mm(length_mm))) == pytest.approx(from_mm(length_mm), rel=1e-15)
    assert to_pa(from_pa(length_mm)) == pytest.approx(length_mm, rel=1e-15)


def test_a_length_is_the_number_that_people_write() -> None:
    assert (from_mm(7), from_mm(16.5), from_pa(740)) == (7e-3, 16.5e-3, 740e-12)


def test_a_second_tilt_axis_is_left_out_of_the_position() -> None:
    position = to_position([1.0, -2.0, 3.0, 90.0, -30.0, 5.0])
    assert (position.x_m, position.y_m, position.z_m) == (1e-3, -2e-3, 3e-3)
    assert (position.r_rad, position.t_rad) == pytest.approx((math.pi / 2, -math.pi / 6))


def test_gain_is_contrast_and_black_is_brightness() -> None:
    detector = to_detector("E-T", [70.0, 20.0])
    assert (detector.contrast_fraction, detector.brightness_fraction) == (0.7, 0.2)
    assert to_shift([0.5e-3, -1e-3]) == ImagePoint(0.5e-6, -1e-6)


@pytest.mark.parametrize("broken", [[], [1.0], [1.0, 2.0, 3.0]])
def test_an_answer_of_another_length_is_no_value(broken: list[float]) -> None:
    for convert in (to_shift, lambda read: to_detector("E-T", read), to_position):
        with pytest.raises(ValueError, match="unpack"):
            convert(broken)
