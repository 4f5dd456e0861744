"""The ``model`` commands: one JSON document for scripts, a table for people, one line for what is refused."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tifffile
from checkpoints import RunsCommand, trained_like, write_checkpoint
from class_maps import LAMELLA, box, empty, gray
from commands import Answer, call
from pytest_mock import MockerFixture
from tiny_models import write_level_model

from fibsem_runtime.app import extras
from fibsem_runtime.learning import unet

Command = Callable[..., Answer]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Call a ``model`` command on a folder of models that holds one, ``levels``."""
    monkeypatch.chdir(tmp_path)
    write_level_model(tmp_path / "models" / "levels")
    (tmp_path / "c.yaml").write_text("model: {name: levels, folder: models}\n", encoding="utf-8")
    return lambda *arguments: call(monkeypatch, capsys, "model", *arguments, "--config", "c.yaml")


@pytest.fixture
def slim_unet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unet, "_WIDTHS", (8, 8, 16, 16))
    monkeypatch.setattr(unet, "_DECODER_WIDTHS", (16, 8, 8, 8, 8))


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    for index in range(4):
        tifffile.imwrite(tmp_path / f"scene{index}.tif", gray(box(empty(), LAMELLA, 300 + 9 * index, 200, 400, 260)))
    return tmp_path / "scene0.tif"


def document(answer: Answer) -> Any:
    assert answer.exit_code == 0, answer.stderr
    return json.loads(answer.stdout)


def refused(answer: Answer, exit_code: int) -> str:
    assert answer.exit_code == exit_code, answer.stderr
    assert answer.stdout == "" and len(answer.lines) == 1
    return answer.stderr


def test_list_names_every_model_and_what_is_wrong_with_a_damaged_one(command: Command, tmp_path: Path) -> None:
    write_level_model(tmp_path / "models" / "altered")
    (tmp_path / "models" / "altered" / "model.onnx").write_bytes(b"other")
    (tmp_path / "models" / "broken").mkdir()
    (tmp_path / "models" / "broken" / "manifest.yaml").write_text("name: [", encoding="utf-8")
    result = document(command("list", "--json"))
    problems = {line["name"]: line["problem"] for line in result["models"]}
    assert result["configured"] == "levels" and problems["levels"] == ""
    assert "SHA-256" in problems["altered"] and "not YAML" in problems["broken"]
    assert "altered" in command("list").stdout


def test_info_tells_files_and_what_each_provider_opens(command: Command) -> None:
    result = document(command("info", "levels", "--json"))
    assert result["precision_for"] == {"tensorrt": "fp32", "cuda": "fp32", "cpu": "fp32"}
    assert result["manifest"]["classes"][1] == "lamella" and result["problem"] == ""
    assert "NeedleTip" in command("info").stdout
    assert "no model at" in refused(command("info", "gone"), 4)


def test_bench_prints_the_document_that_scripts_read(command: Command, scene: Path) -> None:
    result = document(command("bench", "levels", "--image", str(scene), "--provider", "cpu", "--runs", "2", "--json"))
    assert set(result) >= {"model", "provider", "input", "stages_ms", "p50_ms", "p95_ms", "rss_mb"}
    assert set(result["stages_ms"]) == {"preprocess", "inference", "decode", "features"}
    assert (result["model"], result["provider"], result["input"]) == ("levels", "cpu", "768x512")
    assert 0 < result["p50_ms"] <= result["p95_ms"] and result["rss_mb"] > 0


def test_bench_without_an_image_draws_a_usual_frame(command: Command) -> None:
    result = document(command("bench", "--runs", "1", "--json"))
    assert result["input"] == "1536x1024" and result["image"] == "drawn-1"
    assert "resident" in command("bench", "--runs", "1").stdout


def test_bench_refuses_a_precision_that_does_not_exist_or_is_not_there(command: Command) -> None:
    assert "precision" in refused(command("bench", "--precision", "fp8"), 3)
    assert "no int8 file" in refused(command("bench", "--precision", "int8"), 4)


@pytest.mark.usefixtures("slim_unet")
def test_import_makes_a_model_with_its_proof(command: Command, scene: Path, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "Autolamella Mega.pt", trained_like(level=0.3))
    answer = command("import", str(source), "--images", str(scene), "--size", "96x64", "--licence", "MIT", "--json")
    result = document(answer)["manifest"]
    assert result["name"] == "autolamella-mega" and result["licence"] == "MIT"
    parity = result["origin"]["parity"]
    assert parity["images"] == ["scene0.tif"] and parity["pixel_agreement_fraction"] >= 0.9999
    assert "parity" in command("info", "autolamella-mega").stdout
    assert "--name" in refused(command("import", str(source), "--size", "96x64"), 3)


