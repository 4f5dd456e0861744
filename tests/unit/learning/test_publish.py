"""A published model opens, carries its hashes, its calibration and its measured error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from class_maps import LAMELLA, box, empty, gray
from pytest_mock import MockerFixture

from fibsem_runtime.core import Image, ImageMetadata, PixelPoint
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.detection import EngineSettings, open_detector
from fibsem_runtime.learning.dataset import CLASSES, Sample
from fibsem_runtime.learning.network import DecoderWidths, SegmentationNetwork
from fibsem_runtime.learning.publish import ModelCard, calibrate, measure, publish, read_card

CARD = ModelCard(name="tiny", version="1", description="A test.", recipe="none", licence="MIT", training_data=())


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    made = []
    for shift in (0, 60):
        classes = box(empty(), LAMELLA, 300 + shift, 200, 420 + shift, 260)
        points = {"LamellaCentre": PixelPoint(360 + shift, 230)}
        made.append(Sample(f"s{shift}", Image(gray(classes), ImageMetadata()), classes, points))
    return made


def test_a_published_model_opens_in_both_precisions_and_remembers_its_error(
    samples: list[Sample], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = SegmentationNetwork(len(CLASSES), DecoderWidths(pyramid_count=8, fine_count=8)).eval()
    folder = tmp_path / "tiny"
    publish(network, folder, CARD, quantisation=samples[:1])
    whole, small = (open_detector(folder, EngineSettings(precision=p)) for p in ("fp32", "int8"))
    image = samples[0].image
    agreement = np.mean(whole.segment(image).classes == small.segment(image).classes)
    assert agreement > 0.9 and (folder / "model-int8.onnx").stat().st_size < (folder / "model.onnx").stat().st_size
    manifest = measure(folder, samples, data="drawn")
    assert {m.precision for m in manifest.measured} == {"fp32", "int8"}
    assert manifest.measured[0].features["LamellaCentre"].images == 2
    row = manifest.measured[0].features["LamellaCentre"]
    assert row.far + row.good <= len(samples) and row.gated_far <= row.far
    assert measure(folder, samples, data="drawn") == manifest, "measuring again replaces"


def test_calibration_is_written_into_the_manifest(samples: list[Sample], tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = SegmentationNetwork(len(CLASSES), DecoderWidths(pyramid_count=8, fine_count=8)).eval()
    # A network that calls everything a lamella is right where the lamella fills the copy and wrong elsewhere.
    with torch.no_grad():
        bias = network.classifier.bias
        assert bias is not None
        bias[LAMELLA] = 50.0
    folder = tmp_path / "tiny"
    publish(network, folder, CARD, quantisation=[])
    assert not (folder / "model-int8.onnx").exists()
    filled = box(empty(), LAMELLA, 40, 30, 728, 482)
    everywhere = Sample("filled", Image(gray(filled), ImageMetadata()), filled, {"LamellaCentre": PixelPoint(384, 256)})
    judged = open_detector(folder, EngineSettings())
    manifest = calibrate(folder, judged, [*samples, *[everywhere] * 8], [], seed=1)
    assert "LamellaCentre" in manifest.calibration
    assert open_detector(folder, EngineSettings()).manifest.calibration == manifest.calibration


def test_many_simulated_frames_count_as_the_few_real_images_do(
    samples: list[Sample], tmp_path: Path, mocker: MockerFixture
) -> None:
    gather = mocker.patch("fibsem_runtime.learning.publish.gather_verdicts", return_value=[])
    fit = mocker.patch("fibsem_runtime.learning.publish.fit_calibration", side_effect=RuntimeError)
    with pytest.raises(RuntimeError):
        calibrate(tmp_path, mocker.MagicMock(), samples[:1], samples[:1] * 4, seed=1)
    judged = [len(call.args[1]) * call.kwargs["copies"] for call in gather.call_args_list]
    assert judged[0] == judged[1] > 0 and fit.call_count == 1


def test_a_broken_card_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_text("name: a\ncolour: red\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no model card") as caught:
        read_card(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        read_card(tmp_path / "absent.yaml")
