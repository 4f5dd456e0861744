"""The main job through the Thermo Fisher driver, on the fake of its vendor's package: one run that several tests read.

Where an instrument cares about the order of calls (views, currents, blanking, moves), the log of the fake is read.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from thermofisher_fake import SETTINGS, virtual_instrument

from fibsem_runtime.app.run import RunRequest, run
from fibsem_runtime.core import CancelToken

pytestmark = pytest.mark.xdist_group("thermofisher")

SEED = 7
ION_VIEW, ELECTRON_VIEW = 2, 1
IMAGING_CURRENT_A = 20e-12


@dataclass(frozen=True)
class Night:
    """What one run left behind: its result, the calls that reached the server, and the instrument."""

    report: dict[str, Any]
    calls: list[Any]
    instrument: Any


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("thermofisher")
    config = folder / "config.yaml"
    operator = {"kind": "scripted", "correct_every": 1000}
    tree = {
        "driver": {"name": "thermofisher", "settings": SETTINGS},
        "supervision": {"mode": "uncertain", "operator": operator},
    }
    config.write_text(yaml.safe_dump(tree), "utf-8")
    request = RunRequest(config_path=config, lamella_count=1, seed=SEED, experiment=Path(folder) / "experiment")
    with virtual_instrument(seed=SEED) as instrument:
        finished = run(request, cancel=CancelToken())
        assert finished.error is None, finished.error
        yield Night(json.loads(finished.result.model_dump_json()), list(instrument.calls), instrument)


def test_the_lamella_is_as_thick_and_where_it_was_asked_for(night: Night) -> None:
    (lamella,) = night.report["lamellae"]
    assert lamella["status"] == "completed"
    assert 150 <= lamella["truth"]["thickness_nm"] <= 250
    assert lamella["truth"]["position_error_nm"] <= 500
    assert {"left", "right"} <= set(lamella["truth"]["attached_to"])


def test_calls_never_overlap(night: Night) -> None:
    assert night.instrument.overlapping_calls == []


def test_every_frame_is_grabbed_in_the_view_of_the_beam_that_was_prepared_for_it(night: Night) -> None:
    """The beam is checked, its view selected and verified, its field set; afterwards the view is verified again."""
    grabs = [number for number, call in enumerate(night.calls) if call.name.startswith("imaging.grab_frame")]
    assert len(grabs) > 20
    views = set()
    for number in grabs:
        call = night.calls[number]
        before = [earlier.name for earlier in night.calls[number - 12 : number]]
        prefix = {ION_VIEW: "ion_beam", ELECTRON_VIEW: "electron_beam"}[call.view]
        other = {"ion_beam": "electron_beam", "electron_beam": "ion_beam"}[prefix]
        field = before.index(f"{prefix}.horizontal_field_width=")
        assert f"{prefix}.is_blanked" in before[:field]
        assert "imaging.get_active_view" in before[:field]
        assert not any(name.startswith(f"{other}.") for name in before[field:])
        after = [later.name for later in night.calls[number + 1 : number + 3]]
        assert after == ["imaging.get_active_view", "imaging.get_active_device"]
        views.add(call.view)
    assert views == {ION_VIEW, ELECTRON_VIEW}


def test_views_are_switched_only_when_the_beam_changes(night: Night) -> None:
    switches = [call.arguments[0] for call in night.calls if call.name == "imaging.set_active_view"]
    assert all(one != other for one, other in itertools.pairwise(switches))


def test_patterns_live_in_the_ion_view(night: Night) -> None:
    assert {call.view for call in night.calls if call.name.startswith("patterning.")} == {ION_VIEW}


def test_patterns_are_drawn_in_the_order_that_the_server_needs(night: Night) -> None:
    """Current, then field, then beam type, mode, clearing, application file and pattern (vendor-thermofisher.md 13)."""
    steps = (
        *("ion_beam.horizontal_field_width=", "patterning.set_default_beam_type", "patterning.mode="),
        *("patterning.clear_patterns", "patterning.set_default_application_file", "patterning.create_"),
    )
    starts = [number for number, call in enumerate(night.calls) if call.name == "patterning.start"]
    assert starts
    for start in starts:
        names = [call.name for call in night.calls[:start]]
        last_current = len(names) - 1 - names[::-1].index("ion_beam.beam_current=")
        drawing = [name for name in names[last_current:] if name.startswith(steps)]
        first = [next(n for n, name in enumerate(drawing) if name.startswith(step)) for step in steps[1:]]
        assert first == sorted(first)
        assert drawing[first[0] - 1] == "ion_beam.horizontal_field_width="


def test_the_beam_mills_unblanked_at_a_milling_current_and_never_while_the_stage_moves(night: Night) -> None:
    current_a, is_blanked, is_milling = IMAGING_CURRENT_A, False, False
    for call in night.calls:
        if call.name == "ion_beam.beam_current=":
            assert not is_milling
            (current_a,) = call.arguments
        elif call.name in ("ion_beam.blank", "ion_beam.unblank"):
            is_blanked = call.name == "ion_beam.blank"
        elif call.name in ("patterning.start", "patterning.resume"):
            assert not is_blanked
            assert current_a > IMAGING_CURRENT_A
            is_milling = True
        elif call.name in ("patterning.pause", "patterning.stop", "patterning.clear_patterns"):
            is_milling = False
        elif call.name == "stage.absolute_move":
            assert current_a == IMAGING_CURRENT_A
            assert not is_milling
    assert current_a == IMAGING_CURRENT_A


def test_every_pause_goes_on_or_is_cleared(night: Night) -> None:
    kept = ("patterning.start", "patterning.pause", "patterning.resume", "patterning.clear_patterns")
    engine = [call.name for call in night.calls if call.name in kept]
    followers = {after for before, after in itertools.pairwise(engine) if before == "patterning.pause"}
    assert followers <= {"patterning.resume", "patterning.clear_patterns"}


def test_the_run_ends_with_both_beams_blanked(night: Night) -> None:
    last = {}
    for call in night.calls:
        if call.name.endswith((".blank", ".unblank")):
            beam, _, action = call.name.partition(".")
            last[beam] = action
    assert last == {"ion_beam": "blank", "electron_beam": "blank"}
