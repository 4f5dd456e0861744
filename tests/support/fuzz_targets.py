"""What the fuzzers feed: bytes in, nothing out; anything but the errors that a caller expects is a finding.

Used by ``tests/fuzz/fuzz.py`` (long, coverage-guided) and by the tests that replay its corpus.
"""

from __future__ import annotations

import io
import json
import math
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from vendor_files import (
    AMBER_MAIN,
    AMBER_SEM,
    MIRA3_MAIN,
    MIRA3_SEM,
    TESCAN_TAG,
    THERMO_TAG,
    ZEISS_TAG,
    ini,
    ramp,
    tescan_blob,
    zeiss_text,
)

from drivers.sharksem.frame import FrameAssembler
from drivers.sharksem.wire import (
    HEADER,
    Body,
    decode_header,
    encode_message,
    encode_text,
    leading_version,
    parse_property_map,
)
from fibsem_runtime.core import ImageMetadata
from fibsem_runtime.core.errors import ConnectionLostError, ImageFileError
from fibsem_runtime.imaging.fibsemos import parse_description
from fibsem_runtime.imaging.reader import read_image
from fibsem_runtime.imaging.tescan import header_text, image_rows, parse_tescan
from fibsem_runtime.imaging.texts import decode_text
from fibsem_runtime.imaging.thermofisher import image_rows as thermo_rows
from fibsem_runtime.imaging.thermofisher import parse_thermofisher
from fibsem_runtime.imaging.zeiss import parse_zeiss

FRAME_SIDE_PX = 8


def sharksem_messages(data: bytes) -> None:
    """Read whole messages as the client does; the first byte of each body chooses what is asked for."""
    at = 0
    try:
        while at < len(data):
            header = decode_header(data[at : at + HEADER.size])
            body = Body(data[at + HEADER.size : at + HEADER.size + header.body_size])
            at += HEADER.size + header.body_size
            kinds = ("I", "U", "F", "S", "IF", "SSF", "IIS", "FFFF")[header.message_id % 8]
            assert len(body.read(kinds)) == len(kinds)
    except ConnectionLostError:
        return


def sharksem_values(data: bytes) -> None:
    """Read texts, numbers, property maps and versions."""
    for kinds in ("F", "SF", "S", "IUFS"):
        try:
            values = Body(data).read(kinds)
        except ConnectionLostError:
            continue
        for value in values:
            assert not isinstance(value, float) or not math.isinf(value)
            if isinstance(value, str):
                parse_property_map(value)
                leading_version(value)
    text = data.decode("utf-8", errors="replace")
    assert all("." in entry and values for entry, values in parse_property_map(text).items())
    assert all(part >= 0 for part in leading_version(text))


def sharksem_frame(data: bytes) -> None:
    """Take chunks of 16-bit frames, each with its length before it."""
    frame = FrameAssembler(frame_id=1, channel=0, width_px=FRAME_SIDE_PX, height_px=FRAME_SIDE_PX, bit_depth=16)
    stream = io.BytesIO(data)
    while chunk := stream.read(1):
        try:
            frame.add(stream.read(chunk[0]))
        except ConnectionLostError:
            return
    if frame.is_complete:
        assert frame.pixels().shape == (FRAME_SIDE_PX, FRAME_SIDE_PX)


def tescan_tag(data: bytes) -> None:
    """Read tag 50431, else the bytes as the header beside a file."""
    for text in (header_text(data), decode_text(data)):
        _check(parse_tescan(text, 64))
        rows = image_rows(text, 64)
        assert rows is None or 1 <= rows < 64


def zeiss_tag(data: bytes) -> None:
    _check(parse_zeiss(decode_text(data), 1024))


def thermofisher_tags(data: bytes) -> None:
    """Read an ini text and, after a NUL, an XML document."""
    ini_text, _, xml_text = data.partition(b"\0")
    _check(parse_thermofisher(decode_text(ini_text), decode_text(xml_text)))
    rows = thermo_rows(decode_text(ini_text))
    assert rows is None or rows >= 1


def description_tag(data: bytes) -> None:
    metadata = parse_description(decode_text(data), (64, 96))
    if metadata is not None and "fibsemOS" in metadata.extra:
        _check(metadata)


def tiff_file(data: bytes) -> None:
    """Read a whole file; the refusal is one line."""
    with _file(data) as path:
        try:
            image = read_image(path)
        except ImageFileError as error:
            assert "\n" not in str(error)
            return
    assert image.data.size == image.shape[0] * image.shape[1] > 0


def _check(metadata: ImageMetadata) -> None:
    """Numbers that a reader made up, or let pass, would be out of these ranges sooner or later."""
    assert metadata.pixel_size_m is None or 0 < metadata.pixel_size_m < math.inf
    if metadata.stage_position is not None:
        pose = metadata.stage_position
        assert all(map(math.isfinite, (pose.x_m, pose.y_m, pose.z_m, pose.r_rad, pose.t_rad)))
    if metadata.beam is not None:
        beam = metadata.beam
        assert all(map(math.isfinite, (beam.voltage_v, beam.beam_current_a, beam.working_distance_m, beam.hfw_m)))


