"""The network has the promised shapes, learns, and is the same after export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from class_maps import LAMELLA, box, empty, gray
from torch import nn

from fibsem_runtime.core import Image, ImageMetadata
from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.detection.engine import EngineFile, InferenceEngine
from fibsem_runtime.detection.manifest import InputSpec, Manifest, ModelFile, sha256_of
from fibsem_runtime.detection.preparation import fit_image, place_image
from fibsem_runtime.detection.providers import ProviderRequest
from fibsem_runtime.learning.augment import View
from fibsem_runtime.learning.batches import BatchShape, Source
from fibsem_runtime.learning.export import DeployedNetwork, export_onnx
from fibsem_runtime.learning.loss import segmentation_loss
from fibsem_runtime.learning.network import DecoderWidths, SegmentationNetwork, load_imagenet_encoder
from fibsem_runtime.learning.train import Progress, Recipe, standardise, train

SMALL = DecoderWidths(pyramid_count=8, fine_count=8)


@pytest.fixture(scope="module")
def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    return SegmentationNetwork(6, SMALL).eval()


def test_logits_have_half_the_size_of_the_input(network: SegmentationNetwork) -> None:
    assert network(torch.zeros(2, 1, 64, 96)).shape == (2, 6, 32, 48)


def test_contrast_and_brightness_of_the_whole_image_do_not_matter() -> None:
    pixels = torch.randint(40, 120, (1, 32, 32), dtype=torch.uint8)
    brighter = (pixels.int() * 2 + 10).to(torch.uint8)
    assert torch.allclose(standardise(pixels), standardise(brighter), atol=1e-4)
    assert standardise(torch.full((1, 8, 8), 7, dtype=torch.uint8)).abs().max() == 0


def test_the_encoder_keeps_its_statistics_while_it_learns(network: SegmentationNetwork) -> None:
    network.train()
    norms = [m for m in network.encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms)
    network.eval()


def test_imagenet_weights_of_another_network_are_refused(network: SegmentationNetwork, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, path)
    with pytest.raises(ModelError, match="EfficientNet-lite0"):
        load_imagenet_encoder(network, path)


def test_colour_weights_become_gray_ones(network: SegmentationNetwork) -> None:
    state = dict(network.encoder.state_dict())
    colour = torch.rand(32, 3, 3, 3)
    other = SegmentationNetwork(6, SMALL)
    other.encoder.load_pretrained(state | {"_conv_stem.weight": colour, "_fc.weight": torch.zeros(3)})
    assert torch.allclose(other.encoder.state_dict()["_conv_stem.weight"][:, 0], 0.5 * colour.sum(1))


def test_the_loss_falls_from_wrong_to_right() -> None:
    labels = torch.zeros(1, 16, 16, dtype=torch.long)
    labels[:, :8] = 1
    right = torch.zeros(1, 6, 8, 8)
    right[:, 0, 4:], right[:, 1, :4] = 8.0, 8.0
    wrong = right.flip(2)
    assert segmentation_loss(right, labels) < 0.5 < 2 < segmentation_loss(wrong, labels)
    assert torch.isfinite(segmentation_loss(right, torch.zeros_like(labels)))


def test_two_trainings_of_one_recipe_give_the_same_weights() -> None:
    classes = box(empty(), LAMELLA, 300, 200, 450, 260)
    sources = [Source([View(gray(classes), classes)], 1.0)]
    told: list[Progress] = []
    recipe = Recipe(step_count=2, warm_up_count=1)
    shape = BatchShape(width_px=96, height_px=64, view_count=2, share_fraction=1.0, zoom_range_ratio=(0.5, 1.0))
    first = train(sources, recipe, shapes=[shape], watch=lambda progress, _: told.append(progress))
    second = train(sources, recipe, shapes=[shape])
    assert [p.step for p in told] == [1, 2] and all(np.isfinite(p.loss_score) for p in told)
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_exported_graph_gives_the_masks_of_pytorch(network: SegmentationNetwork, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(network, path, width_px=128, height_px=64)
    manifest = Manifest(
        name="small",
        version="1",
        description="",
        files={"fp32": ModelFile(file=path.name, sha256=sha256_of(path))},
        classes=list("abcdef"),
        input=InputSpec(width_px=128, height_px=64),
        features=["LamellaCentre"],
        licence="MIT",
    )
    file = EngineFile(path=path, precision="fp32", sha256=manifest.files["fp32"].sha256)
    request = ProviderRequest(wanted=("cpu",), allow_fallback=False)
    engine = InferenceEngine(lambda _provider: file, manifest, request, threads=1)
    pixels = np.random.default_rng(1).integers(0, 255, (64, 128)).astype(np.uint8)
    place_image(Image(pixels, ImageMetadata()), fit_image((64, 128), (64, 128)), engine.input_pixels)
    found = engine.run()
    with torch.no_grad():
        classes, confidence = DeployedNetwork(network)(torch.from_numpy(pixels)[None, None])
    assert np.mean(found.classes == classes[0].numpy()) >= 0.9999
    assert np.abs(found.confidence.astype(int) - confidence[0].numpy().astype(int)).max() <= 1


class OneAnswer(nn.Module):
    """A network that sees one class in a large image and another in its half."""

    def __init__(self, whole: int, half: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(6, 6, 1, bias=False)
        self.classifier.weight.data = torch.eye(6)[..., None, None]
        self.answers = {32: whole, 16: half}

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return sure features of the class for this size."""
        seen = torch.zeros(1, 6, x.shape[2] // 2, x.shape[3] // 2)
        seen[:, self.answers[int(x.shape[2]) // 2]] = 8.0
        return seen


@pytest.mark.parametrize(("whole", "half", "found"), [(2, 2, 2), (1, 0, 1), (0, 1, None), (3, 2, None)])
def test_two_looks_agree_or_confidence_falls_and_only_a_lamella_needs_one(
    whole: int, half: int, found: int | None
) -> None:
    deployed = DeployedNetwork(OneAnswer(whole, half))  # type: ignore[arg-type]
    classes, confidence = deployed(torch.zeros(1, 1, 64, 64, dtype=torch.uint8))
    assert (confidence.float().mean() / 255 > 0.95) == (whole == half)
    assert confidence.float().mean() / 255 > 0.49
    assert found is None or bool((classes == found).all())
