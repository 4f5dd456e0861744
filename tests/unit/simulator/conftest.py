"""Instruments on the disk at the stages of a small lift-out, made once for all tests."""

from __future__ import annotations

from pathlib import Path

import lift_out_bench as bench
import pytest


@pytest.fixture(scope="session")
def undercut_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A block cut free on three sides and below, attached on the right."""
    folder: Path = tmp_path_factory.mktemp("undercut") / "instrument"
    instrument = bench.open_bench(folder)
    bench.trench(instrument)
    bench.undercut(instrument)
    instrument.driver.close()
    return folder


@pytest.fixture(scope="session")
def welded_folder(undercut_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The needle welded to the block's free end."""
    folder: Path = tmp_path_factory.mktemp("welded") / "instrument"
    instrument = bench.branch(undercut_folder, folder)
    bench.touch(instrument)
    bench.weld(instrument, -7)
    instrument.driver.close()
    return folder


@pytest.fixture(scope="session")
def lifted_folder(welded_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The block severed, lifted and taken out with the needle, the stage at the post."""
    folder: Path = tmp_path_factory.mktemp("lifted") / "instrument"
    instrument = bench.branch(welded_folder, folder)
    bench.sever(instrument)
    bench.lift(instrument)
    bench.go_to_post(instrument)
    instrument.driver.close()
    return folder


@pytest.fixture(scope="session")
def touching_folder(lifted_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The block on the needle in contact with the post."""
    folder: Path = tmp_path_factory.mktemp("touching") / "instrument"
    instrument = bench.branch(lifted_folder, folder)
    bench.touch_post(instrument)
    instrument.driver.close()
    return folder


@pytest.fixture(scope="session")
def landed_folder(touching_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The block welded to the post, cut free of the needle, and the needle out."""
    folder: Path = tmp_path_factory.mktemp("landed") / "instrument"
    instrument = bench.branch(touching_folder, folder)
    bench.weld_to_post(instrument)
    bench.cut_needle_free(instrument)
    bench.retract(instrument)
    instrument.driver.close()
    return folder
