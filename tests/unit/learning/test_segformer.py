"""SegFormer in plain PyTorch says what the library says that its checkpoints come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fibsem_runtime.core import Image, ImageMetadata
from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.learning.foreign import Frame
from fibsem_runtime.learning.importing import ImportRequest, import_model
from fibsem_runtime.learning.segformer import SegFormer, SegFormerConfig, read_segformer

CONFIG: dict[str, Any] = {
    "model_type": "segformer",
    "num_channels": 3,
    "num_encoder_blocks": 4,
    "hidden_act": "gelu",
    "depths": [1, 1, 2, 1],
    "hidden_sizes": [4, 8, 8, 16],
    "num_attention_heads": [1, 2, 2, 4],
    "sr_ratios": [8, 4, 2, 1],
    "mlp_ratios": [2, 2, 2, 2],
    "patch_sizes": [7, 3, 3, 3],
    "strides": [4, 2, 2, 2],
    "decoder_hidden_size": 8,
    "layer_norm_eps": 1e-6,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
}
EXPECTED = """
-0.41749 -0.39488 -0.3874  -0.40508 -0.37323 -0.38068 -0.40489 -0.37646 -0.37107 -0.39607 -0.40073 -0.38863
 0.15649  0.18335  0.1922   0.17118  0.21034  0.2002   0.17141  0.20523  0.21234  0.18186  0.18758  0.19678
 0.52792  0.55757  0.5673   0.54408  0.58842  0.57615  0.54433  0.58171  0.59016  0.55585  0.57164  0.57743
"""
"""Logits of transformers 5.24.0, ``SegformerForSemanticSegmentation``, for the weights and the image made below; every
fifth row and eighth column of 16 x 24."""


def formula_state(network: SegFormer) -> dict[str, torch.Tensor]:
    """Return weights by a formula that another library can follow: sines, by the sorted order of the names."""
    state = {}
    for number, (name, value) in enumerate(sorted(network.state_dict().items())):
        if not value.is_floating_point():
            state[name] = value
            continue
        angles = torch.arange(value.numel(), dtype=torch.float64) * (1.0 + 0.1 * number) + number
        made = torch.sin(angles).reshape(value.shape).float() * 0.5
        state[name] = made.abs() + 0.5 if "running_var" in name else made
    return state


def write_folder(folder: Path, **processor: Any) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
    save_file(formula_state(SegFormer(SegFormerConfig.model_validate(CONFIG))), folder / "model.safetensors")
    return folder


def test_the_logits_are_those_of_the_library(tmp_path: Path) -> None:
    network = read_segformer(write_folder(tmp_path / "m"), width_px=96, height_px=64).network
    gray = (torch.arange(64 * 96) * 7 % 251).reshape(1, 1, 64, 96).float() / 255
    mean, deviation = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        logits = network((gray.expand(-1, 3, -1, -1) - mean) / deviation)
    assert logits.shape == (1, 3, 16, 24)
    expected = np.array(EXPECTED.split(), dtype=np.float64).reshape(3, 4, 3)
    assert np.abs(logits[0, :, ::5, ::8].numpy() - expected).max() < 2e-5


def test_a_folder_is_imported_with_the_size_its_processor_names(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "m", size={"height": 64, "width": 64})
    rng = np.random.default_rng(0)
    image = Image(np.kron(rng.integers(0, 255, (8, 12)).astype(np.uint8), np.ones((8, 8), np.uint8)), ImageMetadata())
    request = ImportRequest(name="seg", licence="MIT", frame=Frame(width_px=96, height_px=64), thread_count=1)
    manifest = import_model(source, tmp_path / "models", request, [("a", image)], watch=lambda *_: None)
    assert manifest.origin is not None and manifest.origin.format == "SegFormer of Hugging Face"
    assert manifest.origin.parity.pixel_agreement_fraction >= 0.9999
    assert manifest.classes == ["background", "lamella", "manipulator"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", b"{", "not JSON"),
        ("config.json", b"{}", "model_type"),
        ("config.json", json.dumps(CONFIG | {"decoder_hidden_size": 16}).encode(), "does not hold the weights"),
        ("preprocessor_config.json", b'{"size": 3}', "size"),
        ("model.safetensors", b"\xff" * 64, "does not hold the weights"),
    ],
)
def test_an_incomplete_or_other_folder_is_one_line(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    folder = write_folder(tmp_path / "m")
    (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_segformer(folder, width_px=96, height_px=64)
    assert "\n" not in str(caught.value)
    (folder / file).unlink()
    with pytest.raises(ModelError):
        read_segformer(folder, width_px=96, height_px=64)
