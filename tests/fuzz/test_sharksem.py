"""The SharkSEM decoder on anything at all: a value, an error of ours, never a crash, a hang or boundless memory."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.sharksem.connection import MessageStream
from drivers.sharksem.frame import FrameAssembler
from drivers.sharksem.wire import (
    HEADER,
    MAX_BODY_BYTES,
    Argument,
    Body,
    decode_header,
    encode_argument,
    encode_message,
    leading_version,
    parse_property_map,
)
from fibsem_runtime.core.errors import ConnectionLostError

MANY = settings(max_examples=500)

texts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=60)
arguments = st.one_of(st.integers(-(2**31), 2**31 - 1), st.floats(-1e12, 1e12).map(lambda x: float(f"{x:.12g}")), texts)
KIND = {int: "I", float: "F", str: "S"}


@MANY
@given(values=st.lists(arguments, max_size=8))
def test_what_is_encoded_is_decoded(values: list[Argument]) -> None:
    raw = encode_message("Anything", values, message_id=3, flags=1)
    header = decode_header(raw[: HEADER.size])
    assert header.body_size == len(raw) - HEADER.size
    assert header.body_size % 4 == 0
    assert Body(raw[HEADER.size :]).read("".join(KIND[type(value)] for value in values)) == values


@MANY
@given(raw=st.binary(max_size=80), kinds=st.text("IUFS", max_size=12))
def test_any_body_is_values_or_an_error(raw: bytes, kinds: str) -> None:
    try:
        values = Body(raw).read(kinds)
    except ConnectionLostError:
        return
    assert len(values) == len(kinds)


@pytest.mark.parametrize("text", ["1e999", "-1e999", "inf", "1,5", "1 5", "", "0x1", "1_0"])
def test_what_is_no_finite_number_is_an_error(text: str) -> None:
    with pytest.raises(ConnectionLostError, match="is no number"):
        Body(encode_argument(text)).read_float()


@MANY
@given(raw=st.binary(min_size=32, max_size=32))
def test_any_header_is_a_name_with_a_bounded_body_or_an_error(raw: bytes) -> None:
    try:
        header = decode_header(raw)
    except ConnectionLostError:
        return
    assert 0 < len(header.name) <= 15
    assert header.body_size <= MAX_BODY_BYTES


@MANY
@given(
    values=st.lists(arguments, min_size=1, max_size=4),
    cut=st.integers(1, 40),
    place=st.integers(0),
    bit=st.integers(0, 7),
)
def test_a_truncated_or_flipped_body_is_values_or_an_error(
    values: list[Argument], cut: int, place: int, bit: int
) -> None:
    kinds = "".join(KIND[type(value)] for value in values)
    raw = bytearray(b"".join(encode_argument(value) for value in values))
    for damaged in (raw[:-cut], _flipped(raw, place, bit)):
        try:
            Body(bytes(damaged)).read(kinds)
        except ConnectionLostError:
            continue


def _flipped(raw: bytearray, place: int, bit: int) -> bytearray:
    damaged = bytearray(raw)
    damaged[place % len(damaged)] ^= 1 << bit
    return damaged


@MANY
@given(
    chunks=st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(-1, 1), st.integers(0, 70), st.sampled_from([8, 16]), st.binary(max_size=70)
        ),
        max_size=12,
    )
)
def test_any_chunks_make_a_frame_of_the_asked_size_or_an_error(chunks: list[tuple[int, int, int, int, bytes]]) -> None:
    frame = FrameAssembler(frame_id=1, channel=0, width_px=8, height_px=8, bit_depth=8)
    for frame_id, channel, index, bits, data in chunks:
        try:
            frame.add(struct.pack("<IiIiI", frame_id, channel, index, bits, len(data)) + data)
        except ConnectionLostError:
            return
    if frame.is_complete:
        assert frame.pixels().shape == (8, 8)


@MANY
@given(raw=st.binary(max_size=60))
def test_any_chunk_is_taken_or_an_error(raw: bytes) -> None:
    frame = FrameAssembler(frame_id=0, channel=0, width_px=8, height_px=8, bit_depth=8)
    try:
        frame.add(raw)
    except ConnectionLostError:
        return


@MANY
@given(text=st.text(max_size=200))
def test_any_property_map_and_version_is_read(text: str) -> None:
    for entry, values in parse_property_map(text).items():
        assert "." in entry
        assert values
    assert all(part >= 0 for part in leading_version(text))


@settings(max_examples=100)
@given(raw=st.binary(max_size=200), pieces=st.lists(st.integers(1, 60), max_size=6))
def test_any_stream_in_any_pieces_ends_with_messages_or_an_error(raw: bytes, pieces: list[int]) -> None:
    """Whole messages first, then anything; the other side closes, so that nothing waits."""
    sent = [encode_message("ScData", ["abc"]), encode_message("GetWD", [7.0])]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        data, at = b"".join(sent) + raw, 0
        for size in (*pieces, len(data)):
            theirs.sendall(data[at : at + size])
            at += size
        theirs.close()
        stream = MessageStream(ours)
        assert [stream.next_message(5)[0].name for _ in sent] == ["ScData", "GetWD"]  # type: ignore[index]
        with pytest.raises(ConnectionLostError):
            for _ in range(len(raw) // HEADER.size + 2):
                assert stream.next_message(5) is not None


def test_a_message_that_comes_slowly_is_kept_until_it_is_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream, raw = MessageStream(ours), encode_message("GetWD", [7.0])
        for byte in raw[:-1]:
            theirs.sendall(bytes([byte]))
            assert stream.next_message(0.001) is None
        theirs.sendall(raw[-1:])
        message = stream.next_message(5)
        assert message is not None
        assert Body(message[1]).read_float() == 7.0