@contextmanager
def _file(data: bytes) -> Iterator[Path]:
    """Put bytes into a file, in memory where there is such a place, for as long as it is read."""
    folder = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    with tempfile.NamedTemporaryFile(dir=folder, prefix="fibsem-fuzz-", suffix=".tif") as file:
        file.write(data)
        file.flush()
        yield Path(file.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A function that eats bytes, and bytes that are right to begin with."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    max_bytes: int


def _tiff(**options: Any) -> bytes:
    """Return a small file; options go to `tifffile.imwrite`."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, ramp(), metadata=None, **({"photometric": "minisblack"} | options))
    return stream.getvalue()


def _tagged(code: int, raw: bytes) -> bytes:
    return _tiff(extratags=[(code, "B", len(raw), raw, True)])


def _by_opencv(suffix: str) -> bytes:
    """Return an LZW-compressed TIFF or a PNG."""
    return bytes(cv2.imencode(suffix, ramp())[1].tobytes())


def _chunk(index: int, data: bytes) -> bytes:
    body = struct.pack("<IiIiI", 1, 0, index, 16, len(data)) + data
    return bytes([len(body)]) + body


_THERMO_INI = ini(
    {
        "User": {"Date": "07/19/2022", "Time": "11:41:20 AM"},
        "System": {"SystemType": "Helios", "Dnumber": "9925949"},
        "Beam": {"Beam": "IBeam", "HV": "30000", "BeamShiftX": "0"},
        "IBeam": {"HFW": "8e-005", "WD": "0.0165", "BeamCurrent": "2e-011"},
        "Scan": {"PixelWidth": "5.20833e-008", "PixelHeight": "5.20833e-008", "Dwelltime": "1e-006"},
        "Stage": {"StageX": "1e-3", "StageY": "0", "StageZ": "4e-3", "StageR": "-2.25", "StageT": "0.43"},
        "Image": {"ResolutionX": "16", "ResolutionY": "8"},
        "Detectors": {"Name": "ETD"},
        "ETD": {"Contrast": "95", "Brightness": "41"},
    }
).encode()
_THERMO_XML = (
    b'<?xml version="1.0"?><Metadata xmlns="http://schemas.fei.com/Metadata/v1/2013/07">'
    b"<Acquisition><AcquisitionDatetime>2022-07-19T11:41:20</AcquisitionDatetime><BeamType>Ion</BeamType></Acquisition>"
    b"<BinaryResult><PixelSize><X>5E-08</X><Y>5E-08</Y></PixelSize></BinaryResult></Metadata>"
)
_DESCRIPTION = json.dumps(
    {
        "version": "v8",
        "image": {"beam_type": "ION", "hfw": 8e-5, "resolution": [96, 64], "dwell_time": 1e-6, "reduced_area": None},
        "pixel_size": {"x": 8e-7, "y": 8e-7},
        "microscope_state": {
            "timestamp": 1.6e9,
            "stage_position": {"x": 0, "y": 0, "z": 0, "r": 0, "t": 0},
            "ion_beam": {"voltage": 3e4, "beam_current": 2e-11, "working_distance": 0.0165, "hfw": 8e-5},
        },
    }
).encode()
_MESSAGES = b"".join(
    (
        encode_message("GetWD", [7.0], message_id=2),
        encode_message("TcpGetModel", ["AMBER X"], message_id=3),
        encode_message("StgGetPosition", [1.0, -2.5, 3e-3, 4.0], message_id=7),
    )
)
_PROPERTIES = "det.0.name=E-T\ndet.0.detector=3\ndet.1.name=SE\n3.2.6.1 beta"

TARGETS = {
    "sharksem_messages": Target(run=sharksem_messages, seeds=(_MESSAGES,), max_bytes=512),
    "sharksem_values": Target(
        run=sharksem_values,
        seeds=(encode_text("-1.5e-3"), encode_text("nan"), encode_text(_PROPERTIES), _PROPERTIES.encode()),
        max_bytes=512,
    ),
    "sharksem_frame": Target(
        run=sharksem_frame, seeds=(_chunk(0, bytes(64)) + _chunk(32, bytes(64)), _chunk(0, b"ab" * 20)), max_bytes=512
    ),
    "tescan_tag": Target(
        run=tescan_tag,
        seeds=(tescan_blob(MIRA3_MAIN, MIRA3_SEM), ini({"MAIN": AMBER_MAIN, "SEM": AMBER_SEM}).encode()),
        max_bytes=4096,
    ),
    "zeiss_tag": Target(
        run=zeiss_tag,
        seeds=tuple(zeiss_text().encode(codec) for codec in ("latin-1", "utf-8", "utf-16")),
        max_bytes=8192,
    ),
    "thermofisher_tags": Target(
        run=thermofisher_tags,
        seeds=(_THERMO_INI + b"\0" + _THERMO_XML, _THERMO_INI, b"\0" + b"<b>" * 1500 + b"</b>" * 1500),
        max_bytes=12_000,
    ),
    "description_tag": Target(run=description_tag, seeds=(_DESCRIPTION,), max_bytes=4096),
    "tiff_file": Target(
        run=tiff_file,
        seeds=(
            *(_tiff(), _tiff(bigtiff=True), _tiff(byteorder=">"), _tiff(compression="deflate", rowsperstrip=4)),
            *(
                _tiff(tile=(16, 16)),
                _by_opencv(".tif"),
                _tiff(photometric="miniswhite"),
                _tiff(description=_DESCRIPTION.decode()),
            ),
            _tiff(photometric="palette", colormap=np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, axis=0)),
            *(_tagged(THERMO_TAG, _THERMO_INI), _tagged(ZEISS_TAG, zeiss_text().encode("latin-1"))),
            *(_tagged(TESCAN_TAG, tescan_blob(MIRA3_MAIN, MIRA3_SEM)), _by_opencv(".png")),
        ),
        max_bytes=8192,
    ),
}
"""By the names that the corpus folders have."""
