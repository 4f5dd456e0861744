"""Labelled images are paired by name, checked, and split without separating a series."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fibsem_runtime.core import Image, ImageMetadata, PixelPoint
from fibsem_runtime.core.errors import DataError, ImageFileError
from fibsem_runtime.learning.dataset import Sample, read_samples, split_by_group
from fibsem_runtime.learning.series import group_series


def write(folder: Path, name: str, gray: NDArray[np.uint8], labels: NDArray[np.uint8] | None) -> None:
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(folder / name, gray)
    if labels is not None:
        tifffile.imwrite(folder / "labels" / name, labels)


def sample(name: str, seed: int = 0) -> Sample:
    gray = np.random.default_rng(seed).integers(0, 255, (128, 192)).astype(np.uint8)
    return Sample(name, Image(gray, ImageMetadata()), np.zeros((128, 192), np.uint8))


def test_images_labels_and_points_are_paired_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    for index, name in enumerate(("b.tif", "a.tif")):
        write(folder, name, np.full((80, 100), 10 * index, np.uint8), np.full((80, 100), index, np.uint8))
    rows = "split,filename,feature,px.x,px.y\ntrain,a.tif,NeedleTip,1.5,2\ntest,b.tif,NeedleTip,3,4\n"
    (tmp_path / "keypoints.csv").write_text(rows, encoding="utf-8")
    first, second = read_samples(folder)
    assert (first.name, second.name) == ("a", "b")
    assert first.labels[0, 0] == 1 and first.image.data[0, 0] == 10
    assert first.points == {"NeedleTip": PixelPoint(1.5, 2.0)}
    assert second.points == {}, "rows of another split are not ours"


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (None, ImageFileError, "every image needs one"),
        (np.zeros((80, 99), np.uint8), DataError, "label it again"),
        (np.full((80, 100), 6, np.uint8), DataError, r"0\.\.5"),
        (np.zeros((80, 100, 3), np.uint8), DataError, "2-D"),
    ],
)
def test_a_label_that_does_not_fit_is_refused(
    tmp_path: Path, labels: NDArray[np.uint8] | None, error: type[Exception], message: str
) -> None:
    write(tmp_path, "a.tif", np.zeros((80, 100), np.uint8), labels)
    with pytest.raises(error, match=message):
        read_samples(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="AutoLamella layout"):
        read_samples(tmp_path)


@pytest.mark.parametrize("row", ["train,a.tif,NeedleTip,x,2", "train,a.tif,NeedleTip"])
def test_a_broken_key_point_is_named_by_its_line(tmp_path: Path, row: str) -> None:
    folder = tmp_path / "train"
    write(folder, "a.tif", np.zeros((80, 100), np.uint8), np.zeros((80, 100), np.uint8))
    (tmp_path / "keypoints.csv").write_text(f"split,filename,feature,px.x,px.y\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        read_samples(folder)


@pytest.mark.parametrize("column", ["filename", "fname", "image"])
def test_points_of_every_old_schema_are_read_and_its_misses_left_out(tmp_path: Path, column: str) -> None:
    write(tmp_path, "a.tif", np.zeros((80, 100), np.uint8), np.zeros((80, 100), np.uint8))
    rows = f"{column},feature,px.x,px.y\na.tif,NeedleTip,3,4\na.tif,LamellaCentre,0,0\n"
    (tmp_path / "keypoints.csv").write_text(rows, encoding="utf-8")
    assert read_samples(tmp_path)[0].points == {"NeedleTip": PixelPoint(3, 4)}


def test_frames_of_one_series_are_one_group() -> None:
    names = [
        "landing_contact_0_ib",
        "landing_contact_1_eb",
        "ref_trench_high_res_eb",
        "ref_trench_low_res_ib",
        "01-08-05PM_eb",
        "01-09-40PM_ib",
        "03-43-12PM_ib",
    ]
    groups = group_series([sample(name, seed) for seed, name in enumerate(names)])
    assert groups[0] == groups[1] and groups[2] == groups[3] and groups[4] == groups[5]
    assert len(set(groups)) == 4, "names that say nothing in common stay apart"


def test_images_that_look_alike_are_one_group_whatever_their_names() -> None:
    first, other = sample("one", 1), sample("two", 2)
    noisy = np.clip(first.image.data.astype(int) + 5, 0, 255).astype(np.uint8)
    copy = Sample("three", Image(noisy, ImageMetadata()), first.labels)
    groups = group_series([first, other, copy])
    assert groups[0] == groups[2] != groups[1]


@given(
    groups=st.lists(st.integers(0, 8), min_size=1, max_size=60),
    fraction=st.floats(0, 1),
    seed=st.integers(0, 100),
)
def test_a_group_is_never_on_both_sides_of_a_split(groups: list[int], fraction: float, seed: int) -> None:
    samples = [sample(str(index), index % 3) for index in range(len(groups))]
    train, held_out = split_by_group(samples, groups, held_out_fraction=fraction, seed=seed)
    assert sorted(s.name for s in train + held_out) == sorted(s.name for s in samples)
    assert len(held_out) <= fraction * len(samples)
    sides: dict[int, set[bool]] = defaultdict(set)
    for name, is_held_out in [(s.name, False) for s in train] + [(s.name, True) for s in held_out]:
        sides[groups[int(name)]].add(is_held_out)
    assert all(len(side) == 1 for side in sides.values())
