"""Whatever bytes come in, a reader returns an image or says in one line why not; it never hangs and never dies."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fuzz_targets import description_tag, tescan_tag, thermofisher_tags, zeiss_tag
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendor_files import (
    CROSSBEAM,
    MIRA3_MAIN,
    MIRA3_SEM,
    TESCAN_TAG,
    THERMO_TAG,
    ZEISS_TAG,
    ini,
    record,
    tescan_blob,
    zeiss_text,
)

from fibsem_runtime.core import Image, ImageMetadata, StagePosition
from fibsem_runtime.core.errors import ImageFileError
from fibsem_runtime.imaging import read_image, write_image
from fibsem_runtime.imaging.fibsemos import parse_description
from fibsem_runtime.imaging.thermofisher import image_rows, parse_thermofisher

FUZZ = settings(
    max_examples=120,
    deadline=2000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = (
    *("image", "microscope_state", "pixel_size", "beam_type", "hfw", "resolution", "reduced_area", "dwell_time"),
    *("stage_position", "absolute_position", "ion_beam", "ib_settings", "electron_beam", "detector_settings", "x", "y"),
    *("z", "r", "t", "timestamp", "system", "system_info", "info", "voltage", "beam_current", "working_distance"),
    *("shift", "stigmation", "left", "top", "width", "height", "fibsem_runtime", "format", "metadata", "brightness"),
)
known_keys = st.recursive(
    json_values,
    lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=30,
)


def _read_or_refuse(path: Path, content: bytes) -> Image | None:
    path.write_bytes(content)
    try:
        return read_image(path)
    except ImageFileError as error:
        assert "\n" not in str(error)
        return None


THERMO_INI = "[Beam]\r\nBeam=IBeam\r\nHV=30000\r\n[Image]\r\nResolutionY=8\r\n[Scan]\r\nPixelWidth=5e-8\r\n"
VENDOR_TAGS = {
    "none": {},
    "thermo": {THERMO_TAG: THERMO_INI.encode() + b"\0", 34683: b"<Metadata><a>1</a></Metadata>\0"},
    "tescan": {TESCAN_TAG: tescan_blob(MIRA3_MAIN, MIRA3_SEM)},
    "zeiss": {ZEISS_TAG: zeiss_text().encode("latin-1")},
}


def _tiff(vendor: str) -> bytes:
    buffer = io.BytesIO()
    tags = [(code, "B", len(raw), raw, True) for code, raw in VENDOR_TAGS[vendor].items()]
    tifffile.imwrite(
        buffer, np.arange(128, dtype=np.uint8).reshape(8, 16), photometric="minisblack", metadata=None, extratags=tags
    )
    return buffer.getvalue()


@FUZZ
@given(content=st.binary(max_size=400))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    _read_or_refuse(tmp_path / "a.tif", content)


@FUZZ
@given(
    header=st.sampled_from([b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"]), rest=st.binary(max_size=300)
)
def test_any_bytes_after_a_tiff_header(tmp_path: Path, header: bytes, rest: bytes) -> None:
    _read_or_refuse(tmp_path / "a.tif", header + rest)


@FUZZ
@given(
    vendor=st.sampled_from(sorted(VENDOR_TAGS)),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.none() | st.integers(0, 10**6),
)
def test_a_tiff_with_changed_bytes(
    tmp_path: Path, vendor: str, changes: list[tuple[int, int]], cut: int | None
) -> None:
    content = bytearray(_tiff(vendor))
    for place, value in changes:
        content[place % len(content)] = value
    if cut is not None:
        content = content[: cut % len(content)]
    _read_or_refuse(tmp_path / "a.tif", bytes(content))


@FUZZ
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_our_own_files_with_one_changed_byte(tmp_path: Path, place: int, value: int) -> None:
    pose = StagePosition(x_m=1e-3, y_m=0, z_m=0, r_rad=0, t_rad=0.2)
    write_image(tmp_path / "b.tif", Image(np.zeros((4, 8), np.uint8), ImageMetadata(stage_position=pose)))
    content = bytearray((tmp_path / "b.tif").read_bytes())
    content[place % len(content)] = value
    _read_or_refuse(tmp_path / "a.tif", bytes(content))


@FUZZ
@given(content=st.binary(max_size=400), name=st.sampled_from(["b-tif.hdr", "b.hdr", "b-png.hdr"]))
def test_any_bytes_in_a_header_beside_the_file(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(b"[MAIN]\r\n" + content)
    image = _read_or_refuse(tmp_path / "b.tif", _tiff("none"))
    (tmp_path / name).unlink()
    assert image is not None and image.shape[1] == 16


@FUZZ
@given(tree=known_keys)
def test_any_json_with_the_keys_of_fibsemos(tree: object) -> None:
    parse_description(json.dumps(tree), (64, 96))


@FUZZ
@given(raw=st.binary(max_size=300))
def test_any_bytes_in_any_tag(raw: bytes) -> None:
    for read in (tescan_tag, zeiss_tag, thermofisher_tags, description_tag):
        read(raw)


values = (
    st.sampled_from(["", "2.5e-6", "13,0 nm", "5 MM", "nan", "inf", "-1", "0", "1e400", "Off", "µm", "30 °", "9" * 80])
    | st.floats().map(str)
    | st.text(max_size=8)
)


@FUZZ
@given(
    main=st.dictionaries(st.sampled_from(sorted(MIRA3_MAIN)), values),
    column=st.dictionaries(st.sampled_from(sorted(MIRA3_SEM)), values),
    kinds=st.lists(st.tuples(st.integers(0, 8), st.binary(max_size=30)), max_size=4),
    cut=st.integers(0, 2000),
)
def test_any_values_in_tescan_records(
    main: dict[str, str], column: dict[str, str], kinds: list[tuple[int, bytes]], cut: int
) -> None:
    tescan_tag(tescan_blob(MIRA3_MAIN | main, MIRA3_SEM | column)[:cut])
    tescan_tag(b"".join(record(kind, raw) for kind, raw in kinds) + tescan_blob(main, column))
    tescan_tag(ini({"MAIN": main, "SEM": column, "FIB": column}).encode(errors="replace"))


@FUZZ
@given(
    lines=st.dictionaries(st.sampled_from([key for key, _ in CROSSBEAM]), values | values.map("Label = {}".format)),
    codec=st.sampled_from(["utf-8", "utf-16", "utf-16-be"]),
    cut=st.integers(0, 4000),
)
def test_any_values_in_zeiss_lines(lines: dict[str, str], codec: str, cut: int) -> None:
    text = zeiss_text(tuple((dict(CROSSBEAM) | lines).items()))
    zeiss_tag(text.encode(codec, errors="replace")[:cut])


ini_lines = st.one_of(
    st.sampled_from(
        ["[Beam]", "[EBeam]", "[IBeam]", "[Scan]", "[Image]", "[Stage]", "[Detectors]", "[User]", "[System]", "["]
    ),
    st.builds(
        lambda key, value: f"{key}={value}",
        st.sampled_from(
            ["Beam", "HV", "HFW", "WD", "BeamCurrent", "PixelWidth", "ResolutionX", "ResolutionY", "StageX"]
        ),
        st.sampled_from(["", "EBeam", "IBeam", "2e-007", "nan", "inf", "-1", "0", "1e400", "yes"])
        | st.text(max_size=8),
    ),
    st.text(max_size=12),
)


@FUZZ
@given(lines=st.lists(ini_lines, max_size=30), xml=st.text(max_size=60))
def test_any_thermo_texts(lines: list[str], xml: str) -> None:
    text = "\r\n".join(lines)
    metadata = parse_thermofisher(text, xml)
    assert metadata.pixel_size_m is None or metadata.pixel_size_m > 0
    rows = image_rows(text)
    assert rows is None or rows >= 1


@pytest.mark.parametrize(
    "xml",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><x>&b;&b;&b;</x>',
        "<a>" * 3000,
        *("<Metadata>" + "<b>" * depth + "</b>" * depth + "</Metadata>" for depth in (900, 1200, 100_000)),
    ],
)
def test_hostile_xml_is_no_metadata(xml: str) -> None:
    assert parse_thermofisher("", xml).pixel_size_m is None
