"""Labelled data sets: what a person gets, byte for byte, and what happens when it cannot be made."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from commands import call

from drivers.simulator import SimulatorSettings
from fibsem_runtime.app.dataset import SynthesizeRequest, SynthesizeResult, synthesize
from fibsem_runtime.app.dataset.writer import COLUMNS, new_folder
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import Cancelled, ConfigError, StorageError
from fibsem_runtime.hal.truth import KEY_POINTS, ObjectClass
from fibsem_runtime.imaging import read_image
from fibsem_runtime.learning.dataset import read_samples

SEED = 5
COUNT = 4
WIDTH_PX, HEIGHT_PX = 144, 96


def request(folder: Path, **changes: object) -> SynthesizeRequest:
    values = {"scene": "on-grid", "frame_count": COUNT, "seed": SEED, "out": folder, "width_px": WIDTH_PX}
    return SynthesizeRequest(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SynthesizeResult]:
    folder = tmp_path_factory.mktemp("datasets") / "made"
    return folder, synthesize(request(folder), cancel=CancelToken())


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_learning_package_reads_it(made: tuple[Path, SynthesizeResult]) -> None:
    folder, result = made
    samples = read_samples(folder)
    assert len(samples) == COUNT == result.frames
    assert all(sample.labels.shape == (HEIGHT_PX, WIDTH_PX) == sample.image.shape for sample in samples)
    with_lamella = [sample for sample in samples if (sample.labels == ObjectClass.LAMELLA).any()]
    assert len(with_lamella) == result.frames_with["lamella"] > 0
    known = {name for names in KEY_POINTS.values() for name in names} | {"ImageCentre"}
    for sample in samples:
        assert sample.points.keys() <= known
        assert ("LamellaCentre" in sample.points) <= (sample in with_lamella)


def test_images_say_how_they_were_taken(made: tuple[Path, SynthesizeResult]) -> None:
    folder, _ = made
    manifest = json.loads((folder / "manifest.json").read_text())
    for sample in manifest["samples"]:
        metadata = read_image(folder / sample["file"]).metadata
        assert metadata.pixel_size_m == pytest.approx(sample["pixel_size_nm"] * 1e-9, rel=1e-4)
        assert metadata.beam is not None and metadata.beam_type is not None
        assert metadata.beam_type.value == sample["beam"]
        assert metadata.beam.beam_current_a == pytest.approx(sample["current_pa"] * 1e-12)


def test_objects_agree_with_their_maps(made: tuple[Path, SynthesizeResult]) -> None:
    folder, _ = made
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["seed"] == SEED and manifest["scene"] == "on-grid"
    assert manifest["versions"].keys() == {"fibsem_runtime", "numpy", "opencv"}
    for sample in manifest["samples"]:
        labels = tifffile.imread(folder / "labels" / sample["file"])
        instances = tifffile.imread(folder / "instances" / sample["file"])
        assert labels.dtype == np.uint8 and instances.dtype == np.uint16
        assert np.array_equal(labels > 0, instances > 0)
        assert {one["instance"] for one in sample["objects"]} == set(np.unique(instances)) - {0}
        for one in sample["objects"]:
            rows, columns = np.nonzero(instances == one["instance"])
            assert one["pixels"] == rows.size
            assert one["box_px"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert manifest["classes"][str(labels[rows[0], columns[0]])] == one["class"]


def test_key_points_have_the_columns_of_the_predecessor(made: tuple[Path, SynthesizeResult]) -> None:
    folder, _ = made
    with (folder / "keypoints.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert tuple(reader.fieldnames or ()) == COLUMNS
    for row in rows:
        assert 0 <= float(row["px.x"]) <= WIDTH_PX and 0 <= float(row["px.y"]) <= HEIGHT_PX
        assert float(row["pixelsize"]) == read_image(folder / row["filename"]).pixel_size_m


def test_the_same_seed_gives_the_same_bytes_and_more_frames_go_on(
    made: tuple[Path, SynthesizeResult], tmp_path: Path
) -> None:
    folder, _ = made
    synthesize(request(tmp_path / "again", frame_count=2), cancel=CancelToken())
    once, again = files_of(folder), files_of(tmp_path / "again")
    images = [name for name in again if name.endswith(".tif")]
    assert len(images) == 6
    assert all(again[name] == once[name] for name in images)
    assert once["keypoints.csv"].startswith(again["keypoints.csv"])


def test_another_seed_gives_another_image_and_16_bits_are_16(tmp_path: Path) -> None:
    for seed in (1, 2):
        synthesize(
            request(tmp_path / str(seed), seed=seed, frame_count=1, bit_depth=16, width_px=96), cancel=CancelToken()
        )
    one, other = (read_image(next((tmp_path / str(seed)).glob("*.tif"))).data for seed in (1, 2))
    assert one.dtype == other.dtype == np.uint16
    assert not np.array_equal(one, other)


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        synthesize(request(tmp_path), cancel=CancelToken())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_stopped_command_leaves_nothing(tmp_path: Path) -> None:
    cancel = CancelToken()

    def stop(_scene: str, _state: str, done: int, _total: int) -> None:
        if done == 1:
            cancel.cancel("test")

    with pytest.raises(Cancelled):
        synthesize(request(tmp_path / "new", width_px=96), cancel=cancel, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nothing was kept"), new_folder(tmp_path / "new") as folder:
        (folder / "file").write_text("half")
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_scene_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="on-grid"):
        synthesize(request(tmp_path / "new", scene="moon"), cancel=CancelToken())
    assert list(tmp_path.iterdir()) == []


def test_an_instrument_makes_no_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = SimpleNamespace(settings_model=SimulatorSettings)
    monkeypatch.setattr("fibsem_runtime.config.find_driver", lambda _: instrument)
    with pytest.raises(ConfigError, match="makes no scenes; configure the simulator"):
        synthesize(request(tmp_path / "new"), cancel=CancelToken())
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_one_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    arguments = ("--scene", "on-grid", "--n", "1", "--seed", "3", "--width", "96", "--out", str(folder), "--json")
    answer = call(monkeypatch, capsys, "dataset", "synthesize", *arguments)
    document = json.loads(answer.stdout)
    assert document["folder"] == str(folder) and document["frames"] == 1
    assert len(list(folder.glob("*.tif"))) == 1
