"""Instruments on the disk at the stages of a small lift-out, made once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lift_out_bench as bench
import pytest

from fibsem_runtime.hal import Microscope


@pytest.fixture(scope="session")
def undercut_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A block cut free on three sides and below, attached on the right."""
    folder: Path = tmp_path_factory.mktemp("undercut") / "instrument"
    instrument = bench.open_bench(folder)
    bench.trench(instrument)
    bench.undercut(instrument)
    instrument.driver.close()
    return folder


def _after(before: Path, factory: pytest.TempPathFactory, name: str, *steps: Callable[[Microscope], object]) -> Path:
    """Return the folder of an instrument that goes on from another with some steps."""
    folder: Path = factory.mktemp(name) / "instrument"
    instrument = bench.branch(before, folder)
    for step in steps:
        step(instrument)
    instrument.driver.close()
    return folder


@pytest.fixture(scope="session")
def welded_folder(undercut_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The needle welded to the block's free end."""
    return _after(undercut_folder, tmp_path_factory, "welded", bench.touch, lambda one: bench.weld(one, -7))


@pytest.fixture(scope="session")
def lifted_folder(welded_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The block severed, lifted and taken out with the needle, the stage at the post."""
    return _after(welded_folder, tmp_path_factory, "lifted", bench.sever, bench.lift, bench.go_to_post)


@pytest.fixture(scope="session")
def touching_folder(lifted_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The block on the needle in contact with the post."""
    return _after(lifted_folder, tmp_path_factory, "touching", bench.touch_post)


@pytest.fixture(scope="session")
def landed_folder(touching_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The block welded to the post, cut free of the needle, and the needle out."""
    steps = (bench.weld_to_post, bench.cut_needle_free, bench.retract)
    return _after(touching_folder, tmp_path_factory, "landed", *steps)
