"""A wrong request ends with one clear line, the exit code of its family, and nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Answer, call

Command = Callable[..., Answer]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(monkeypatch, capsys, *arguments)


def write(path: Path, tree: Any) -> str:
    path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree), "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"lamelae": 3}, "lamelae"),
        ({"supervision": {"gate": 0.5}}, "supervision.gate"),
        ({"lamellae": "many"}, "lamellae"),
        ({"lamellae": 0}, "lamellae"),
        ({"supervision": {"gate_fraction": 1.5}}, "supervision.gate_fraction"),
        ({"driver": {"settings": {"drfit": {}}}}, "driver.settings.drfit"),
        ({"driver": {"name": "jeol"}}, "no driver named 'jeol' is installed; available: "),
        ({"method": "in-grid"}, "on-grid"),
        ("lamellae: [1,", "not YAML"),
        ("- a list", "mapping"),
    ],
)
def test_a_wrong_configuration_is_one_line_with_its_place(
    command: Command, tmp_path: Path, tree: Any, says: str
) -> None:
    answer = command("run", "--config", write(tmp_path / "c.yaml", tree), "--experiment", "e")
    assert answer.exit_code == 3
    assert len(answer.lines) == 1
    assert says in answer.lines[0]
    assert answer.stdout == ""
    assert not (tmp_path / "e").exists()


def test_an_impossible_seed_on_the_command_line_is_one_line(command: Command, tmp_path: Path) -> None:
    answer = command("run", "--seed", "5000000000", "--experiment", "e")
    assert answer.exit_code == 3
    (line,) = answer.lines
    assert "command line: seed" in line
    assert not (tmp_path / "e").exists()


def test_every_problem_of_a_configuration_is_told_at_once(command: Command, tmp_path: Path) -> None:
    answer = command("check", "--config", write(tmp_path / "c.yaml", {"lamellae": 0, "sead": 1}))
    assert answer.exit_code == 3
    assert len(answer.lines) == 2


def test_a_configuration_that_is_not_there_is_named(command: Command) -> None:
    answer = command("check", "--config", "nowhere.yaml")
    assert answer.exit_code == 3
    assert "nowhere.yaml" in answer.stderr
    assert "No such file" in answer.stderr


def test_a_missing_model_is_refused_before_anything_is_written(command: Command, tmp_path: Path) -> None:
    answer = command("run", "--config", write(tmp_path / "c.yaml", {"model": {"name": "gone"}}), "--experiment", "e")
    assert answer.exit_code == 4
    assert len(answer.lines) == 1
    assert "gone" in answer.stderr
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize("content", [b"", b"not a tiff", b"II*\x00\x08\x00\x00\x00"])
def test_an_unreadable_image_is_refused(command: Command, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tif").write_bytes(content)
    answer = command("detect", "x.tif", "--json")
    assert answer.exit_code == 4
    assert len(answer.lines) == 1
    assert "x.tif" in answer.stderr
    assert answer.stdout == ""


def method_with(tmp_path: Path, **changes: Any) -> str:
    from fibsem_runtime.workflow import method_text

    return write(tmp_path / "m.yaml", yaml.safe_load(method_text("on-grid")) | changes)


def test_a_site_outside_the_limits_stops_the_run_before_it_starts(command: Command, tmp_path: Path) -> None:
    site = {"name": "far", "x_um": 5e6, "y_um": 0, "z_um": 0, "r_deg": 0, "t_deg": 0}
    method = method_with(tmp_path, selection={"kind": "list", "positions": [site]})
    answer = command("run", "--method", method, "--experiment", "e")
    assert answer.exit_code == 8
    assert len(answer.lines) == 1
    assert "site far" in answer.stderr
    assert not (tmp_path / "e").exists()


def test_a_current_that_the_instrument_does_not_have_stops_the_run_before_it_starts(
    command: Command, tmp_path: Path
) -> None:
    method = method_with(tmp_path, imaging={"ion_current_pa": 23})
    answer = command("run", "--method", method, "--experiment", "e")
    assert answer.exit_code == 3
    assert "23 pA" in answer.stderr
    assert not (tmp_path / "e").exists()


def test_an_existing_folder_is_never_overwritten(command: Command, tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "mine.txt").write_text("keep")
    answer = command("run", "--experiment", "e")
    assert answer.exit_code == 4
    assert (tmp_path / "e" / "mine.txt").read_text() == "keep"


def test_resuming_where_there_is_nothing_says_so(command: Command, tmp_path: Path) -> None:
    answer = command("run", "--resume", "--experiment", "e")
    assert answer.exit_code == 4
    assert len(answer.lines) == 1


def test_an_unknown_feature_is_refused_with_the_known_ones(command: Command, tmp_path: Path) -> None:
    import numpy as np
    import tifffile

    tifffile.imwrite(tmp_path / "x.tif", np.zeros((64, 64), np.uint8))
    answer = command("detect", "x.tif", "--features", "NeedleTop")
    assert answer.exit_code == 3
    assert "NeedleTip" in answer.stderr
