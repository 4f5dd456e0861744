"""What makes a model faster is kept only when its masks agree, and the manifest says what was measured."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from checkpoints import trained_like, write_checkpoint
from pytest_mock import MockerFixture

from fibsem_runtime.core import Image, ImageMetadata
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.detection import EngineSettings, open_detector, read_manifest, variants
from fibsem_runtime.detection.manifest import Measurement, write_manifest
from fibsem_runtime.detection.variants import OptimiseRequest, optimise_model
from fibsem_runtime.learning import unet
from fibsem_runtime.learning.foreign import Frame
from fibsem_runtime.learning.importing import ImportRequest, import_model


def images() -> list[Image]:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 255, (4, 8, 12)).astype(np.uint8)
    return [Image(np.kron(c, np.ones((8, 8), np.uint8)), ImageMetadata()) for c in coarse]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("imported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unet, "_WIDTHS", (8, 8, 16, 16))
        patch.setattr(unet, "_DECODER_WIDTHS", (16, 8, 8, 8, 8))
        source = write_checkpoint(folder / "m.pt", trained_like(level=0.5))
        request = ImportRequest(name="m", licence="MIT", frame=Frame(width_px=96, height_px=64), thread_count=1)
        import_model(source, folder, request, [("a", images()[0])], watch=lambda *_: None)
    yield folder / "m"


@pytest.fixture
def model(imported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(imported, tmp_path / "m"))


def optimise(folder: Path, **changes: Any) -> dict[str, Any]:
    request = OptimiseRequest(**{"thread_count": 1, "run_count": 1} | changes)
    manifest = optimise_model(folder, images(), request, watch=lambda *_: None)
    assert read_manifest(folder) == manifest
    assert not list(folder.glob(".optimise-*"))
    return {variant.precision: variant for variant in manifest.variants}


def test_what_agrees_and_is_faster_is_kept_and_opens(model: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(variants, "time_both_ms", return_value=(9.0, 3.0))
    made = optimise(model, threshold_fraction=0.5)
    assert made["int8"].is_kept and made["int8"].speed_up_ratio == pytest.approx(3.0)
    assert (made["int8"].calibration_images, made["int8"].compared_images) == (2, 2)
    assert made["fp16"].is_kept and made["fp16"].speed_up_ratio is None and "needs cuda" in made["fp16"].reason
    detector = open_detector(model, EngineSettings(thread_count=1))
    assert detector.precision == "int8"
    whole = open_detector(model, EngineSettings(precision="fp32", thread_count=1))
    share = np.mean(detector.segment(images()[1]).classes == whole.segment(images()[1]).classes)
    assert share >= 0.5


def test_masks_that_change_too_much_and_speed_that_is_none_are_left_out(model: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(variants, "time_both_ms", return_value=(9.0, 3.0))
    optimise(model, threshold_fraction=0.5)
    mocker.patch.object(variants, "time_both_ms", return_value=(9.0, 9.0))
    made = optimise(model, threshold_fraction=0.5)
    assert not made["int8"].is_kept and "no faster" in made["int8"].reason
    # Noise of 8 bit moves at least one of 12288 pixels between classes that are nearly equal.
    mocker.patch.object(variants, "time_both_ms", return_value=(9.0, 3.0))
    made = optimise(model, threshold_fraction=1.0)
    assert not made["int8"].is_kept and "too many pixels" in made["int8"].reason
    assert made["int8"].agreement_fraction < 1 == made["int8"].threshold_fraction
    assert "int8" not in read_manifest(model).files and not (model / "model-int8.onnx").exists()


def test_a_cleaned_graph_gives_the_same_masks_with_fewer_nodes(model: Path) -> None:
    before = len(onnx.load(model / "model.onnx").graph.node)
    made = optimise(model, threshold_fraction=0.5)
    after = len(onnx.load(model / "model.onnx").graph.node)
    assert made["fp32"].agreement_fraction == 1
    assert (after < before) == made["fp32"].is_kept
    assert open_detector(model, EngineSettings(precision="fp32")).precision == "fp32"


def test_what_was_measured_on_a_replaced_file_is_forgotten(model: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(variants, "time_both_ms", return_value=(9.0, 3.0))
    optimise(model, threshold_fraction=0.5)
    manifest = read_manifest(model)
    measured = [Measurement(data="d", images=1, precision=p) for p in ("fp32", "int8")]
    write_manifest(model, manifest.model_copy(update={"measured": measured}))
    mocker.patch.object(variants, "time_both_ms", return_value=(9.0, 9.0))
    optimise(model, threshold_fraction=0.5)
    assert [m.precision for m in read_manifest(model).measured] == ["fp32"]


def test_one_image_cannot_both_calibrate_and_compare(model: Path) -> None:
    with pytest.raises(ConfigError, match="at least 2 images"):
        optimise_model(model, images()[:1], OptimiseRequest(), watch=lambda *_: None)
