"""From image to features through a real ONNX session whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from class_maps import LAMELLA, POST, box, empty, gray, needle
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import FEATURES, write_level_model

from fibsem_runtime.core import Image, ImageMetadata, PixelPoint
from fibsem_runtime.core.errors import ConfigError, ImageFileError, ModelError
from fibsem_runtime.detection import Detector, EngineSettings, open_detector
from fibsem_runtime.detection.manifest import ModelFile, read_manifest, sha256_of, write_manifest
from fibsem_runtime.detection.preparation import fit_image, to_8_bit

EDGES = ("LamellaLeftEdge", "LamellaRightEdge", "LamellaTopEdge", "LamellaBottomEdge")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    models = tmp_path_factory.mktemp("models")
    write_level_model(models / "levels")
    return open_detector(models / "levels", EngineSettings(thread_count=1))


def image(data: NDArray[np.uint8] | NDArray[np.uint16], pixel_size_m: float | None = None) -> Image:
    return Image(data, ImageMetadata(pixel_size_m=pixel_size_m))


def scene() -> NDArray[np.uint8]:
    return box(box(needle(empty(), 200, 256), LAMELLA, 300, 236, 400, 276), POST, 500, 0, 768, 512)


def test_every_feature_of_a_scene_is_found_in_pixels_of_the_full_image(detector: Detector) -> None:
    found = detector.find(image(gray(scene(), 2)), FEATURES)
    centre = found["LamellaCentre"]
    assert centre.point == PixelPoint(700, 512)
    assert [found[edge].point for edge in EDGES] == [
        PixelPoint(600, 512),
        PixelPoint(800, 512),
        PixelPoint(700, 472),
        PixelPoint(700, 552),
    ]
    assert found["LandingPost"].point == PixelPoint(1000, 512)
    assert found["VolumeBlockCentre"].point is None and found["VolumeBlockCentre"].confidence == 0
    assert [feature.name for feature in found.features] == list(FEATURES)
    assert np.array_equal(found.class_map, np.kron(scene(), np.ones((2, 2), np.uint8)))


def test_metres_come_from_the_pixel_size_of_the_image_and_from_nothing_else(detector: Detector) -> None:
    classes = gray(box(empty(), LAMELLA, 300, 236, 400, 276))
    known = detector.find(image(classes, 50e-9), ["LamellaCentre"])["LamellaCentre"]
    assert known.point_m is not None
    assert (known.point_m.x_m, known.point_m.y_m) == pytest.approx(((350 - 384) * 50e-9, 0), abs=1e-12)
    unknown = detector.find(image(classes), ["LamellaCentre"])["LamellaCentre"]
    assert unknown.point == known.point and unknown.point_m is None


def test_the_instance_follows_the_given_point(detector: Detector) -> None:
    classes = gray(box(box(empty(), LAMELLA, 100, 200, 200, 240), LAMELLA, 400, 230, 500, 270))
    found = detector.find(image(classes), ["LamellaCentre"], near=PixelPoint(120, 210))["LamellaCentre"]
    assert found.point == PixelPoint(150, 220) and found.rival_count == 1


@pytest.mark.parametrize("size", [(768, 512), (1075, 1024), (1536, 1024), (97, 83), (640, 1280), (6144, 4096)])
def test_any_size_and_aspect_ratio_gives_points_of_that_image(detector: Detector, size: tuple[int, int]) -> None:
    width_px, height_px = size
    left, right = round(0.3 * width_px), round(0.7 * width_px)
    top, bottom = round(0.3 * height_px), round(0.7 * height_px)
    data = np.full((height_px, width_px), 20, np.uint8)
    data[top:bottom, left:right] = 60
    found = detector.find(image(data), ["LamellaCentre"])
    centre = found["LamellaCentre"].point
    scale = max(width_px / 768, height_px / 512)
    assert centre is not None
    assert (centre.x_px, centre.y_px) == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=1.5 * scale + 0.5)
    assert found.class_map.shape == (height_px, width_px)


@pytest.mark.parametrize("size", [(1, 1), (63, 500), (20000, 20000), (100, 900)])
def test_a_size_without_sense_is_refused_with_the_limits(size: tuple[int, int]) -> None:
    with pytest.raises(ImageFileError, match=r"64 to 16384 px.*this one is"):
        fit_image((size[1], size[0]), (512, 768))


@given(width_px=st.integers(64, 5000), height_px=st.integers(64, 5000))
@settings(max_examples=100, deadline=None)
def test_the_fitted_image_fills_one_side_and_keeps_its_shape(width_px: int, height_px: int) -> None:
    if max(width_px, height_px) > 8 * min(width_px, height_px):
        return
    fit = fit_image((height_px, width_px), (512, 768))
    assert fit.width_px == 768 or fit.height_px == 512
    assert fit.width_px <= 768 and fit.height_px <= 512
    assert fit.x_scale_ratio == pytest.approx(fit.y_scale_ratio, rel=0.02)


@pytest.mark.parametrize("bit_depth", [10, 12, 16])
def test_16_bit_is_read_by_the_range_it_uses(bit_depth: int) -> None:
    ramp = np.linspace(0, 2**bit_depth - 1, 512 * 768).reshape(512, 768).astype(np.uint16)
    converted = to_8_bit(ramp)
    assert converted.dtype == np.uint8 and converted.min() == 0 and converted.max() == 255
    assert abs(float(converted.mean()) - 127.5) < 1


def test_a_hot_pixel_does_not_darken_a_16_bit_image() -> None:
    data = np.linspace(100, 900, 512 * 768).reshape(512, 768).astype(np.uint16)
    data[0, 0] = 65535
    assert float(to_8_bit(data).mean()) > 100


def test_a_flat_16_bit_image_stays_flat() -> None:
    assert np.unique(to_8_bit(np.full((100, 100), 7, np.uint16))).size == 1


def test_the_image_is_not_written_to(detector: Detector) -> None:
    data = gray(scene())
    data.setflags(write=False)
    detector.find(image(data), ["LamellaCentre"])


def test_two_images_after_each_other_do_not_share_their_maps(detector: Detector) -> None:
    first = detector.find(image(gray(box(empty(), LAMELLA, 300, 236, 400, 276))), ["LamellaCentre"])
    kept = first.class_map.copy()
    second = detector.find(image(gray(empty())), ["LamellaCentre"])
    assert np.array_equal(first.class_map, kept)
    assert second["LamellaCentre"].point is None


def test_padding_of_an_earlier_image_does_not_leak(detector: Detector) -> None:
    detector.find(image(gray(box(empty(), LAMELLA, 500, 100, 760, 500))), ["LamellaCentre"])
    tall = np.full((512, 300), 20, np.uint8)
    assert detector.find(image(tall), ["LamellaCentre"])["LamellaCentre"].point is None


def test_a_detection_names_its_model_provider_and_time(detector: Detector, tmp_path: Path) -> None:
    found = detector.find(image(gray(scene())), ["NeedleTip"])
    assert (found.model, found.provider) == ("levels", "cpu")
    assert found.model_sha256 == detector.manifest.files["fp32"].sha256
    assert found.latency_ms == pytest.approx(found.times.total_ms) and found.latency_ms > 0


def test_a_model_that_promises_a_feature_without_its_class_is_refused(tmp_path: Path) -> None:
    write_level_model(tmp_path / "few", classes=["background", "lamella"])
    with pytest.raises(ModelError, match=r"NeedleTip.*needs the class 'manipulator'"):
        open_detector(tmp_path / "few", EngineSettings())
    write_level_model(tmp_path / "odd", features=["TailOfTheNeedle"])
    with pytest.raises(ModelError, match="not in the table"):
        open_detector(tmp_path / "odd", EngineSettings())


def test_a_feature_that_is_not_promised_is_refused(detector: Detector) -> None:
    with pytest.raises(ConfigError, match="CopperAdapterCentre"):
        detector.find(image(gray(empty())), ["CopperAdapterCentre"])


def _rewrite(folder: Path, change: Callable[[Path], None]) -> None:
    change(folder / "model.onnx")
    manifest = read_manifest(folder)
    entry = ModelFile(file="model.onnx", sha256=sha256_of(folder / "model.onnx"))
    write_manifest(folder, manifest.model_copy(update={"files": {"fp32": entry}}))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def test_a_corrupt_model_is_one_line_even_if_its_hash_is_right(tmp_path: Path) -> None:
    folder = write_level_model(tmp_path / "corrupt")
    _rewrite(folder, _truncate)
    with pytest.raises(ModelError, match="cannot be opened") as caught:
        open_detector(tmp_path / "corrupt", EngineSettings())
    assert "\n" not in str(caught.value)


def test_a_graph_with_another_interface_is_refused_with_both(tmp_path: Path) -> None:
    folder = write_level_model(tmp_path / "other")

    def rename(path: Path) -> None:
        model = onnx.load(path)
        model.graph.output.pop()
        onnx.save(model, path)

    _rewrite(folder, rename)
    with pytest.raises(ModelError, match=r"'image' uint8.*export it again"):
        open_detector(tmp_path / "other", EngineSettings())
