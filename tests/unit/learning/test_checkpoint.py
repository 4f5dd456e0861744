"""Foreign checkpoints: read as what they are, refused in one line when they are something else, never run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import RunsCommand, trained_like, write_checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.learning.checkpoint import read_checkpoint
from fibsem_runtime.learning.unet import UNet

pytestmark = pytest.mark.usefixtures("slim_unet")


@pytest.fixture
def unit(slim_unet: None) -> UNet:
    return trained_like(level=0.4)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        read_checkpoint(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_checkpoint_of_the_peer_is_read_with_its_encoder_and_classes(unit: UNet, tmp_path: Path) -> None:
    found = read_checkpoint(write_checkpoint(tmp_path / "m.pt", unit))
    assert (found.encoder, found.class_count, found.is_legacy) == ("resnet18", 6, False)
    image = torch.rand(1, 1, 64, 96)
    with torch.no_grad():
        assert torch.equal(found.network(image), unit(image))


@pytest.mark.parametrize(("encoder", "class_count"), [("resnet34", 5), ("resnet50", 3)])
def test_a_bare_state_dict_shows_its_encoder_by_its_shapes(encoder: str, class_count: int, tmp_path: Path) -> None:
    torch.save(trained_like(level=0.4, encoder=encoder, class_count=class_count).state_dict(), tmp_path / "old.pt")
    found = read_checkpoint(tmp_path / "old.pt")
    assert (found.encoder, found.class_count, found.is_legacy) == (encoder, class_count, True)


@pytest.mark.parametrize(("level", "scaling"), [(0.4, "unit"), (0.05, "unit"), (102.0, "raw"), (9.0, "raw")])
def test_what_the_first_normalisation_remembers_decides_the_scaling_whatever_the_name(
    level: float, scaling: str, tmp_path: Path
) -> None:
    network = trained_like(level=level)
    for name in ("autolamella-04-34", "mine"):
        torch.save(network.state_dict(), tmp_path / f"{name}.pt")
        found = read_checkpoint(tmp_path / f"{name}.pt")
        assert found.scaling == scaling and "remembers" in found.scaling_evidence


def test_a_published_name_decides_only_where_the_file_says_nothing(tmp_path: Path) -> None:
    silent = trained_like(level=0.0)
    torch.save(silent.state_dict(), tmp_path / "openfibsem-baseline-34.pt")
    assert read_checkpoint(tmp_path / "openfibsem-baseline-34.pt").scaling == "raw"
    torch.save(silent.state_dict(), tmp_path / "mine.pt")
    assert "--scaling" in refusal(tmp_path / "mine.pt")
    assert read_checkpoint(tmp_path / "mine.pt", scaling="raw").scaling == "raw"
    assert read_checkpoint(write_checkpoint(tmp_path / "new.pt", silent)).scaling == "unit"


def test_a_pickle_that_would_run_code_is_refused_before_it_runs(unit: UNet, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    plain, inside = tmp_path / "plain.pt", tmp_path / "inside.pt"
    plain.write_bytes(pickle.dumps(RunsCommand(mark)))
    write_checkpoint(inside, unit, extra=RunsCommand(mark))
    for path in (plain, inside):
        assert "nothing of it was run" in refusal(path)
        assert not mark.exists()
    torch.load(inside, weights_only=False)
    assert mark.exists(), "the file does run code for a reader that lets it"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "resnet34"}, "says it is 'resnet34'"),
        ({"nc": 5}, "with 5 classes"),
        ({"checkpoint": {"a": 1}}, "no state dict"),
        ({"checkpoint": [1]}, "no state dict"),
        ({"checkpoint": {"encoder.conv1.weight": torch.zeros(1)}}, "no U-Net on a ResNet"),
    ],
)
def test_a_checkpoint_that_is_not_what_it_says_is_refused(
    unit: UNet, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    assert message in refusal(write_checkpoint(tmp_path / "m.pt", unit, **changes))


def test_weights_that_are_no_numbers_or_do_not_fit_are_named(unit: UNet, tmp_path: Path) -> None:
    state = dict(unit.state_dict())
    name = "decoder.blocks.0.conv1.0.weight"
    torch.save(state | {name: torch.full_like(state[name], torch.nan)}, tmp_path / "nan.pt")
    assert name in refusal(tmp_path / "nan.pt")
    torch.save(state | {name: state[name][:4]}, tmp_path / "small.pt")
    assert name in refusal(tmp_path / "small.pt")
    torch.save(state | {"more": torch.zeros(1)}, tmp_path / "more.pt")
    assert "more" in refusal(tmp_path / "more.pt")


def test_a_missing_file_and_another_kind_of_content_are_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "gone.pt")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    assert "holds a list" in refusal(tmp_path / "list.pt")


@settings(max_examples=60)
@given(data=st.data())
def test_damaged_checkpoints_are_refused_or_read_and_nothing_else(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    torch.save({"checkpoint": {"encoder.conv1.weight": torch.zeros(2)}, "encoder": "a", "nc": 3}, folder / "m.pt")
    content = bytearray((folder / "m.pt").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "m.pt").write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    refusal(folder / "m.pt")
