"""A foreign model becomes a model folder whose masks are the original's, or nothing at all."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from checkpoints import trained_like, write_checkpoint
from onnx import TensorProto, helper
from pytest_mock import MockerFixture

from fibsem_runtime.core import Image, ImageMetadata
from fibsem_runtime.core.errors import ConfigError, ModelError
from fibsem_runtime.detection import EngineSettings, Manifest, open_detector
from fibsem_runtime.learning import importing
from fibsem_runtime.learning.foreign import Frame
from fibsem_runtime.learning.importing import ImportRequest, import_model
from fibsem_runtime.learning.unet import UNet

WIDTH, HEIGHT = 96, 64
pytestmark = pytest.mark.usefixtures("slim_unet")


@pytest.fixture(scope="module")
def images() -> list[tuple[str, Image]]:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 255, (4, 8, 12)).astype(np.uint8)
    return [(f"i{n}", Image(np.kron(c, np.ones((8, 8), np.uint8)), ImageMetadata())) for n, c in enumerate(coarse)]


def request(**changes: Any) -> ImportRequest:
    facts: dict[str, Any] = {
        "name": "mine",
        "licence": "MIT",
        "frame": Frame(width_px=WIDTH, height_px=HEIGHT),
        "thread_count": 1,
    }
    return ImportRequest(**facts | changes)


def bring_in(source: Path, models: Path, images: Any, **changes: Any) -> Manifest:
    return import_model(source, models, request(**changes), images, watch=lambda *_: None)


def masks_of_peer(network: UNet, image: Image, divisor: float) -> Any:
    with torch.no_grad():
        gray = torch.from_numpy(image.data.astype(np.float32) / np.float32(divisor))
        return network(gray[None, None]).softmax(1).argmax(1)[0].numpy()


@pytest.mark.parametrize(("level", "divisor", "contrast"), [(0.5, 255, "divided by 255"), (127.0, 1, "as they are")])
def test_an_imported_checkpoint_gives_the_masks_of_the_peers_own_path(
    images: Any, tmp_path: Path, level: float, divisor: float, contrast: str
) -> None:
    network = trained_like(level=level)
    source = write_checkpoint(tmp_path / "m.pt", network)
    manifest = bring_in(source, tmp_path / "models", images)
    detector = open_detector(tmp_path / "models" / "mine", EngineSettings(thread_count=1))
    for _, image in images:
        expected = masks_of_peer(network, image, divisor)
        assert np.unique(expected).size > 1, "the comparison is one of mixed masks"
        assert np.mean(detector.segment(image).classes == expected) >= 0.9999
    origin = manifest.origin
    assert origin is not None and contrast in manifest.input.contrast
    assert origin.parity.pixel_agreement_fraction >= 0.9999
    assert 0 < origin.parity.largest_logit_difference_score < 1e-3
    assert origin.parity.images == [name for name, _ in images]
    assert manifest.classes[1] == "lamella" and "NeedleTip" in manifest.features


def test_confidence_is_the_softmax_share_of_the_winner(images: Any, tmp_path: Path) -> None:
    network = trained_like(level=0.5)
    bring_in(write_checkpoint(tmp_path / "m.pt", network), tmp_path / "models", images)
    detector = open_detector(tmp_path / "models" / "mine", EngineSettings(thread_count=1))
    image = images[0][1]
    with torch.no_grad():
        share = network(torch.from_numpy(image.data.astype(np.float32) / 255)[None, None]).softmax(1).amax(1)[0]
    found = detector.segment(image).confidence.astype(float)
    assert np.abs(found - 255 * share.numpy()).max() <= 1


@pytest.mark.parametrize(("class_count", "last"), [(3, "manipulator"), (5, "copper_adaptor")])
def test_models_with_fewer_classes_have_the_first_ones(
    images: Any, tmp_path: Path, class_count: int, last: str
) -> None:
    network = trained_like(level=0.5, class_count=class_count)
    manifest = bring_in(write_checkpoint(tmp_path / "m.pt", network), tmp_path / "models", images[:1])
    assert manifest.classes[-1] == last
    assert not any(name.startswith("VolumeBlock") for name in manifest.features)


def test_another_number_of_classes_needs_names(images: Any, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "m.pt", trained_like(level=0.5, class_count=2))
    with pytest.raises(ModelError, match=r"2 classes apart.*--classes"):
        bring_in(source, tmp_path / "models", images[:1])
    manifest = bring_in(source, tmp_path / "models", images[:1], class_names=("background", "lamella"))
    assert manifest.classes == ["background", "lamella"]


def test_a_conversion_that_does_not_agree_leaves_nothing_behind(
    images: Any, tmp_path: Path, mocker: MockerFixture
) -> None:
    source = write_checkpoint(tmp_path / "m.pt", trained_like(level=0.5))
    real = importing.write_deployed
    mocker.patch.object(
        importing, "write_deployed", lambda graph, path, *, scaling, **more: real(graph, path, scaling="raw", **more)
    )
    with pytest.raises(ModelError, match=r"99\.99%.*nothing was imported"):
        bring_in(source, tmp_path / "models", images)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_taken_name_is_refused_and_the_model_kept(images: Any, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "m.pt", trained_like(level=0.5))
    first = bring_in(source, tmp_path / "models", images[:1])
    with pytest.raises(ConfigError, match="there is a model 'mine'"):
        bring_in(source, tmp_path / "models", images[:1])
    assert open_detector(tmp_path / "models" / "mine", EngineSettings()).manifest == first


def export(network: UNet, path: Path, *, opset: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 1, *size),),
            str(path),
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
            opset_version=opset,
            dynamo=False,
        )
    return path


@pytest.mark.parametrize("opset", [13, 18])
def test_an_export_of_the_peer_is_imported_with_its_own_size(images: Any, tmp_path: Path, opset: int) -> None:
    network = trained_like(level=0.5)
    source = export(network, tmp_path / "peer.onnx", opset=opset)
    manifest = bring_in(source, tmp_path / "models", images, frame=Frame(width_px=32, height_px=32))
    assert (manifest.input.width_px, manifest.input.height_px) == (WIDTH, HEIGHT)
    detector = open_detector(tmp_path / "models" / "mine", EngineSettings(thread_count=1))
    expected = masks_of_peer(network, images[0][1], 255)
    assert np.mean(detector.segment(images[0][1]).classes == expected) >= 0.9999


def _graph(shape_in: list[int], shape_out: list[int], opset: int = 17) -> onnx.ModelProto:
    node = helper.make_node("Identity", ["input"], ["output"])
    gray = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape_in)
    logits = helper.make_tensor_value_info("output", TensorProto.FLOAT, shape_out)
    graph = helper.make_graph([node], "g", [gray], [logits])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (_graph([1, 3, 64, 96], [1, 3, 64, 96]), "one gray image"),
        (_graph([1, 1, 60, 96], [1, 6, 60, 96]), "multiples of 32"),
        (_graph([1, 1, 64, 96], [1, 6, 16, 24]), "one gray image"),
        (_graph([1, 1, 64, 96], [1, 6, 64, 96], 11), "version 11"),
    ],
)
def test_a_graph_of_another_form_is_refused_with_its_shapes(
    tmp_path: Path, images: Any, model: onnx.ModelProto, message: str
) -> None:
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=message):
        bring_in(tmp_path / "x.onnx", tmp_path / "models", images)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x09", b"PK\x03\x04rest", b"\x80\x04nonsense"])
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path, images: Any, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        bring_in(tmp_path / "x", tmp_path / "models", images)
    assert "\n" not in str(caught.value)


def test_a_size_that_networks_cannot_take_is_refused() -> None:
    with pytest.raises(ModelError, match="multiples of 32, not 100x64"):
        Frame(width_px=100, height_px=64)
