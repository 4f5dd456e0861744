"""Image files: nothing known about an image is lost, nothing unknown is made up."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, example, given, settings
from images import data_folder, images

from fibsem_runtime.core import BeamType, Image, ImageMetadata, RelativeArea
from fibsem_runtime.core.errors import ImageFileError, StorageError
from fibsem_runtime.imaging import read_image, write_image

EDGE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@EDGE
@given(image=images)
@example(image=Image(np.array([[7]], np.uint8), ImageMetadata()))
@example(image=Image(np.array([[65535, 0]], np.uint16), ImageMetadata(pixel_size_m=3e-8, frame_id="µ\n\0°")))
def test_what_is_written_is_read_back(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "frame.tif"
    write_image(path, image)
    again = read_image(path)
    assert again.data.dtype == image.data.dtype
    assert np.array_equal(again.data, image.data)
    assert again.metadata == image.metadata
    assert [p.name for p in tmp_path.iterdir()] == ["frame.tif"]


@EDGE
@given(image=images)
def test_the_description_has_every_key_that_fibsemos_reads(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "frame.tif"
    write_image(path, image)
    with tifffile.TiffFile(path) as tif:
        tree = json.loads(tif.pages.first.tags[270].value)
    assert tree["shape"] == list(image.shape)
    assert tree["version"] == "v8"
    assert set(tree["image"]) == {
        *("beam_type", "resolution", "dwell_time", "hfw", "autocontrast", "save", "path", "filename", "reduced_area"),
        *("line_integration", "scan_interlacing", "frame_integration", "drift_correction"),
    }
    assert set(tree["microscope_state"]["stage_position"]) == {"name", "x", "y", "z", "r", "t", "coordinate_system"}
    assert {"pixel_size", "user", "experiment", "system_info", "hardware_geometry"} <= set(tree)


@EDGE
@given(image=images)
def test_another_programs_reader_finds_the_same_facts_without_our_block(tmp_path: Path, image: Image) -> None:
    """The fibsemOS part must stand alone: with our block removed the facts that v8 can hold are still the same."""
    path = tmp_path / "frame.tif"
    write_image(path, image)
    with tifffile.TiffFile(path) as tif:
        tree = json.loads(tif.pages.first.tags[270].value)
    del tree["fibsem_runtime"]
    again = read_image(_write_json(tmp_path / "theirs.tif", tree, image.data)).metadata
    if image.metadata.pixel_size_m is not None:
        assert again.pixel_size_m == pytest.approx(image.metadata.pixel_size_m)
    assert again.beam_type == image.metadata.beam_type
    assert again.stage_position == image.metadata.stage_position
    assert again.dwell_time_s == image.metadata.dwell_time_s
    assert again.reduced_area == image.metadata.reduced_area
    if image.metadata.beam_type is not None:
        assert again.beam == image.metadata.beam


@pytest.mark.parametrize("pixel_size_m", [1e-9, 26.0417e-9, 97.6562e-9, 1e-6])
def test_fiji_sees_the_right_scale(tmp_path: Path, pixel_size_m: float) -> None:
    path = tmp_path / "frame.tif"
    write_image(path, Image(np.zeros((4, 6), np.uint8), ImageMetadata(pixel_size_m=pixel_size_m)))
    with tifffile.TiffFile(path) as tif:
        tags = tif.pages.first.tags
        assert tags["ResolutionUnit"].value == 3
        for name in ("XResolution", "YResolution"):
            numerator, denominator = tags[name].value
            assert denominator / numerator / 100 == pytest.approx(pixel_size_m, rel=1e-6)


@pytest.mark.parametrize("pixel_size_m", [None, 1e-14])
def test_no_scale_is_written_when_there_is_none_to_write(tmp_path: Path, pixel_size_m: float | None) -> None:
    path = tmp_path / "frame.tif"
    write_image(path, Image(np.zeros((4, 6), np.uint8), ImageMetadata(pixel_size_m=pixel_size_m)))
    with tifffile.TiffFile(path) as tif:
        assert tif.pages.first.tags["XResolution"].value == (1, 1)
        assert tif.pages.first.tags["ResolutionUnit"].value == 1
    assert read_image(path).metadata.pixel_size_m == pixel_size_m


def test_a_reduced_area_keeps_the_full_frame_in_its_description(tmp_path: Path) -> None:
    area = RelativeArea(left_fraction=0.25, top_fraction=0.5, width_fraction=0.25, height_fraction=0.25)
    image = Image(np.zeros((256, 384), np.uint8), ImageMetadata(pixel_size_m=50e-9, reduced_area=area))
    path = tmp_path / "part.tif"
    write_image(path, image)
    with tifffile.TiffFile(path) as tif:
        block = json.loads(tif.pages.first.tags[270].value)["image"]
    assert block["resolution"] == [1536, 1024]
    assert block["hfw"] == pytest.approx(1536 * 50e-9)
    assert block["reduced_area"] == {"left": 0.25, "top": 0.5, "width": 0.25, "height": 0.25}


def _full_disk(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["os.fsync", "os.replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "frame.tif"
    old = Image(np.full((8, 8), 3, np.uint8), ImageMetadata())
    write_image(path, old)
    monkeypatch.setattr(call, _full_disk)
    with pytest.raises(StorageError, match="nothing was written"):
        write_image(path, Image(np.full((8, 8), 9, np.uint8), ImageMetadata()))
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["frame.tif"]
    assert np.array_equal(read_image(path).data, old.data)


def test_a_disk_that_is_full_in_the_middle_of_a_file_leaves_nothing(tmp_path: Path) -> None:
    """Real refusal by the operating system: a limit on the size of files, in a child process."""
    script = (
        "import resource, signal, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from fibsem_runtime.core import Image, ImageMetadata\n"
        "from fibsem_runtime.core.errors import StorageError\n"
        "from fibsem_runtime.imaging import write_image\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try:\n"
        "    write_image(Path(sys.argv[1]), Image(np.zeros((512, 512), np.uint8), ImageMetadata()))\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    path = tmp_path / "frame.tif"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert "nothing was written" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write the image .*: No such file or directory"):
        write_image(tmp_path / "absent" / "frame.tif", Image(np.zeros((2, 2), np.uint8), ImageMetadata()))


def _write_json(path: Path, tree: dict[str, Any], data: np.ndarray | None = None) -> Path:
    data = np.zeros((64, 96), np.uint8) if data is None else data
    tifffile.imwrite(path, data, description=json.dumps(tree), metadata=None, photometric="minisblack")
    return path


STAGE = {"name": None, "x": 1e-3, "y": -2e-3, "z": 5e-3, "r": 0.5, "t": 0.2, "coordinate_system": "RAW"}
BEAM = {
    **{"beam_type": "ION", "working_distance": 0.0165, "beam_current": 2e-11, "voltage": 30000.0, "hfw": 8e-5},
    **{"resolution": [1536, 1024], "dwell_time": 1e-6, "stigmation": None, "shift": {"x": 1e-7, "y": -2e-7}},
    **{"scan_rotation": 3.14159, "preset": None},
}
DETECTOR = {"type": "ETD", "mode": "SecondaryElectrons", "brightness": 0.4, "contrast": 0.9}
REQUEST = {
    **{"beam_type": "ION", "resolution": [1536, 1024], "dwell_time": 1e-6, "hfw": 8e-5, "autocontrast": True},
    "reduced_area": None,
}
OLD_BEAM = {**{k: v for k, v in BEAM.items() if k not in ("working_distance", "beam_current")}}
OLD_BEAM |= {"eucentric_height": 0.0165, "current": 2e-11}
TIMESTAMP = 1660000000.5

V1 = {
    **REQUEST,
    **{"gamma_enabled": False, "save": True, "save_path": "C:\\data", "label": "ref_ib", "version": "v1"},
    **{"pixel_size": {"x": 5.2e-8, "y": 5.2e-8}, "detector_settings": DETECTOR},
    "microscope_state": {
        **{"timestamp": TIMESTAMP, "absolute_position": STAGE, "eb_settings": "Not defined", "ib_settings": OLD_BEAM}
    },
}
V0 = {key: value for key, value in V1.items() if key != "version"}
V2 = {
    **V1,
    **{"version": "v2", "image": REQUEST, "user": {"name": "null"}, "experiment": {"id": 1}},
    "microscope_state": {
        **V1["microscope_state"],  # type: ignore[dict-item]
        **{"eb_detector": "Not defined", "ib_detector": DETECTOR, "ib_settings": BEAM},
    },
    "system": {
        "info": {"manufacturer": "Thermo", "model": "Aquilos", "serial_number": "995", "software_version": "13"}
    },
}
STATE = {
    **{"timestamp": TIMESTAMP, "stage_position": STAGE, "electron_beam": None, "ion_beam": BEAM},
    **{"electron_detector": None, "ion_detector": DETECTOR, "objective_position": None},
}
V3 = {
    **{"version": "v3", "image": REQUEST, "pixel_size": {"x": 5.2e-8, "y": 5.2e-8}, "microscope_state": STATE},
    **{"user": {"hostname": "pc"}, "experiment": {"id": "x"}, "system": V2["system"]},
}
V6 = {k: v for k, v in V3.items() if k != "system"} | {
    **{"version": "v6", "hardware_geometry": {"column_tilt": 0, "fib_column_tilt": 52}},
    "system_info": V2["system"]["info"],  # type: ignore[index]
}
VERSIONS = {
    **{"v0": V0, "v1": V1, "v2": V2, "v3": V3, "v4": V3 | {"version": "v4"}, "v5": V3 | {"version": "v5"}},
    **{"v6": V6, "v7": V6 | {"version": "v7"}, "v8": V6 | {"version": "v8", "unheard_of": 1}},
}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_fibsemos_says_the_same(tmp_path: Path, version: str) -> None:
    metadata = read_image(_write_json(tmp_path / "theirs.tif", VERSIONS[version])).metadata
    assert metadata.beam_type is BeamType.ION
    assert metadata.pixel_size_m == 5.2e-8
    assert metadata.dwell_time_s == 1e-6
    assert metadata.acquired_at is not None and metadata.acquired_at.timestamp() == TIMESTAMP
    assert metadata.stage_position is not None
    assert (metadata.stage_position.z_m, metadata.stage_position.t_rad) == (5e-3, 0.2)
    assert metadata.beam is not None
    assert (metadata.beam.beam_current_a, metadata.beam.working_distance_m) == (2e-11, 0.0165)
    assert (metadata.beam.shift.y_m, metadata.beam.stigmation_x) == (-2e-7, 0.0)
    assert metadata.detector is not None and metadata.detector.contrast_fraction == 0.9
    if version not in ("v0", "v1"):
        assert metadata.instrument is not None and metadata.instrument.model == "Aquilos"


def test_unknown_keys_of_a_newer_version_are_kept(tmp_path: Path) -> None:
    metadata = read_image(_write_json(tmp_path / "theirs.tif", VERSIONS["v8"])).metadata
    assert '"unheard_of": 1' in metadata.extra["fibsemOS"]


def test_the_pixel_size_is_derived_from_the_field_width_of_the_full_frame(tmp_path: Path) -> None:
    tree = V6 | {
        "pixel_size": None,
        "image": REQUEST | {"reduced_area": {"left": 0, "top": 0, "width": 0.5, "height": 1}},
    }
    assert read_image(_write_json(tmp_path / "a.tif", tree)).metadata.pixel_size_m == pytest.approx(8e-5 / 1536)


def test_a_local_time_of_a_thermo_file_stays_without_zone(tmp_path: Path) -> None:
    tree = V6 | {"microscope_state": STATE | {"timestamp": "07/16/2026 11:07:27"}}
    assert read_image(_write_json(tmp_path / "a.tif", tree)).metadata.acquired_at == datetime(2026, 7, 16, 11, 7, 27)


@pytest.mark.parametrize("missing", ["x", "r", "t"])
def test_an_incomplete_pose_is_unknown_not_zero(tmp_path: Path, missing: str) -> None:
    tree = V6 | {"microscope_state": STATE | {"stage_position": {k: v for k, v in STAGE.items() if k != missing}}}
    assert read_image(_write_json(tmp_path / "a.tif", tree)).metadata.stage_position is None


@pytest.mark.parametrize("text", ["{}", "[1]", "null", '{"shape": [64, 96]}', "plain words", '{"image": ', "[" * 5000])
def test_a_strange_description_is_no_metadata_and_no_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 96), np.uint8), description=text, metadata=None, photometric="minisblack")
    metadata = read_image(path).metadata
    assert metadata.pixel_size_m is None and metadata.beam_type is None


def test_real_thermo_ion_image() -> None:
    image = read_image(data_folder("vendor_tiff", "thermo_ion_hfw80um.tif"))
    metadata = image.metadata
    assert image.shape == (1024, 1536) and image.data.dtype == np.uint8
    assert metadata.beam_type is BeamType.ION
    assert image.pixel_size_m == pytest.approx(80e-6 / 1536, rel=1e-5)
    assert metadata.dwell_time_s == 1e-6
    assert metadata.acquired_at == datetime(2022, 7, 19, 11, 41, 20)
    assert metadata.stage_position is not None
    assert (metadata.stage_position.r_rad, metadata.stage_position.t_rad) == (-2.25142, 0.43633)
    assert metadata.stage_position.z_m == pytest.approx(0.00411488)
    assert metadata.beam is not None
    assert (metadata.beam.voltage_v, metadata.beam.beam_current_a, metadata.beam.working_distance_m) == (
        3e4,
        2e-11,
        0.0165,
    )
    assert metadata.detector is not None and metadata.detector.contrast_fraction == pytest.approx(0.953492)
    assert metadata.instrument is not None and metadata.instrument.model == "Helios G4 PFIB UNSPE"


def test_real_thermo_electron_image() -> None:
    image = read_image(data_folder("vendor_tiff", "thermo_electron_hfw150um.tif"))
    assert image.metadata.beam_type is BeamType.ELECTRON
    assert image.pixel_size_m == pytest.approx(150e-6 / 1536, rel=1e-5)
    assert image.metadata.acquired_at == datetime(2021, 4, 21, 17, 1, 6)


def test_a_thermo_image_survives_our_own_format(tmp_path: Path) -> None:
    image = read_image(data_folder("vendor_tiff", "thermo_ion_hfw80um.tif"))
    write_image(tmp_path / "ours.tif", image)
    assert read_image(tmp_path / "ours.tif").metadata == image.metadata


def test_an_undeclared_data_bar_is_cut_off(tmp_path: Path) -> None:
    """Scios writes 1092 rows and DatabarHeight 0; only ResolutionY tells the truth (vendor-image-metadata.md)."""
    ini = "[Beam]\r\nBeam=EBeam\r\n[Image]\r\nResolutionX=48\r\nResolutionY=32\r\n[Scan]\r\nPixelWidth=2e-007\r\n\0"
    path = tmp_path / "scios.tif"
    data = np.vstack([np.full((32, 48), 9, np.uint8), np.full((4, 48), 255, np.uint8)])
    tifffile.imwrite(path, data, metadata=None, photometric="minisblack", extratags=[(34682, "s", 0, ini, True)])
    image = read_image(path)
    assert image.shape == (32, 48) and int(image.data.max()) == 9
    assert image.pixel_size_m == 2e-7


def test_plain_gray_images_have_no_metres(tmp_path: Path) -> None:
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, np.arange(600, dtype=np.uint16).reshape(20, 30), metadata=None)
    image = read_image(path)
    assert image.data.dtype == np.uint16
    with pytest.raises(ImageFileError, match="no pixel size"):
        _ = image.pixel_size_m


def test_equal_colour_channels_are_gray(tmp_path: Path) -> None:
    gray = np.arange(64, dtype=np.uint8).reshape(8, 8)
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([gray] * 3, axis=-1), photometric="rgb", metadata=None)
    assert np.array_equal(read_image(tmp_path / "rgb.tif").data, gray)


def _colour(path: Path) -> None:
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8), photometric="rgb")


def _floats(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((8, 8), np.float32))


def _stack(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((3, 8, 8), np.uint8), photometric="minisblack")


def _truncated(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path: Path) -> None:
    path.touch()


def _text_file(path: Path) -> None:
    path.write_text("not an image")


def _folder(path: Path) -> None:
    path.mkdir()


def _absent(path: Path) -> None:
    assert not path.exists()


def _huge_claim(path: Path) -> None:
    """Claim 60000 x 60000 pixels in a file of a few bytes."""
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tags = tif.pages.first.tags
        tags["ImageWidth"].overwrite(60000)
        tags["ImageLength"].overwrite(60000)
        tags["RowsPerStrip"].overwrite(60000)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_colour, "is in colour"),
        (_floats, "8-bit or 16-bit|uint8 or uint16"),
        (_stack, "holds 3 images|2-D"),
        (_truncated, "is cut off"),
        (_empty, "not a TIFF"),
        (_text_file, "not a TIFF"),
        (_folder, "Is a directory"),
        (_absent, "No such file"),
        (_huge_claim, "the limit is"),
    ],
)
def test_an_unusable_file_is_one_clear_line(tmp_path: Path, make: Any, reason: str) -> None:
    path = tmp_path / "frame.tif"
    make(path)
    with pytest.raises(ImageFileError, match=reason) as caught:
        read_image(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
