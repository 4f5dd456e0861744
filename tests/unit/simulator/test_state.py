"""A simulated instrument outlives its process: killed between any two writes it is as before a call or as after it."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import simulators
from simulators import CONDITIONS, PATTERN, SMALL_FRAME

from drivers.simulator import state as state_module
from drivers.simulator.driver import SimulatorPlugin
from drivers.simulator.state import StateDirectory
from fibsem_runtime.core import CancelToken, ImagePoint, PixelPoint
from fibsem_runtime.core.errors import ExperimentError, StorageError
from fibsem_runtime.hal.devices import MillingState
from fibsem_runtime.hal.microscope import Microscope

PROCESSES = {
    "ice_growth": {"enabled": True, "rate_nm_per_h": 1000},
    "redeposition": {"enabled": True},
    "film_motion": {"enabled": True},
}

SETTINGS = simulators.settings(everything=True, processes=PROCESSES)

Action = Callable[[Microscope], object]


def tilt(instrument: Microscope) -> object:
    target = replace(instrument.stage.position(), t_rad=math.radians(12))
    return instrument.stage.move_to(target, cancel=CancelToken())


def use_milling_current(instrument: Microscope) -> object:
    return instrument.ion_beam.set_current(CONDITIONS.beam_current_a)


def move(instrument: Microscope) -> object:
    target = replace(instrument.stage.position(), x_m=2e-6)
    return instrument.stage.move_to(target, cancel=CancelToken())


def image(instrument: Microscope) -> object:
    return instrument.ion_beam.acquire(SMALL_FRAME, cancel=CancelToken())


def shift(instrument: Microscope) -> object:
    return instrument.ion_beam.set_shift(ImagePoint(0.1e-6, 0.0))


def contrast(instrument: Microscope) -> object:
    return instrument.electron_beam.auto_contrast(cancel=CancelToken())


def draw(instrument: Microscope) -> object:
    return instrument.milling.draw(PATTERN, CONDITIONS)


def mill_a_part(instrument: Microscope) -> object:
    return instrument.milling.run(duration_s=6.0, cancel=CancelToken())


def mill_the_rest(instrument: Microscope) -> object:
    return instrument.milling.run(cancel=CancelToken())


def stop(instrument: Microscope) -> object:
    return instrument.milling.stop()


SESSION: tuple[Action, ...] = (
    *(tilt, use_milling_current, move, image, contrast),
    *(draw, mill_a_part, image, shift, mill_the_rest, stop, image),
)


def fingerprint(instrument: Microscope) -> tuple[str, list[bytes]]:
    """Return what the physics depends on; what is drawn and how files are called is not part of it."""
    machine = instrument.driver.machine  # type: ignore[attr-defined]
    facts = machine.state.model_dump_json(exclude={"drawing", "cut_files", "write_count"})
    return facts, [cut.front_m.tobytes() + cut.origin.tobytes() + cut.axes.tobytes() for cut in machine.sample.cuts]


def reopen(directory: Path) -> Microscope:
    return simulators.microscope(SETTINGS, state_directory=directory)


class Snapshots:
    """Copies of the state folder at every write, each with the number of the action it happened in."""

    def __init__(self, folder: Path, copies: Path) -> None:
        self.folder, self.copies = folder, copies
        self.taken: list[tuple[int, Path]] = []
        self.action = 0

    def take(self) -> None:
        copy = self.copies / f"{len(self.taken):03d}"
        shutil.copytree(self.folder, copy)
        self.taken.append((self.action, copy))

    def around(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take a copy before and after every rename, deletion and appended line."""
        for owner, name in ((state_module.os, "replace"), (Path, "unlink"), (StateDirectory, "append_frame")):
            monkeypatch.setattr(owner, name, self._watched(getattr(owner, name)))

    def _watched(self, write: Callable[..., object]) -> Callable[..., object]:
        def watched(*arguments: object) -> object:
            self.take()
            result = write(*arguments)
            self.take()
            return result

        return watched


