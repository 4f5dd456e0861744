"""Images that cannot be right are refused in one line with an exit code; 16 bit is converted in a defined way."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from class_maps import LAMELLA, box, empty, gray
from commands import Answer, call
from tiny_models import write_level_model

Command = Callable[..., Answer]


@pytest.fixture
def detect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    write_level_model(tmp_path / "models" / "levels")
    (tmp_path / "c.yaml").write_text("model: {name: levels, folder: models}\n", encoding="utf-8")
    return lambda: call(monkeypatch, capsys, "detect", "x.tif", "--json", "--config", "c.yaml")


def refused(answer: Answer, exit_code: int = 4) -> str:
    assert (answer.exit_code, answer.stdout, len(answer.lines)) == (exit_code, "", 1), answer.stderr
    return answer.stderr


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colour_is_refused(detect: Command, tmp_path: Path, channels: int) -> None:
    colour = np.random.default_rng(0).integers(0, 255, (128, 128, channels)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", colour)
    assert "x.tif" in refused(detect())


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.5])
def test_floating_point_is_refused_with_or_without_numbers_in_it(detect: Command, tmp_path: Path, value: float) -> None:
    pixels = np.full((128, 128), 0.5, np.float32)
    pixels[5, 5] = value
    tifffile.imwrite(tmp_path / "x.tif", pixels)
    assert "float32" in refused(detect())


@pytest.mark.parametrize("shape", [(1, 1), (63, 128), (64, 600)])
def test_sizes_without_sense_are_refused_with_the_limits(
    detect: Command, tmp_path: Path, shape: tuple[int, int]
) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.zeros(shape, np.uint8))
    assert "64 to 16384 px" in refused(detect())


def test_an_image_of_20000_x_20000_is_refused_before_its_pixels_are_read(detect: Command, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((128, 128), np.uint8))
    content = bytearray((tmp_path / "x.tif").read_bytes())
    for tag in (256, 257):  # ImageWidth and ImageLength: tag, type 3 or 4, one value
        position = content.find(struct.pack("<H", tag) + b"\x04\x00\x01\x00\x00\x00")
        wide = position >= 0
        if not wide:
            position = content.find(struct.pack("<H", tag) + b"\x03\x00\x01\x00\x00\x00")
        content[position + 8 : position + 12] = struct.pack(
            "<I" if wide else "<HH", *((20000,) if wide else (20000, 0))
        )
    (tmp_path / "x.tif").write_bytes(bytes(content))
    assert "20000" in refused(detect())


def test_16_bit_gives_the_point_that_8_bit_gives(detect: Command, tmp_path: Path) -> None:
    classes = box(empty(), LAMELLA, 300, 200, 400, 260)
    # Class 6 does not exist and sets the upper end of the range; the lower one is the background.
    levels = gray(classes)
    levels[:4, :] = 255
    tifffile.imwrite(tmp_path / "x.tif", levels.astype(np.uint16) * 16)
    found = json.loads(detect().stdout)["images"][0]["features"]["LamellaCentre"]
    assert found["found"] and (found["x_px"], found["y_px"]) == pytest.approx((350, 230), abs=1)


def test_an_altered_and_a_corrupt_model_are_refused(detect: Command, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", gray(empty()))
    path = tmp_path / "models" / "levels" / "model.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole + b"\x00")
    assert "SHA-256" in refused(detect())
    path.unlink()
    assert "cannot be read" in refused(detect())
