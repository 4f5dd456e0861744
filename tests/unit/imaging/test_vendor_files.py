"""Images of TESCAN and Zeiss: pixel size, stage, beam and data bar as the file states them, else nothing."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from images import data_folder
from vendor_files import (
    AMBER_MAIN,
    AMBER_SEM,
    CROSSBEAM,
    MIRA3_MAIN,
    MIRA3_SEM,
    TESCAN_TAG,
    THERMO_TAG,
    ZEISS_TAG,
    ZEISS_UTF16_TAG,
    ini,
    ramp,
    record,
    tescan_blob,
    with_value,
    write_tescan,
    write_tiff,
    write_zeiss,
    zeiss_text,
)

from fibsem_runtime.core import BeamType, Image, ImagePoint, StagePosition
from fibsem_runtime.core.errors import ImageFileError
from fibsem_runtime.core.image import InstrumentInfo
from fibsem_runtime.imaging import read_image, write_image

AMBER = {"MAIN": AMBER_MAIN, "SEM": AMBER_SEM}


def zeiss(tmp_path: Path, pairs: tuple[tuple[str, str], ...] = CROSSBEAM, **options: Any) -> Image:
    return read_image(write_zeiss(tmp_path / "grid.tif", zeiss_text(pairs).encode("latin-1") + b"\0", **options))


def side_car(tmp_path: Path, text: str, name: str = "frame-tif.hdr") -> Image:
    (tmp_path / name).write_text(text, encoding="latin-1", newline="")
    return read_image(write_tiff(tmp_path / "frame.tif", ramp()))


def test_a_mira3_file_says_everything_of_its_tag(tmp_path: Path) -> None:
    image = read_image(write_tescan(tmp_path / "mira.tif", MIRA3_MAIN, MIRA3_SEM))
    metadata = image.metadata
    assert image.shape == (32, 48) and image.data.dtype == np.uint16 and int(image.data.max()) < 65535
    assert image.pixel_size_m == 2.5012e-6
    assert metadata.beam_type is BeamType.ELECTRON
    assert metadata.dwell_time_s == 3.2e-6
    assert metadata.acquired_at == datetime(2016, 5, 16, 16, 3, 27)
    assert metadata.stage_position == StagePosition(x_m=5.1572e-3, y_m=6.0938e-3, z_m=83.566e-3, r_rad=0, t_rad=0)
    assert metadata.beam is not None
    assert (metadata.beam.voltage_v, metadata.beam.beam_current_a) == (10e3, 264.366e-12)
    assert (metadata.beam.working_distance_m, metadata.beam.stigmation_x) == (13.25e-3, -0.29)
    assert metadata.beam.hfw_m == pytest.approx(48 * 2.5012e-6)
    assert metadata.detector is not None and metadata.detector.name == "SE"
    assert metadata.detector.contrast_fraction == pytest.approx(0.48828)
    assert metadata.detector.brightness_fraction == pytest.approx(0.925)
    assert metadata.instrument == InstrumentInfo(
        manufacturer="TESCAN", model="MIRA3 XMU", serial_number="MI3261471CZ", software_version="4.2.13.0"
    )
    assert "ScanMode=WIDE FIELD" in metadata.extra["TESCAN"]


def test_an_amber_file_says_everything_of_its_header(tmp_path: Path) -> None:
    metadata = side_car(tmp_path, ini(AMBER)).metadata
    assert metadata.pixel_size_m == 13.009943e-9
    assert metadata.stage_position is not None
    assert metadata.stage_position.r_rad == pytest.approx(math.radians(30))
    assert metadata.stage_position.x_m == -0.00224061
    assert metadata.detector is not None
    assert (metadata.detector.name, metadata.detector.brightness_fraction) == ("E-T", pytest.approx(0.746))
    assert metadata.instrument is not None
    assert metadata.instrument.software_version == "TESCAN Essence Version 1.2.5.0, build 6389"
    assert metadata.acquired_at == datetime(2023, 10, 25, 16, 31, 7)


@pytest.mark.parametrize(
    "name", ["frame-tif.hdr", "frame.hdr", "frame.tif.hdr", "frame-png.hdr", "frame-TIF.HDR", "frame.HDR"]
)
def test_a_header_is_found_under_every_name_that_programs_give_it(tmp_path: Path, name: str) -> None:
    assert side_car(tmp_path, ini(AMBER), name).pixel_size_m == 13.009943e-9


@pytest.mark.parametrize("newline", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("change", [str, str.upper, str.lower])
def test_line_ends_and_the_case_of_names_do_not_matter(tmp_path: Path, newline: str, change: Any) -> None:
    sections = {change(name): {change(k): v for k, v in values.items()} for name, values in AMBER.items()}
    metadata = side_car(tmp_path, ini(sections, newline)).metadata
    assert metadata.pixel_size_m == 13.009943e-9
    assert metadata.beam is not None and metadata.beam.voltage_v == 30e3


def test_an_ion_image_has_its_own_section(tmp_path: Path) -> None:
    column = MIRA3_SEM | {"StageTilt": "55", "ImageShiftX": "1.5e-6", "ScanRotation": "180"}
    metadata = read_image(write_tescan(tmp_path / "ion.tif", MIRA3_MAIN, column, is_ion=True)).metadata
    assert metadata.beam_type is BeamType.ION
    assert metadata.beam is not None and metadata.beam.shift == ImagePoint(1.5e-6, 0.0)
    assert metadata.beam.scan_rotation_rad == pytest.approx(math.pi)
    assert metadata.stage_position is not None and metadata.stage_position.t_rad == pytest.approx(math.radians(55))


def test_a_header_with_both_columns_does_not_say_whose_image_it_is(tmp_path: Path) -> None:
    metadata = side_car(tmp_path, ini(AMBER | {"FIB": AMBER_SEM})).metadata
    assert metadata.pixel_size_m == 13.009943e-9
    assert (metadata.beam_type, metadata.beam, metadata.stage_position) == (None, None, None)


def test_the_tag_in_the_file_is_believed_before_the_header_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mira-tif.hdr").write_text(ini(AMBER))
    assert read_image(write_tescan(tmp_path / "mira.tif", MIRA3_MAIN, MIRA3_SEM)).pixel_size_m == 2.5012e-6


@pytest.mark.parametrize(
    "blob",
    [
        ini({"MAIN": MIRA3_MAIN, "SEM": MIRA3_SEM}).encode(),
        b"\x07junk\0" + ini({"Main": MIRA3_MAIN, "Sem": MIRA3_SEM}, "\n").encode() + b"\0\0",
        tescan_blob(MIRA3_MAIN, MIRA3_SEM)[:-6],
        tescan_blob(MIRA3_MAIN, MIRA3_SEM) + b"more",
        record(9, b"unknown") + tescan_blob(MIRA3_MAIN, MIRA3_SEM),
    ],
    ids=["plain text", "text after junk", "no end", "more after the end", "unknown record"],
)
def test_other_layouts_of_the_tag_are_read(tmp_path: Path, blob: bytes) -> None:
    metadata = read_image(write_tiff(tmp_path / "a.tif", ramp(200, 16, np.uint16), {TESCAN_TAG: blob})).metadata
    assert metadata.pixel_size_m == 2.5012e-6
    assert metadata.beam is not None and metadata.beam.working_distance_m == 13.25e-3


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\0",
        record(2, b"PixelSizeX=2.5e-6\r\n")[:-4],
        b"\xff\xff\xff\xff\x02\x00PixelSizeX=2.5e-6\r\n",
        b"\x00\x00\x00\x00\x02\x00PixelSizeX=2.5e-6\r\n",
        record(1, b"PixelSizeX=2.5e-6\r\n"),
        b"PixelSizeX=2.5e-6\r\n",
    ],
    ids=["empty", "nul", "cut record", "huge length", "no length", "thumbnail only", "text without a section"],
)
def test_a_broken_tag_is_no_pixel_size(tmp_path: Path, blob: bytes) -> None:
    image = read_image(write_tiff(tmp_path / "a.tif", ramp(), {TESCAN_TAG: blob or b"\0"}))
    with pytest.raises(ImageFileError, match="no pixel size"):
        _ = image.pixel_size_m


NO_PIXEL = ["", "abc", "nan", "inf", "0", "-1e-8", "13", "13 V", "1.3e-8 kg", "1,3,4e-8", "1e-8" * 30, "1.3e-8\0nm kV"]


@pytest.mark.parametrize("value", NO_PIXEL)
def test_a_tescan_pixel_size_that_is_none_is_not_guessed(tmp_path: Path, value: str) -> None:
    main = AMBER_MAIN | {"PixelSizeX": value}
    image = side_car(tmp_path, ini({"MAIN": main, "SEM": AMBER_SEM}))
    assert image.metadata.pixel_size_m is None and image.metadata.beam is None
    assert image.metadata.stage_position is not None


@pytest.mark.parametrize(("value", "pixel_size_m"), [("13 nm", 13e-9), ("0,000000013", 13e-9), ("0.013 µm", 13e-9)])
def test_a_tescan_pixel_size_may_have_a_unit_or_a_comma(tmp_path: Path, value: str, pixel_size_m: float) -> None:
    main = AMBER_MAIN | {"PixelSizeX": value, "PixelSizeY": ""}
    assert side_car(tmp_path, ini({"MAIN": main})).pixel_size_m == pytest.approx(pixel_size_m)


def test_stretched_pixels_have_no_single_size(tmp_path: Path) -> None:
    main = AMBER_MAIN | {"PixelSizeY": "0.000000016"}
    assert side_car(tmp_path, ini({"MAIN": main, "SEM": AMBER_SEM})).metadata.pixel_size_m is None


@pytest.mark.parametrize(
    ("strip", "rows"), [("4", 8), ("0", 12), ("", 12), ("12", 12), ("358", 12), ("-4", 12), ("x", 12), ("4.0", 8)]
)
def test_only_a_possible_data_bar_is_cut_off(tmp_path: Path, strip: str, rows: int) -> None:
    image = side_car(tmp_path, ini({"MAIN": AMBER_MAIN | {"ImageStripSize": strip}}))
    assert image.shape == (rows, 16)
    assert np.array_equal(image.data, ramp()[:rows])


def test_views_side_by_side_share_the_width_of_the_file(tmp_path: Path) -> None:
    image = side_car(tmp_path, ini({"MAIN": AMBER_MAIN | {"ViewFieldsCountX": "2"}, "SEM": AMBER_SEM}))
    assert image.metadata.beam is not None
    assert image.metadata.beam.hfw_m == pytest.approx(8 * 13.009943e-9)


@pytest.mark.parametrize("text", ["", "ENVI\nsamples = 16\n", "#?RADIANCE\n", "[SEM]\nHV=1\n", "\xff\xfe\xfa" * 10])
def test_headers_of_other_programs_are_left_alone(tmp_path: Path, text: str) -> None:
    metadata = side_car(tmp_path, text, "frame.hdr").metadata
    assert metadata.pixel_size_m is None and "TESCAN" not in metadata.extra


def test_a_huge_file_or_a_folder_beside_an_image_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "frame-tif.hdr").mkdir()
    assert side_car(tmp_path, ini(AMBER) + "x" * 2**20, "frame.hdr").metadata.pixel_size_m is None


def test_a_crossbeam_file_says_everything_of_its_tag(tmp_path: Path) -> None:
    image = zeiss(tmp_path)
    metadata = image.metadata
    assert np.array_equal(image.data, ramp())
    assert image.pixel_size_m == pytest.approx(593.3e-9)
    assert metadata.beam_type is BeamType.ELECTRON
    assert metadata.dwell_time_s == pytest.approx(50e-9)
    assert metadata.acquired_at == datetime(2023, 4, 11, 8, 40, 47)
    assert metadata.stage_position == StagePosition(
        x_m=pytest.approx(48.509e-3),
        y_m=pytest.approx(48.6715e-3),
        z_m=pytest.approx(10e-3),
        r_rad=pytest.approx(math.radians(233.5)),
        t_rad=pytest.approx(math.radians(2)),
    )
    assert metadata.beam is not None
    assert (metadata.beam.voltage_v, metadata.beam.beam_current_a) == (5e3, pytest.approx(200e-12))
    assert (metadata.beam.working_distance_m, metadata.beam.hfw_m) == (pytest.approx(5.2e-3), pytest.approx(607.5e-6))
    assert (metadata.beam.stigmation_x, metadata.beam.stigmation_y) == (3.8, -1.6)
    assert metadata.beam.shift == ImagePoint(0.0, 0.0)
    assert metadata.detector is not None
    assert (metadata.detector.name, metadata.detector.contrast_fraction) == ("InLens", pytest.approx(0.351))
    assert metadata.instrument == InstrumentInfo(
        manufacturer="Carl Zeiss",
        model="Crossbeam 550",
        serial_number="4770",
        software_version="V07.03.00.00 : 04-Nov-21",
    )
    assert "AP_TILT_ANGLE" in metadata.extra["CZ_SEM"]


def test_an_ion_image_has_the_values_of_the_ion_column(tmp_path: Path) -> None:
    metadata = zeiss(tmp_path, with_value(CROSSBEAM, "DP_FIB_IMAGING", "FIB Imaging = FIB")).metadata
    assert metadata.beam_type is BeamType.ION
    assert metadata.beam is not None
    assert (metadata.beam.voltage_v, metadata.beam.beam_current_a) == (29990, pytest.approx(58e-12))
    assert metadata.beam.working_distance_m == pytest.approx(13.5e-3)
    assert metadata.beam.shift.x_m == pytest.approx(7.352e-6) and metadata.beam.shift.y_m == pytest.approx(-76.4e-9)
    assert metadata.beam.scan_rotation_rad == pytest.approx(math.radians(27))


@pytest.mark.parametrize("line", [None, "FIB Imaging = SEM + FIB", "FIB Imaging ="])
def test_a_crossbeam_file_that_does_not_name_its_column_has_no_beam(tmp_path: Path, line: str | None) -> None:
    metadata = zeiss(tmp_path, with_value(CROSSBEAM, "DP_FIB_IMAGING", line)).metadata
    assert (metadata.beam_type, metadata.beam) == (None, None)
    assert metadata.pixel_size_m == pytest.approx(593.3e-9)


def test_an_instrument_without_an_ion_column_makes_electron_images(tmp_path: Path) -> None:
    pairs = tuple(pair for pair in CROSSBEAM if "FIB" not in pair[0])
    assert zeiss(tmp_path, pairs).metadata.beam_type is BeamType.ELECTRON


@pytest.mark.parametrize(("state", "deg"), [("Off", 0), ("On", 30)])
def test_the_scan_rotation_counts_only_when_it_is_on(tmp_path: Path, state: str, deg: float) -> None:
    pairs = with_value(CROSSBEAM, "AP_SCANROTATION", "Scan Rotation = 30.0 °")
    beam = zeiss(tmp_path, with_value(pairs, "DP_SCAN_ROT", f"Scan Rot = {state}")).metadata.beam
    assert beam is not None and beam.scan_rotation_rad == pytest.approx(math.radians(deg))


def test_a_beam_shift_in_per_cent_is_no_length(tmp_path: Path) -> None:
    beam = zeiss(tmp_path, with_value(CROSSBEAM, "AP_BEAMSHIFT_X", "Beam Shift X = 12.0 %")).metadata.beam
    assert beam is not None and beam.shift == ImagePoint(0.0, 0.0)


@pytest.mark.parametrize(
    ("tag", "codec"),
    [
        *((ZEISS_TAG, "latin-1"), (ZEISS_TAG, "utf-8"), (ZEISS_TAG, "utf-16-le")),
        *((ZEISS_UTF16_TAG, "utf-16"), (ZEISS_UTF16_TAG, "utf-16-le"), (ZEISS_UTF16_TAG, "latin-1")),
    ],
)
@pytest.mark.parametrize("newline", ["\r\n", "\n", "\r", "\r\n\r\n"])
def test_every_encoding_and_line_end_says_the_same(tmp_path: Path, tag: int, codec: str, newline: str) -> None:
    raw = (zeiss_text(newline=newline) + "\0").encode(codec)
    metadata = read_image(write_zeiss(tmp_path / "a.tif", raw, tag=tag)).metadata
    assert metadata.pixel_size_m == pytest.approx(593.3e-9)
    assert metadata.beam is not None and metadata.beam.hfw_m == pytest.approx(607.5e-6)
    assert metadata.stage_position is not None and metadata.stage_position.t_rad == pytest.approx(math.radians(2))


@pytest.mark.parametrize(
    ("line", "pixel_size_m"),
    [
        ("Image Pixel Size = 558.2 pm", 558.2e-12),
        ("Image Pixel Size = 1.234 µm", 1.234e-6),
        ("Image Pixel Size = 1,234 um", 1.234e-6),
        ("Image Pixel Size=0.0012 mm", 1.2e-6),
        ("Pixelgröße = 7.300 nm", 7.3e-9),
        ("Image Pixel Size : 7.300 nm", 7.3e-9),
        ("Image Pixel Size = 593.3", None),
        ("Image Pixel Size = 593.3 kV", None),
        ("Image Pixel Size = n/a", None),
        ("Image Pixel Size = 0 nm", None),
        ("Image Pixel Size = -5 nm", None),
        ("Image Pixel Size = 5 m", None),
        ("593.3 nm", None),
        (None, None),
    ],
)
def test_a_zeiss_pixel_size_is_what_the_line_says_or_none(
    tmp_path: Path, line: str | None, pixel_size_m: float | None
) -> None:
    found_m = zeiss(tmp_path, with_value(CROSSBEAM, "AP_IMAGE_PIXEL_SIZE", line)).metadata.pixel_size_m
    assert found_m == (None if pixel_size_m is None else pytest.approx(pixel_size_m))


def test_of_a_key_that_comes_twice_the_first_value_counts(tmp_path: Path) -> None:
    twice = (("AP_WD", "WD ="), *CROSSBEAM, ("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 1 nm"))
    metadata = zeiss(tmp_path, twice).metadata
    assert metadata.pixel_size_m == pytest.approx(593.3e-9)
    assert metadata.beam is not None and metadata.beam.working_distance_m == pytest.approx(5.2e-3)


@pytest.mark.parametrize(("width_px", "pixel_size_m"), [(1024, 35.94e-9), (2048, None)])
def test_old_files_know_the_pixels_of_the_display(tmp_path: Path, width_px: int, pixel_size_m: float | None) -> None:
    pairs = (("AP_PIXEL_SIZE", "Pixel Size = 35.94 nm"), ("AP_MANUALKV", "EHT Target = 5.00 kV"))
    found_m = zeiss(tmp_path, pairs, pixels=np.zeros((4, width_px), np.uint8)).metadata.pixel_size_m
    assert found_m == (None if pixel_size_m is None else pytest.approx(pixel_size_m))


@pytest.mark.parametrize("missing", ["AP_STAGE_AT_X", "AP_STAGE_AT_T", "AP_STAGE_AT_R"])
def test_an_incomplete_zeiss_pose_is_unknown(tmp_path: Path, missing: str) -> None:
    assert zeiss(tmp_path, with_value(CROSSBEAM, missing, None)).metadata.stage_position is None
    assert zeiss(tmp_path, with_value(CROSSBEAM, missing, "Stage = 5.0")).metadata.stage_position is None


@pytest.mark.parametrize("missing", ["AP_ACTUALKV", "AP_IPROBE", "AP_WD"])
def test_an_incomplete_zeiss_beam_is_unknown(tmp_path: Path, missing: str) -> None:
    assert zeiss(tmp_path, with_value(CROSSBEAM, missing, "Value = ---")).metadata.beam is None


def test_a_cut_off_text_loses_only_what_is_cut_off(tmp_path: Path) -> None:
    raw = zeiss_text().encode("latin-1")
    metadata = read_image(write_zeiss(tmp_path / "a.tif", raw[: raw.index(b"AP_STAGE_AT_Y") + 9])).metadata
    assert metadata.pixel_size_m == pytest.approx(593.3e-9)
    assert metadata.stage_position is None and metadata.beam_type is BeamType.ELECTRON


def colour_table(change: Mapping[int, tuple[int, int, int]] = {}, *, scale: int = 257) -> np.ndarray:
    table = np.repeat(np.arange(256, dtype=np.uint16)[None] * scale, 3, axis=0)
    for index, colour in change.items():
        table[:, index] = colour
    return table


@pytest.mark.parametrize("scale", [257, 256, 1])
def test_a_palette_of_grays_is_gray(tmp_path: Path, scale: int) -> None:
    table = colour_table(scale=scale)
    image = read_image(write_tiff(tmp_path / "a.tif", ramp(), photometric="palette", colormap=table))
    assert image.data.dtype == np.uint8 and np.array_equal(image.data, ramp())


def test_a_reversed_palette_shows_black_as_black(tmp_path: Path) -> None:
    table = colour_table()[:, ::-1]
    image = read_image(write_tiff(tmp_path / "a.tif", ramp(), photometric="palette", colormap=table))
    assert np.array_equal(image.data, 255 - ramp())


@pytest.mark.parametrize(("index", "is_refused"), [(250, False), (7, True)])
def test_a_palette_with_colours_is_refused_when_they_are_used(tmp_path: Path, index: int, is_refused: bool) -> None:
    table = colour_table({index: (65535, 0, 0)})
    path = write_tiff(tmp_path / "a.tif", ramp(), photometric="palette", colormap=table)
    if is_refused:
        with pytest.raises(ImageFileError, match="is in colour"):
            read_image(path)
    else:
        assert np.array_equal(read_image(path).data, ramp())


@pytest.mark.parametrize("options", [{"bigtiff": True}, {"byteorder": ">"}, {"bigtiff": True, "byteorder": ">"}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_kind_of_tiff_carries_the_tags(tmp_path: Path, options: Mapping[str, Any], dtype: type) -> None:
    raw = zeiss_text().encode("latin-1") + b"\0"
    image = read_image(write_tiff(tmp_path / "a.tif", ramp(dtype=dtype) * dtype(1), {ZEISS_TAG: raw}, **options))
    assert image.pixel_size_m == pytest.approx(593.3e-9)
    assert image.data.dtype == dtype and np.array_equal(image.data, ramp())


def test_a_gray_image_saved_as_rgb_keeps_its_tags(tmp_path: Path) -> None:
    pixels = np.stack([ramp(132, 16, np.uint16)] * 3, axis=-1)
    blob = tescan_blob(MIRA3_MAIN, MIRA3_SEM)
    image = read_image(write_tiff(tmp_path / "a.tif", pixels, {TESCAN_TAG: blob}, photometric="rgb"))
    assert image.shape == (12, 16) and image.pixel_size_m == 2.5012e-6


def test_a_coloured_data_bar_is_cut_off_before_colours_are_refused(tmp_path: Path) -> None:
    bar = np.random.default_rng(3).integers(0, 255, (4, 16, 3), np.uint8)
    pixels = np.vstack([np.stack([ramp()] * 3, axis=-1), bar])
    main = AMBER_MAIN | {"ImageStripSize": "4"}
    (tmp_path / "a-tif.hdr").write_text(ini({"MAIN": main, "SEM": AMBER_SEM}))
    assert np.array_equal(read_image(write_tiff(tmp_path / "a.tif", pixels, photometric="rgb")).data, ramp())
    (tmp_path / "a-tif.hdr").unlink()
    with pytest.raises(ImageFileError, match="is in colour"):
        read_image(tmp_path / "a.tif")


def test_a_thumbnail_page_does_not_hide_the_image(tmp_path: Path) -> None:
    raw = zeiss_text().encode("latin-1")
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(ramp(), metadata=None, extratags=[(ZEISS_TAG, "B", len(raw), raw, True)])
        writer.write(ramp()[:6, :8], metadata=None, subfiletype=1)
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.data, ramp()) and image.pixel_size_m == pytest.approx(593.3e-9)


def test_two_images_in_one_file_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(ramp(), metadata=None)
        writer.write(ramp(), metadata=None)
    with pytest.raises(ImageFileError, match="holds 2 images; split"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_lzw_file_is_read(tmp_path: Path, dtype: type) -> None:
    """OpenCV compresses with LZW unless it is told otherwise."""
    assert cv2.imwrite(str(tmp_path / "a.tif"), ramp(dtype=dtype))
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.pages.first.compression == 5
    image = read_image(tmp_path / "a.tif")
    assert image.data.dtype == dtype and np.array_equal(image.data, ramp())


def test_an_lzw_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.tif"), noise)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tif:
        count = tif.pages.first.tags["StripByteCounts"]
        count.overwrite(tuple(10**6 for _ in range(count.count)))
    with pytest.raises(ImageFileError, match="is cut off"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(("code", "name"), [(50000, "ZSTD"), (34925, "LZMA"), (4711, "4711")])
def test_a_compression_that_nothing_here_reads_is_named(tmp_path: Path, code: int, name: str) -> None:
    path = write_tiff(tmp_path / "a.tif", ramp())
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages.first.tags["Compression"].overwrite(code)
    with pytest.raises(ImageFileError, match=f"is compressed with {name}; save it"):
        read_image(path)


@pytest.mark.parametrize("code", [TESCAN_TAG, ZEISS_TAG, ZEISS_UTF16_TAG, THERMO_TAG])
def test_a_tag_that_claims_more_than_the_file_is_no_metadata(tmp_path: Path, code: int) -> None:
    path = write_tiff(tmp_path / "a.tif", ramp(), {code: b"\xf0" * 64})
    content = path.read_bytes()
    entry = content.index(code.to_bytes(2, "little") + b"\x01\x00\x40\x00\x00\x00")
    path.write_bytes(content[: entry + 4] + b"\xff\xff\xff\x7f" + content[entry + 8 :])
    try:
        assert read_image(path).metadata.pixel_size_m is None
    except ImageFileError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["thermo_ion_hfw80um.tif", "thermo_electron_hfw150um.tif"])
def test_a_header_of_tescan_beside_a_thermo_file_is_left_alone(tmp_path: Path, name: str) -> None:
    shutil.copy(data_folder("vendor_tiff", name), tmp_path / "frame.tif")
    (tmp_path / "frame-tif.hdr").write_text(ini(AMBER))
    assert read_image(tmp_path / "frame.tif").metadata.extra.keys() >= {"FEI_INI"}


def test_real_thermo_electron_image_says_its_whole_state() -> None:
    metadata = read_image(data_folder("vendor_tiff", "thermo_electron_hfw150um.tif")).metadata
    assert metadata.stage_position == StagePosition(
        x_m=-0.00341101, y_m=0.00293012, z_m=0.00381954, r_rad=0.890141, t_rad=0.471235
    )
    assert metadata.beam is not None
    assert (metadata.beam.voltage_v, metadata.beam.beam_current_a) == (2000, 1e-10)
    assert (metadata.beam.working_distance_m, metadata.beam.hfw_m) == (0.00382095, 0.00015)
    assert (metadata.beam.stigmation_x, metadata.beam.stigmation_y) == (0.0827604, 0.038308)
    assert metadata.detector is not None
    assert (metadata.detector.name, metadata.detector.brightness_fraction) == ("ETD", pytest.approx(0.398605))
    assert metadata.instrument is not None
    assert (metadata.instrument.serial_number, metadata.instrument.software_version) == ("9925949", "14.5.1.432")


@pytest.mark.parametrize(
    ("old", "new", "pixel_size_m"),
    [
        (b"PixelWidth=5.20833e-008", b"PixelWidth=5,20833e-008", 5.20833e-8),
        (b"PixelWidth=5.20833e-008", b"pixelwidth=5.20833e-008", 5.20833e-8),
        (b"PixelWidth=5.20833e-008", b"PixelWidth=             ", 5.208333e-8),
        (b"PixelWidth=5.20833e-008", b"PixelWidth=garbage      ", 5.208333e-8),
        (b"PixelHeight=5.20833e-008", b"PixelHeight=9.20833e-008", None),
    ],
)
def test_a_changed_thermo_pixel_size(tmp_path: Path, old: bytes, new: bytes, pixel_size_m: float | None) -> None:
    """The ion file also says it in its XML, which counts when the ini text says nothing."""
    content = data_folder("vendor_tiff", "thermo_ion_hfw80um.tif").read_bytes()
    assert old in content
    (tmp_path / "a.tif").write_bytes(content.replace(old, new.ljust(len(old))[: len(old)]))
    found_m = read_image(tmp_path / "a.tif").metadata.pixel_size_m
    assert found_m == (None if pixel_size_m is None else pytest.approx(pixel_size_m, rel=1e-6))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_real_thermo_text_cuts_an_undeclared_data_bar(tmp_path: Path, channels: int) -> None:
    """As on the Scios: 68 rows below the 1024 of ResolutionY, and DatabarHeight empty; also when saved as RGB."""
    with tifffile.TiffFile(data_folder("vendor_tiff", "thermo_electron_hfw150um.tif")) as tif:
        tag, pixels = tif.pages.first.tags[THERMO_TAG], tif.pages.first.asarray()
        tif.filehandle.seek(tag.valueoffset)
        raw = tif.filehandle.read(tag.valuebytecount)
    barred = np.vstack([pixels, np.full((68, pixels.shape[1]), 255, np.uint8)])
    options = {"photometric": "rgb"} if channels == 3 else {}
    stored = np.repeat(barred[..., None], 3, axis=-1) if channels == 3 else barred
    image = read_image(write_tiff(tmp_path / "a.tif", stored, {THERMO_TAG: raw}, **options))
    assert np.array_equal(image.data, pixels)
    assert image.pixel_size_m == pytest.approx(97.6562e-9)


def test_a_vendor_image_survives_our_own_format(tmp_path: Path) -> None:
    image = read_image(write_tescan(tmp_path / "mira.tif", MIRA3_MAIN, MIRA3_SEM))
    write_image(tmp_path / "ours.tif", image)
    assert read_image(tmp_path / "ours.tif").metadata == image.metadata


@pytest.mark.parametrize(
    "options", [{"rowsperstrip": 4}, {"rowsperstrip": 4, "compression": "deflate"}, {"tile": (16, 16)}]
)
def test_missing_strips_are_no_black_rows(tmp_path: Path, options: Mapping[str, Any]) -> None:
    path = write_tiff(tmp_path / "a.tif", ramp(48, 16), **options)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tags = [tag for tag in tif.pages.first.tags if tag.name.endswith(("Offsets", "ByteCounts"))]
        count = tags[0].count - 1
        for tag in tags:
            tag.overwrite(tag.value[:count])
    with pytest.raises(ImageFileError, match=rf"has {count} of its {count + 1} strips or tiles"):
        read_image(path)


def write_png(path: Path, pixels: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), pixels)
    return path


@pytest.mark.parametrize("name", ["frame-png.hdr", "frame.hdr"])
def test_the_png_that_tescan_writes_has_its_header_beside_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(ini(AMBER | {"MAIN": AMBER_MAIN | {"ImageStripSize": "4"}}))
    image = read_image(write_png(tmp_path / "frame.png", ramp(dtype=np.uint16)))
    assert image.pixel_size_m == 13.009943e-9
    assert image.data.dtype == np.uint16 and np.array_equal(image.data, ramp()[:8])


def test_a_png_without_a_header_has_no_metres(tmp_path: Path) -> None:
    image = read_image(write_png(tmp_path / "frame.png", np.stack([ramp()] * 3, axis=-1)))
    assert np.array_equal(image.data, ramp()) and image.metadata.pixel_size_m is None


@pytest.mark.parametrize("change", ["cut", "flip", "header only", "colour", "huge"])
def test_a_png_that_cannot_be_used_is_one_clear_line(tmp_path: Path, change: str) -> None:
    noise = np.random.default_rng(2).integers(0, 255, (64, 64, 3), np.uint8)
    path = write_png(tmp_path / "frame.png", noise)
    content = bytearray(path.read_bytes())
    if change == "flip":
        content[len(content) // 2] ^= 255
    if change == "huge":
        content[16:24] = (60000).to_bytes(4, "big") * 2
    path.write_bytes(content[: {"cut": -500, "header only": 8}.get(change, len(content))])
    reason = {"colour": "is in colour", "huge": "the limit is"}.get(change, "damaged or cut off")
    with pytest.raises(ImageFileError, match=reason) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
