"""A driver by someone else: the template is built, installed beside a built runtime, and held to the contract."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fibsem_runtime.core import errors
from fibsem_runtime.hal import DriverPlugin
from fibsem_runtime.hal.coverage import DEVICES

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "docs/driver-template"
SUITE = ("tests", "--pyargs", "fibsem_runtime.contract.suite")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the template's tests and, in ``site``, what pip installed from two wheels."""
    folder = tmp_path_factory.mktemp("someone_else")
    for source in (ROOT, TEMPLATE):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "wheels")]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
    wheels = sorted(str(path) for path in (folder / "wheels").iterdir())
    assert [Path(wheel).name.split("-")[0] for wheel in wheels] == ["acme_fibsem", "fibsem_runtime"]
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(folder / "site"),
    ]
    subprocess.run([*install, *wheels], check=True, capture_output=True)
    shutil.copytree(TEMPLATE / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TEMPLATE / "pyproject.toml", folder)
    return folder


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": str(project / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def test_the_installed_template_is_found_by_its_name(project: Path) -> None:
    script = (
        "import fibsem_runtime\n"
        "from fibsem_runtime.hal import available_drivers, find_driver\n"
        "print(fibsem_runtime.__file__, *available_drivers(), find_driver('acme').diagnose())\n"
    )
    done = run(project, "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(project / "site"))
    assert "acme sharksem simulator" in done.stdout


def test_the_doctor_knows_the_template(project: Path) -> None:
    command = ("-c", "from fibsem_runtime.cli import main; main()", "doctor", "--driver", "acme", "--json")
    done = run(project, *command)
    assert done.returncode == 0, done.stderr
    assert "acme" in done.stdout


def test_the_template_passes_its_own_tests_and_the_whole_contract(project: Path) -> None:
    done = run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SUITE)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    counts = done.stdout.strip().splitlines()[-1]
    assert int(counts.split(" passed")[0].split()[-1]) > 120, counts


def test_the_contract_finds_a_driver_that_does_not_keep_it(project: Path, tmp_path: Path) -> None:
    """Beam shift the wrong way round, as a driver's first version may have it."""
    broken = tmp_path / "broken"
    shutil.copytree(project, broken)
    beam = broken / "site/acme_fibsem/beam.py"
    beam.write_text(beam.read_text().replace('"shift_x_um", shift.x_m', '"shift_x_um", -shift.x_m'))
    done = run(
        broken,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *SUITE[:-1],
        f"{SUITE[-1]}.test_beams",
        "-k",
        "beam_shift_moves",
    )
    assert done.returncode == 1, done.stdout
    assert "failed" in done.stdout


def test_an_instrument_is_not_touched_without_a_person(project: Path) -> None:
    suite = ("--pyargs", "fibsem_runtime.contract.suite.test_stage", "-p", "fibsem_runtime.contract.plugin")
    done = run(project, "-m", "pytest", "-q", *suite, "--driver", "acme", "--host", "192.168.0.1")
    assert done.returncode == 3
    assert "a person can agree" in done.stdout + done.stderr


def test_the_guide_names_every_device_and_error_and_the_commands_that_work() -> None:
    guide = (ROOT / "docs/writing-a-driver.md").read_text(encoding="utf-8")
    names = {name.removeprefix("electron_").removeprefix("ion_") for name in DEVICES if not name.endswith("_beam")}
    families = {family.__name__ for family in errors.HardwareError.__subclasses__()}
    members = {name for name in vars(DriverPlugin) if not name.startswith("_")}
    assert [name for name in sorted(names | families | members) if name not in guide] == []
    for text in (guide, (TEMPLATE / "README.md").read_text(encoding="utf-8")):
        assert f"pytest {' '.join(SUITE)}" in text
        assert "pytest --pyargs fibsem_runtime.contract.suite -p fibsem_runtime.contract.plugin --driver acme" in text
