"""The recipe leaves whole series out at first, goes on from stage to stage, and does not repeat what is done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from class_maps import LAMELLA, box, empty, gray

from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.learning.augment import View
from fibsem_runtime.learning.dataset import Sample
from fibsem_runtime.learning.material import Material, read_material
from fibsem_runtime.learning.reproduce import STAGES, Stage, load_network, run_stages
from fibsem_runtime.learning.train import Progress, Recipe

SITE_COUNT = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    (folder / "labels").mkdir()
    rng = np.random.default_rng(0)
    for index in range(SITE_COUNT):
        left = int(rng.integers(100, 500))
        classes = box(empty(), LAMELLA, left, 200, left + 100, 260)
        noisy = np.clip(gray(classes) + rng.normal(0, 40, classes.shape), 0, 255).astype(np.uint8)
        for name in (f"site{index}x_0_ib.tif", f"site{index}x_1_ib.tif"):
            tifffile.imwrite(folder / name, noisy)
            tifffile.imwrite(folder / "labels" / name, classes)
    return folder


@pytest.fixture(scope="module")
def material(folder: Path) -> Material:
    return read_material([folder], [folder])


def names(samples: list[Sample]) -> set[str]:
    return {sample.name for sample in samples}


def test_whole_series_are_left_out_and_always_the_same(folder: Path, material: Material) -> None:
    kept, left_out = names([*material.images]), names([*material.left_out_images])
    assert len(kept) + len(left_out) == 2 * SITE_COUNT and left_out
    assert {name.split("_")[0] for name in kept}.isdisjoint(name.split("_")[0] for name in left_out)
    assert names(list(read_material([folder], []).left_out_images)) == left_out
    assert names(list(material.left_out_frames)) == left_out, "frames are divided like images"


def test_only_a_last_stage_sees_what_is_left_out(material: Material) -> None:
    def view_count(everything: bool) -> list[int]:
        real: list[View] = []
        drawn: list[View] = []
        for source in material.sources(everything=everything):
            (real if source.lends else drawn).extend(source.views)
        return [len(real), len(drawn)]

    kept = len(material.images)
    assert view_count(False) == [kept, kept] and view_count(True) == [2 * SITE_COUNT, 2 * SITE_COUNT]
    assert [stage.everything for stage in STAGES] == [False, True]


def test_stages_go_on_from_each_other_and_are_not_repeated(material: Material, tmp_path: Path) -> None:
    told: list[Progress] = []
    stages = [
        Stage(name=name, everything=name == "all", recipe=Recipe(step_count=1, warm_up_count=1, peak_rate_ratio=1e-5))
        for name in ("without", "all")
    ]
    paths = run_stages(material, tmp_path, encoder_weights=None, watch=told.append, stages=stages)
    assert [path.name for path in paths] == ["without.pt", "all.pt"] and len(told) == 2
    first, second = (load_network(path).state_dict() for path in paths)
    changed = [torch.dist(first[name], second[name]).item() for name in first if name.endswith("weight")]
    assert 0 < max(changed) < 0.01, "the second stage starts from the first"
    assert run_stages(material, tmp_path, encoder_weights=None, watch=told.append, stages=stages) == paths
    assert len(told) == 2


def test_weights_of_another_network_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="no weights of this network") as caught:
        load_network(path)
    assert "\n" not in str(caught.value)
