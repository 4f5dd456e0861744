"""The wire format against bytes written by hand from vendor-tescan.md B2."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from drivers.essence.ports import Scan
from drivers.sharksem.columns import square_region
from drivers.sharksem.frame import FrameAssembler
from drivers.sharksem.wire import (
    Body,
    decode_header,
    encode_argument,
    encode_message,
    leading_version,
    parse_property_map,
)
from fibsem_runtime.core.errors import ConnectionLostError, NotSupportedError


def test_a_message_is_a_header_of_32_bytes_and_aligned_arguments() -> None:
    found = encode_message("SetWD", [7.5], message_id=9, flags=0x0401)
    assert found == (
        b"SetWD"
        + b"\0" * 11
        + b"\x08\0\0\0"
        + b"\x09\0\0\0"
        + b"\x01\x04"
        + b"\0\0"
        + b"\0\0\0\0"
        + b"\x04\0\0\0"
        + b"7.5\0"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-1, b"\xff\xff\xff\xff"),
        (4_000_000_000, struct.pack("<I", 4_000_000_000)),
        (3.14159, b"\x08\0\0\0" + b"3.14159\0"),
        (0.12, b"\x08\0\0\0" + b"0.12\0\0\0\0"),
        ("µA", b"\x04\0\0\0" + "µA".encode() + b"\0"),
        ("", b"\x04\0\0\0" + b"\0\0\0\0"),
    ],
)
def test_arguments_are_encoded_as_the_public_clients_do(value: int | float | str, expected: bytes) -> None:
    assert encode_argument(value) == expected


def test_a_name_that_does_not_fit_is_never_sent() -> None:
    encode_message("FibGetViewField")
    with pytest.raises(ValueError, match="1 to 15"):
        encode_message("FibDtGetGainBlack")


def test_numbers_keep_a_picometre_on_the_wire() -> None:
    for value in (39.000000123, -0.000000001, 1e-12, 123456.789):
        assert Body(encode_argument(value)).read_float() == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize("raw", [b"\x08\0\0\x000.12\0\0\0\0", b"\x05\0\0\x000.12\0\0\0\0", b"\x05\0\0\x000.12\0"])
def test_both_styles_of_text_length_are_read(raw: bytes) -> None:
    body = Body(raw)
    assert body.read_float() == 0.12
    assert body.is_at_end


def test_values_follow_each_other() -> None:
    raw = encode_argument(-7) + encode_argument(2.5) + encode_argument("SE") + encode_argument(8)
    assert Body(raw).read("IFSU") == [-7, 2.5, "SE", 8]


@pytest.mark.parametrize("text", ["", "1_0", "0x10", "inf", "1e9999", "12 3", "١٢"])
def test_what_is_no_number_is_a_stream_out_of_step(text: str) -> None:
    with pytest.raises(ConnectionLostError, match="no number"):
        Body(encode_argument(text)).read_float()


@pytest.mark.parametrize(
    "raw",
    [
        b"\0" * 32,
        b"Get WD".ljust(16, b"\0") + b"\0" * 16,
        b"A" * 16 + b"\0" * 16,
        b"GetWD".ljust(16, b"\0") + b"\xff\xff\xff\xff" + b"\0" * 12,
        b"GetWD\0x".ljust(16, b"\0") + b"\0" * 16,
    ],
)
def test_what_is_no_header_is_a_stream_out_of_step(raw: bytes) -> None:
    with pytest.raises(ConnectionLostError, match="out of step"):
        decode_header(raw)


def test_a_header_says_what_it_was_made_from() -> None:
    found = decode_header(encode_message("ScData", ["x"], message_id=5, flags=1)[:32])
    assert (found.name, found.body_size, found.message_id, found.flags) == ("ScData", 8, 5, 1)


def test_property_maps_and_versions_tolerate_what_systems_really_send() -> None:
    found = parse_property_map("det.0.name=SE\r\ndet.0.detector=3\nspeed.1.dwell=0.1\n\nrubbish\n=\ndet.x.name=B\n")
    assert found == {"det.0": {"name": "SE", "detector": "3"}, "speed.1": {"dwell": "0.1"}}
    assert leading_version("2.0.210300USB\\VID_1") == (2, 0, 210300)
    assert leading_version("3.2.20") == (3, 2, 20)
    assert leading_version("USB") == ()


def body(index: int, data: bytes, *, frame_id: int = 1, channel: int = 0, bits: int = 8) -> bytes:
    return struct.pack("<IiIiI", frame_id, channel, index, bits, len(data)) + data


def test_chunks_that_come_twice_late_or_for_another_channel_make_the_same_frame() -> None:
    frame = FrameAssembler(frame_id=1, channel=0, width_px=4, height_px=2, bit_depth=8)
    for chunk in (
        body(0, b"ab"),
        body(0, b"zz", channel=1),
        body(4, b"ef"),  # the one before was lost
        body(0, b"qq", frame_id=9),
        body(2, b"xd"),
        body(2, b"cd"),  # sent again, corrected
        body(4, b"efgh"),
    ):
        assert not frame.is_complete
        frame.add(chunk)
    assert frame.is_complete
    assert frame.pixels().tobytes() == b"abcdefgh"


def test_sixteen_bits_are_little_endian() -> None:
    frame = FrameAssembler(frame_id=1, channel=0, width_px=2, height_px=1, bit_depth=16)
    frame.add(body(0, b"\x01\x02", bits=16))
    frame.add(body(1, b"\xff\xff", bits=16))
    assert frame.pixels().dtype == np.uint16
    assert frame.pixels().tolist() == [[0x0201, 0xFFFF]]


def test_more_pixels_than_asked_for_are_refused() -> None:
    frame = FrameAssembler(frame_id=1, channel=0, width_px=2, height_px=1, bit_depth=8)
    with pytest.raises(ConnectionLostError, match="bytes"):
        frame.add(body(0, b"abc"))


def scan(width_px: int, height_px: int, area_px: tuple[int, int, int, int] | None = None) -> Scan:
    return Scan(width_px=width_px, height_px=height_px, area_px=area_px, dwell_time_ns=1000, bit_depth=8)


def test_a_frame_is_centred_in_the_square_that_is_scanned() -> None:
    assert square_region(scan(1536, 1024)) == (1536, 1536, 0, 256, 1535, 1279)
    assert square_region(scan(1536, 1024, (100, 10, 50, 20))) == (1536, 1536, 100, 266, 149, 285)
    for size in ((100, 200), (8194, 100)):
        with pytest.raises(NotSupportedError, match="square"):
            square_region(scan(*size))
