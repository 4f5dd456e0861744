from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibsem_runtime.core.units import format_angle, format_duration, format_quantity

SCALES = {"k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (60e-12, "A", "60 pA"),
        (0.74e-9, "A", "740 pA"),
        (4.6e-6, "m", "4.6 µm"),
        (-150e-6, "m", "-150 µm"),
        (30e3, "V", "30 kV"),
        (999.6e-9, "m", "1 µm"),
        (1e-3, "m", "1 mm"),
        (2.5, "s", "2.5 s"),
        (0.0, "m", "0 m"),
        (math.nan, "m", "nan m"),
        (-math.inf, "A", "-inf A"),
        (5e-15, "A", "0.005 pA"),
    ],
)
def test_a_quantity_is_written_the_way_people_read_it(value: float, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text


@given(st.floats(1e-12, 9e5) | st.floats(-9e5, -1e-12))
def test_a_written_quantity_is_read_back_within_its_digits(value: float) -> None:
    match = re.fullmatch(r"(-?[\d.]+) ([kmµnp]?)m", format_quantity(value, "m"))
    assert match
    assert float(match[1]) * SCALES[match[2]] == pytest.approx(value, rel=6e-3)


@pytest.mark.parametrize(("angle_rad", "text"), [(0.0, "0.0°"), (math.pi, "180.0°"), (math.radians(-23), "-23.0°")])
def test_an_angle_is_written_in_degrees(angle_rad: float, text: str) -> None:
    assert format_angle(angle_rad) == text


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3599.7, "1 h 00 min"),
        (3720, "1 h 02 min"),
    ],
)
def test_a_duration_is_written_in_hours_minutes_and_seconds(duration_s: float, text: str) -> None:
    assert format_duration(duration_s) == text