def test_killed_between_any_two_writes_it_is_as_before_the_call_or_as_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "state"
    instrument = reopen(folder)
    snapshots = Snapshots(folder, tmp_path / "copies")
    prints = [fingerprint(instrument)]
    with monkeypatch.context() as patch:
        snapshots.around(patch)
        for snapshots.action, action in enumerate(SESSION):
            action(instrument)
            prints.append(fingerprint(instrument))

    assert len(snapshots.taken) >= 40
    milled_by_the_survivor = 0
    for number, copy in snapshots.taken:
        found = reopen(copy)
        before, after = prints[number], prints[number + 1]
        assert fingerprint(found) in (before, after)
        assert found.milling.state() is MillingState.IDLE
        milled_by_the_survivor += SESSION[number] in (mill_a_part, mill_the_rest) and fingerprint(found) == after
    assert milled_by_the_survivor >= 4


def test_a_run_in_many_processes_is_the_run_in_one(tmp_path: Path) -> None:
    one = reopen(tmp_path / "one")
    images = []
    many_images = []
    for action in (tilt, image, move, image, shift, image):
        images.append(action(one))
        many_images.append(action(reopen(tmp_path / "many")))
    assert fingerprint(reopen(tmp_path / "many")) == fingerprint(one)
    for single, several in zip(images[1::2], many_images[1::2], strict=True):
        assert single.data.tobytes() == several.data.tobytes()  # type: ignore[attr-defined]
        assert single.metadata == several.metadata  # type: ignore[attr-defined]


def test_frame_names_go_on_after_reopening(tmp_path: Path) -> None:
    names = [image(reopen(tmp_path)).metadata.frame_id for _ in range(3)]  # type: ignore[attr-defined]
    assert len(set(names)) == 3


def test_the_truth_knows_frames_of_earlier_processes(tmp_path: Path) -> None:
    plugin = SimulatorPlugin()
    first = plugin.open(SETTINGS, seed=simulators.SEED, state_directory=tmp_path)
    frame_id = first.ion_beam.acquire(SMALL_FRAME, cancel=CancelToken()).metadata.frame_id
    truth = plugin.truth(first)
    later = plugin.truth(plugin.open(SETTINGS, seed=simulators.SEED, state_directory=tmp_path))
    assert truth is not None and later is not None
    point = PixelPoint(20.0, 11.0)
    assert later.specimen_point(frame_id, point) == truth.specimen_point(frame_id, point)


def test_a_line_cut_off_by_the_end_of_a_process_does_not_spoil_the_list(tmp_path: Path) -> None:
    image(reopen(tmp_path))
    with (tmp_path / StateDirectory.FRAMES).open("a") as stream:
        stream.write('{"frame_id": "sim-1')
    second = reopen(tmp_path)
    image(second)
    assert len(StateDirectory(path=tmp_path).load_frames()) == 2


def test_another_seed_or_other_settings_do_not_continue_the_instrument(tmp_path: Path) -> None:
    reopen(tmp_path)
    with pytest.raises(ExperimentError, match="seed 11, asked was 12"):
        simulators.microscope(SETTINGS, seed=12, state_directory=tmp_path)
    with pytest.raises(ExperimentError, match="other settings"):
        simulators.microscope(simulators.settings(), state_directory=tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", "not a simulator state"),
        ('{"format": 1}', "not a simulator state"),
        ("[]", "not a simulator state"),
    ],
)
def test_a_damaged_state_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / StateDirectory.STATE).write_text(content)
    with pytest.raises(ExperimentError, match=words):
        reopen(tmp_path)


def test_a_state_of_another_format_is_refused(tmp_path: Path) -> None:
    reopen(tmp_path)
    file = tmp_path / StateDirectory.STATE
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(ExperimentError, match="format 99"):
        reopen(tmp_path)


def test_lost_geometry_is_refused_and_never_replaced_by_an_intact_sample(tmp_path: Path) -> None:
    instrument = reopen(tmp_path)
    for action in (tilt, use_milling_current, draw, mill_a_part):
        action(instrument)
    for file in tmp_path.glob("cuts-*.npz"):
        file.unlink()
    with pytest.raises(ExperimentError, match="geometry"):
        reopen(tmp_path)


def test_only_the_valid_geometry_stays_on_the_disk(tmp_path: Path) -> None:
    instrument = reopen(tmp_path)
    for action in (tilt, use_milling_current, draw, mill_a_part, mill_the_rest, stop, draw, mill_a_part):
        action(instrument)
    assert len(list(tmp_path.glob("cuts-*.npz"))) == 2
    assert len(reopen(tmp_path).driver.machine.sample.cuts) == 2 * len(PATTERN)  # type: ignore[attr-defined]


def test_a_disk_that_refuses_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = reopen(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="No space left on device"):
        shift(instrument)
