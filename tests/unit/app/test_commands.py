"""Each command answers people with a table and scripts with one JSON document."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Answer, call
from fake_experiment import make_experiment

from fibsem_runtime.corrections import CLASSES

Command = Callable[..., Answer]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(monkeypatch, capsys, *arguments)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    make_experiment(tmp_path / "experiment", width_px=384)
    return tmp_path / "experiment"


def test_check_tells_what_will_be_milled_and_how_long_it_takes(command: Command) -> None:
    answer = command("check", "--json")
    assert answer.exit_code == 0
    result = json.loads(answer.stdout)
    assert [stage["name"] for stage in result["stages"]][:2] == ["cross", "rough_1"]
    assert result["total_s"] == pytest.approx(3 * sum(stage["total_s"] for stage in result["stages"]))
    assert "fit to run" in command("check").stdout


def test_check_can_ask_the_instrument(command: Command) -> None:
    assert json.loads(command("check", "--connect", "--json").stdout)["driver"] == "simulator"


def test_doctor_finds_driver_model_and_provider(command: Command) -> None:
    answer = command("doctor", "--json")
    assert answer.exit_code == 0
    topics = {finding["topic"]: finding["ok"] for finding in json.loads(answer.stdout)["findings"]}
    assert topics["driver simulator"] and topics["model"] and topics["inference"]


def test_doctor_names_a_missing_vendor_package_and_fails(command: Command) -> None:
    answer = command("doctor", "--driver", "thermofisher")
    assert answer.exit_code == 1
    assert "MISSING" in answer.stdout


def test_corrections_are_listed_with_both_points(command: Command, experiment: Path) -> None:
    rows = json.loads(command("corrections", "list", str(experiment), "--json").stdout)["corrections"]
    changed = [row for row in rows if row["classification"] == "corrected"]
    assert changed
    assert all(row["predicted_px"] and row["decided_px"] and row["delta_um"] for row in changed)
    assert "corrected" in command("corrections", "list", str(experiment)).stdout


def test_corrections_can_be_narrowed_down(command: Command, experiment: Path) -> None:
    listed = command("corrections", "list", str(experiment), "--classification", "corrected", "--json")
    assert {row["classification"] for row in json.loads(listed.stdout)["corrections"]} == {"corrected"}
    refused = command("corrections", "list", str(experiment), "--classification", "wrong")
    assert refused.exit_code == 3
    assert all(name in refused.stderr for name in CLASSES)


def test_the_report_is_written_where_it_is_asked_for(command: Command, experiment: Path, tmp_path: Path) -> None:
    answer = command("report", str(experiment), "--output", "morning.html", "--json")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == {"report": "morning.html"}
    assert (tmp_path / "morning.html").read_text("utf-8").startswith("<!")


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys, fibsem_runtime.cli\n"
        "heavy = {'numpy', 'cv2', 'numba', 'sqlalchemy', 'onnxruntime', 'pydantic', 'torch'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
