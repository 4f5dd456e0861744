"""The commands of ``python -m fibsem_runtime.learning``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from class_maps import LAMELLA, box, empty, gray
from tiny_models import write_level_model
from typer.testing import CliRunner

from fibsem_runtime.learning.__main__ import app


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "test"
    (folder / "labels").mkdir(parents=True)
    rows = ["filename,feature,px.x,px.y"]
    rng = np.random.default_rng(0)
    for index in range(6):
        left = int(rng.integers(100, 500))
        classes = box(empty(), LAMELLA, left, 200, left + 100, 260)
        tifffile.imwrite(folder / f"site{index}.tif", gray(classes))
        tifffile.imwrite(folder / "labels" / f"site{index}.tif", classes)
        rows.append(f"site{index}.tif,LamellaCentre,{left + 50},230")
    (folder / "keypoints.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def test_evaluate_prints_one_json_document_and_nothing_else(data: Path, tmp_path: Path) -> None:
    model = write_level_model(tmp_path / "levels")
    done = subprocess.run(
        [sys.executable, "-m", "fibsem_runtime.learning", "evaluate", "--data", data, "--model", model, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    (result,) = json.loads(done.stdout)
    assert result["features"]["LamellaCentre"]["median_px"] == 0
    assert result["class_iou"] == {"lamella": 1.0}


def test_evaluate_without_json_prints_a_table(data: Path, tmp_path: Path) -> None:
    model = write_level_model(tmp_path / "levels")
    done = CliRunner().invoke(app, ["evaluate", "--data", str(data), "--model", str(model)])
    assert done.exit_code == 0 and "LamellaCentre" in done.output and "100%" in done.output


def test_an_error_is_one_line_with_its_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fibsem_runtime.learning", "measure", "--data", tmp_path, "--folder", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4 and done.stderr.count("\n") == 1 and "AutoLamella layout" in done.stderr
