"""Numbers with units: every spelling of a right one is read, and nothing that is not clearly one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibsem_runtime.imaging.texts import (
    decode_text,
    parse_angle_rad,
    parse_ini,
    parse_number,
    parse_quantity,
    square_pixel_m,
)


@pytest.mark.parametrize(
    ("text", "unit", "si"),
    [
        ("593.3 nm", "m", 593.3e-9),
        ("593,3 nm", "m", 593.3e-9),
        ("558.2 pm", "m", 558.2e-12),
        ("607.5 µm", "m", 607.5e-6),
        ("607.5 μm", "m", 607.5e-6),
        ("607.5 Âµm", "m", 607.5e-6),
        ("607.5um", "m", 607.5e-6),
        ("607.5 UM", "m", 607.5e-6),
        ("5.933E+002 NM", "m", 593.3e-9),
        ("  48.509\u00a0mm ", "m", 48.509e-3),
        ("0.1 m", "m", 0.1),
        ("1.5 cm", "m", 0.015),
        ("5.00 kV", "V", 5e3),
        ("5.00 KV", "V", 5e3),
        ("200 pA", "A", 200e-12),
        ("50 ns", "s", 50e-9),
        ("752.76 ms", "s", 0.75276),
        ("−1.6 %", "%", -1.6),
        (".5 mm", "m", 0.5e-3),
    ],
)
def test_a_quantity_is_read_whatever_its_prefix_and_spelling(text: str, unit: str, si: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(si, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        *("", "nm", "593.3", "593.3 kg", "593.3 V", "n.a.", "1.2.3 nm", "1,234.5 nm", "nan nm", "inf nm", "1e400 nm"),
        *("--5 nm", "5 MM", "5 xm", "0x10 nm", "1_0 nm", "٣ nm", "5" * 100 + " nm", "K X", "5 m%", "5 %"),
    ],
)
def test_what_is_not_clearly_a_length_is_none(text: str) -> None:
    assert parse_quantity(text, "m") is None


def test_capitals_that_hide_milli_from_mega_are_not_guessed() -> None:
    assert parse_quantity("5 MM", "m") is None
    assert parse_quantity("5 MV", "V") == 5e6
    assert parse_quantity("5 mV", "V") == 5e-3


def test_a_number_without_unit_counts_only_where_the_format_says_so() -> None:
    assert parse_quantity("2.5012e-6", "m") is None
    assert parse_quantity("2.5012e-6", "m", bare=True) == 2.5012e-6
    assert parse_quantity("13.0 nm", "m", bare=True) == pytest.approx(13e-9)
    assert parse_quantity("13.0 V", "m", bare=True) is None


@pytest.mark.parametrize("text", ["30 °", "30°", "30.0 deg", "30 Degrees", "30 Â°", "0.5235987755982988 rad", "30,0 º"])
def test_an_angle_is_radians(text: str) -> None:
    assert parse_angle_rad(text) == pytest.approx(math.radians(30))
    assert parse_angle_rad("30") is None
    assert parse_angle_rad("30", bare_deg=True) == pytest.approx(math.radians(30))
    assert parse_angle_rad("30 mm", bare_deg=True) is None


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_what_a_program_prints_is_read_back(value: float) -> None:
    assert parse_number(repr(value)) == value
    assert parse_number(f"{value:e}") == pytest.approx(value, rel=1e-6)


@given(text=st.text(max_size=80))
def test_any_text_is_a_finite_number_or_none(text: str) -> None:
    for value in (parse_number(text), parse_quantity(text, "m", bare=True), parse_angle_rad(text, bare_deg=True)):
        assert value is None or math.isfinite(value)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["", "\r\n", "\r\n\0", "\0\0\0"])
def test_a_text_is_decoded_in_every_encoding(codec: str, end: str) -> None:
    text = "AP_WIDTH\r\nWidth = 607.5 µm\r\nStage at R = 233.5 °"
    assert decode_text((text + end).encode(codec)).rstrip("\r\n") == text


@given(raw=st.binary(max_size=200))
def test_any_bytes_are_some_text(raw: bytes) -> None:
    decode_text(raw)


def test_names_in_an_ini_text_have_any_case_and_empty_values_are_missing() -> None:
    ini = parse_ini(
        "[main]\nPIXELSIZEX=1e-8\nempty=\nempty=x\nagain=1\nagain=2\nno key here\n[Sem]\n\0HV = 5 kV\r[FIB]\n"
    )
    assert ini.si("m", "MAIN", "PixelSizeX") == 1e-8
    assert (ini.text("Main", "Empty"), ini.text("MAIN", "Again"), ini.text("MAIN", "absent")) == ("x", "1", "")
    assert ini.si("V", "SEM", "AcceleratorVoltage", "hv") == 5e3
    assert "SEM" in ini and "FIB" not in ini and "GAMA" not in ini


@pytest.mark.parametrize(
    ("width_m", "height_m", "is_one"),
    [
        (1e-8, None, True),
        (1e-8, 1.005e-8, True),
        (1e-8, 1.05e-8, False),
        (None, 1e-8, False),
        (0.0, None, False),
        (-1e-8, -1e-8, False),
        (2.5, 2.5, False),
        (1e-15, None, False),
    ],
)
def test_only_square_pixels_of_a_possible_size_have_a_size(
    width_m: float | None, height_m: float | None, is_one: bool
) -> None:
    assert square_pixel_m(width_m, height_m) == (width_m if is_one else None)