@pytest.mark.usefixtures("slim_unet")
def test_import_without_images_says_that_it_compared_drawn_ones(command: Command, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "m.pt", trained_like(level=0.3))
    result = document(command("import", str(source), "--size", "96x64", "--json"))
    assert result["manifest"]["origin"]["parity"]["images"] == ["drawn-1", "drawn-2"]


def test_import_of_a_hostile_checkpoint_runs_nothing(command: Command, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "hostile.pt").write_bytes(pickle.dumps(RunsCommand(mark), protocol=2))
    assert "nothing of it was run" in refused(command("import", "hostile.pt"), 4)
    assert not mark.exists() and [p.name for p in (tmp_path / "models").iterdir()] == ["levels"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("gone.pt",), 4, "cannot be read"),
        (("c.yaml",), 4, "no valid ONNX graph"),
        (("models",), 4, "config.json"),
        (("gone.pt", "--name", "../up"), 3, "small letters"),
        (("gone.pt", "--size", "big"), 3, "WIDTHxHEIGHT"),
        (("gone.pt", "--size", "100x64"), 4, "multiples of 32"),
        (("gone.pt", "--images", "nowhere.tif"), 4, "nowhere.tif"),
        (("gone.pt", "--images", "models"), 4, "no TIFF image"),
    ],
)
def test_import_refuses_in_one_line(command: Command, arguments: tuple[str, ...], exit_code: int, message: str) -> None:
    assert message in refused(command("import", *arguments), exit_code)


def test_a_missing_extra_is_named_with_what_to_install(command: Command, mocker: MockerFixture) -> None:
    mocker.patch.object(extras, "find_spec", return_value=None)
    assert "pip install 'fibsem-runtime[learn]'" in refused(command("import", "m.pt"), 3)


@pytest.mark.usefixtures("slim_unet")
def test_optimise_keeps_what_agrees_and_records_what_it_measured(command: Command, scene: Path, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "m.pt", trained_like(level=0.3))
    document(command("import", str(source), "--size", "96x64", "--json"))
    result = document(command("optimise", "m", "--images", str(tmp_path), "--threshold", "0.5", "--json"))
    variants = {v["precision"]: v for v in result["manifest"]["variants"]}
    assert set(variants) == {"fp32", "int8", "fp16"}
    assert variants["int8"]["threshold_fraction"] == 0.5 and variants["int8"]["calibration_images"] == 2
    assert variants["int8"]["speed_up_ratio"] > 0 and variants["fp16"]["speed_up_ratio"] is None
    kept = {p for p, v in variants.items() if v["is_kept"]} | {"fp32"}
    assert set(result["manifest"]["files"]) == kept and result["problem"] == ""


def test_optimise_needs_images(command: Command, scene: Path) -> None:
    assert "at least 2 images" in refused(command("optimise", "--images", str(scene)), 3)
    assert "no TIFF image" in refused(command("optimise"), 4)


def test_pull_without_a_network_gives_the_address_and_what_to_do(command: Command, mocker: MockerFixture) -> None:
    mocker.patch.object(urllib.request, "urlopen", side_effect=urllib.error.URLError("Name or service not known"))
    line = refused(command("pull", "autolamella-mega-20240107"), 4)
    assert "patrickcleeve/autolamella/resolve/main/autolamella-mega-20240107.pt" in line
    assert "model import FILE" in line


def test_pull_knows_the_published_names(command: Command) -> None:
    line = refused(command("pull", "autolamella-mega"), 3)
    assert "autolamella-waffle-20240107" in line and "segformer-b1-autolamella-mega-1" in line


@pytest.mark.usefixtures("slim_unet")
def test_pull_imports_what_it_fetched(command: Command, tmp_path: Path, mocker: MockerFixture) -> None:
    content = write_checkpoint(tmp_path / "m.pt", trained_like(level=0.3)).read_bytes()
    opened = mocker.patch.object(urllib.request, "urlopen", return_value=io.BytesIO(content))
    result = document(command("pull", "autolamella-mega-20240107", "--size", "96x64", "--json"))
    assert result["manifest"]["name"] == "autolamella-mega-20240107"
    assert result["manifest"]["origin"]["file"] == "autolamella-mega-20240107.pt"
    assert opened.call_count == 1


def test_help_of_the_model_commands_loads_no_numbers(tmp_path: Path) -> None:

    code = "import sys, fibsem_runtime.cli; print('numpy' in sys.modules or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
