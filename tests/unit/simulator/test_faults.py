"""Faults on demand: what the guarded runtime sees of each, that the safe state is reached, that a restart counts on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import simulators
import yaml
from pydantic import ValidationError
from simulators import CONDITIONS, PATTERN, SMALL_FRAME

from drivers.simulator.fault_settings import CALLS
from drivers.simulator.settings import SimulatorSettings
from fibsem_runtime.core import CancelToken, ImagePoint
from fibsem_runtime.core.errors import (
    BeamError,
    ConnectionLostError,
    FibsemError,
    HardwareError,
    MotionError,
    RefusedSettingError,
)
from fibsem_runtime.hal import GuardSettings, Microscope, guard, milling_conditions
from fibsem_runtime.hal.devices import MillingProgress, MillingState

CURRENT_PA = CONDITIONS.beam_current_a * 1e12


def instrument(*faults: dict[str, Any], state_directory: Path | None = None) -> Microscope:
    """Open a guarded simulator with a fault plan."""
    raw = simulators.microscope(simulators.settings(faults=list(faults)), state_directory=state_directory)
    return guard(raw, GuardSettings())


def at_call(name: str, number: int = 1) -> dict[str, Any]:
    return {"at": "call", "name": name, "number": number}


def at_milling(number: int = 1, current_pa: float = CURRENT_PA) -> dict[str, Any]:
    return {"at": "milling", "current_pa": current_pa, "number": number}


def move(found: Microscope, by_m: float = 100e-6) -> None:
    here = found.stage.position()
    found.stage.move_to(dataclasses.replace(here, x_m=here.x_m + by_m), cancel=CancelToken())


def mill(found: Microscope, duration_s: float | None = None) -> MillingProgress:
    """Draw unless something is drawn, and mill."""
    if found.milling.state() is MillingState.IDLE:
        found.milling.draw(PATTERN, CONDITIONS)
    return found.milling.run(duration_s=duration_s, cancel=CancelToken())


def acquire(found: Microscope) -> None:
    found.ion_beam.acquire(SMALL_FRAME, cancel=CancelToken())


def assert_safe(found: Microscope) -> None:
    """Check that the safe state, guarded by read-backs, is reached."""
    found.driver.safe_state()
    assert found.milling.state() is MillingState.IDLE
    assert found.electron_beam.is_blanked() and found.ion_beam.is_blanked()


CASES: list[tuple[dict[str, Any], Callable[[Microscope], object], type[FibsemError], str]] = [
    ({"kind": "sdk_exception", "when": at_call("ion_beam.acquire")}, acquire, HardwareError, "ApplicationServer"),
    ({"kind": "sdk_exception", "when": at_milling(), "text": "E42"}, mill, HardwareError, "milling.run failed: E42"),
    ({"kind": "hang", "when": at_call("stage.move_to"), "duration_s": 900}, move, ConnectionLostError, "900 s"),
    ({"kind": "connection_lost", "when": at_call("any"), "duration_s": 9}, move, ConnectionLostError, "within 5 s"),
    ({"kind": "refused_move", "when": at_call("stage.move_to")}, move, MotionError, "100 .m"),
    ({"kind": "short_move", "when": at_call("stage.move_to"), "travelled_fraction": 0.9}, move, MotionError, "10 .m"),
    ({"kind": "beam_trip", "when": at_call("ion_beam.acquire")}, acquire, BeamError, "off"),
]


@pytest.mark.parametrize(("fault", "action", "error", "words"), CASES, ids=[case[0]["kind"] for case in CASES])
def test_the_guarded_runtime_sees_the_fault_once_and_reaches_the_safe_state(
    fault: dict[str, Any], action: Callable[[Microscope], object], error: type[FibsemError], words: str
) -> None:
    found = instrument(fault)
    if action is mill:
        simulators.ready_to_mill(found)
    with pytest.raises(error, match=words) as caught:
        action(found)
        action(found)
    assert type(caught.value) is error
    found.clock.sleep(10)
    assert_safe(found)


@pytest.mark.parametrize(
    ("call", "action"),
    [
        ("set_current", lambda beam: beam.set_current(1e-9)),
        ("set_working_distance", lambda beam: beam.set_working_distance(20e-3)),
        ("set_shift", lambda beam: beam.set_shift(ImagePoint(1e-6, 0.0))),
        ("set_scan_rotation", lambda beam: beam.set_scan_rotation(1.0)),
        ("set_blanked", lambda beam: beam.set_blanked(blanked=True)),
    ],
)
def test_a_refused_setting_is_noticed_in_its_read_back_and_taken_the_next_time(
    call: str, action: Callable[[Any], object]
) -> None:
    found = instrument({"kind": "refused_setting", "when": at_call(f"ion_beam.{call}")})
    before = found.ion_beam.settings()
    with pytest.raises(RefusedSettingError, match="reads back"):
        action(found.ion_beam)
    assert found.ion_beam.settings() == before
    action(found.ion_beam)
    assert_safe(found)


def test_a_beam_trip_while_milling_returns_the_beam_time_really_spent() -> None:
    found = instrument({"kind": "beam_trip", "when": at_milling(2), "after_s": 3})
    simulators.ready_to_mill(found)
    assert mill(found, duration_s=5).milled_s == pytest.approx(5)
    progress = mill(found, duration_s=8)
    assert (progress.milled_s, progress.finished) == (pytest.approx(8), False)
    assert not found.ion_beam.is_on()
    for action in (mill, acquire):
        with pytest.raises(BeamError, match="off"):
            action(found)
    assert_safe(found)


def test_a_beam_that_trips_at_a_simulated_time_does_so_within_the_run() -> None:
    found = instrument({"kind": "beam_trip", "when": {"at": "time", "elapsed_s": 100}})
    simulators.ready_to_mill(found)
    found.clock.sleep(90 - found.clock.monotonic_s())
    assert mill(found).milled_s == pytest.approx(10)
    assert not found.ion_beam.is_on()


def test_a_trip_of_the_electron_beam_does_not_stop_the_ions() -> None:
    found = instrument({"kind": "beam_trip", "beam": "ELECTRON", "when": at_milling()})
    simulators.ready_to_mill(found)
    assert mill(found).finished
    assert not found.electron_beam.is_on()


def test_a_fault_at_a_current_leaves_other_currents_alone() -> None:
    found = instrument({"kind": "sdk_exception", "when": at_milling(current_pa=60)})
    simulators.ready_to_mill(found)
    assert mill(found).finished


def test_a_lost_connection_answers_nothing_until_its_time_is_over() -> None:
    found = instrument({"kind": "connection_lost", "when": at_call("stage.position"), "duration_s": 20})
    started_s = found.clock.monotonic_s()
    refused = 0
    while found.clock.monotonic_s() < started_s + 20:
        with pytest.raises(ConnectionLostError):
            found.ion_beam.is_blanked()
            found.stage.position()
        refused += 1
    assert refused == 4
    found.stage.position()
    assert_safe(found)


def test_a_safe_state_that_a_lost_connection_prevents_says_so_and_is_reached_later() -> None:
    found = instrument({"kind": "connection_lost", "when": at_call("ion_beam.acquire"), "duration_s": 60})
    with pytest.raises(ConnectionLostError):
        acquire(found)
    with pytest.raises(HardwareError, match="not in its safe state"):
        found.driver.safe_state()
    found.clock.sleep(60)
    assert_safe(found)


@pytest.mark.parametrize("is_carried_out", [False, True])
def test_an_order_whose_answer_is_lost_is_milled_or_not_as_planned(is_carried_out: bool) -> None:
    found = instrument({"kind": "hang", "when": at_milling(), "duration_s": 60, "is_carried_out": is_carried_out})
    simulators.ready_to_mill(found)
    with pytest.raises(ConnectionLostError, match="hangs"):
        mill(found, duration_s=5)
    progress = mill(found, duration_s=1)
    assert progress.milled_s == pytest.approx(6 if is_carried_out else 1)


def test_an_exception_while_milling_restores_the_imaging_current() -> None:
    found = instrument({"kind": "sdk_exception", "when": at_milling()})
    simulators.ready_to_mill(found)
    found.ion_beam.set_current(20e-12)
    with pytest.raises(HardwareError, match="milling"), milling_conditions(found, CONDITIONS):
        mill(found)
    assert found.ion_beam.settings().beam_current_a == 20e-12


def test_calls_are_counted_over_a_restart_and_a_fault_strikes_once(tmp_path: Path) -> None:
    fault = {"kind": "refused_move", "when": at_call("stage.move_to", 3)}
    found = instrument(fault, state_directory=tmp_path)
    move(found)
    move(found)
    again = instrument(fault, state_directory=tmp_path)
    with pytest.raises(MotionError):
        move(again)
    move(again)
    last = instrument(fault, state_directory=tmp_path)
    for _ in range(3):
        move(last)


def test_a_lost_connection_outlasts_a_restart(tmp_path: Path) -> None:
    fault = {"kind": "connection_lost", "when": at_call("stage.position"), "duration_s": 20}
    with pytest.raises(ConnectionLostError):
        instrument(fault, state_directory=tmp_path).stage.position()
    with pytest.raises(ConnectionLostError):
        instrument(fault, state_directory=tmp_path).stage.position()


def test_a_tripped_beam_is_on_again_when_the_instrument_is_opened_again(tmp_path: Path) -> None:
    fault = {"kind": "beam_trip", "when": at_call("ion_beam.acquire")}
    found = instrument(fault, state_directory=tmp_path)
    with pytest.raises(BeamError):
        acquire(found)
    found.driver.close()
    again = instrument(fault, state_directory=tmp_path)
    acquire(again)


def test_the_same_plan_and_seed_fail_at_the_same_moment() -> None:
    plan = {"kind": "sdk_exception", "when": at_call("any", 25)}
    moments = []
    for _ in range(2):
        found = instrument(plan)
        with pytest.raises(HardwareError):
            while True:
                move(found, by_m=1e-6)
        moments.append((found.clock.monotonic_s(), found.stage.position()))
    assert moments[0] == moments[1]


def test_without_a_plan_nothing_stands_between_the_runtime_and_the_devices() -> None:
    assert type(simulators.microscope().stage).__name__ == "SimulatedStage"


PLAN = """
faults:
  - {kind: beam_trip, when: {at: milling, current_pa: 60, number: 3}, after_s: 10}
  - {kind: sdk_exception, when: {at: call, number: 512}}
  - {kind: connection_lost, when: {at: time, elapsed_s: 3600}, duration_s: 20}
  - {kind: hang, when: {at: call, name: milling.run, number: 4}, duration_s: 600, is_carried_out: true}
"""


def test_a_plan_is_written_in_yaml() -> None:
    kinds = [fault.kind for fault in SimulatorSettings.model_validate(yaml.safe_load(PLAN)).faults]
    assert kinds == ["beam_trip", "sdk_exception", "connection_lost", "hang"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "hang", "when": at_call("stage.fly"), "duration_s": 1}, "stage.move_to"),
        ({"kind": "refused_move", "when": at_call("ion_beam.acquire")}, "cannot strike in ion_beam.acquire"),
        ({"kind": "refused_setting", "when": at_milling()}, "cannot strike in milling.run"),
        ({"kind": "short_move", "when": at_call("stage.move_to"), "travelled_fraction": 1}, "less than 1"),
        ({"kind": "explosion", "when": at_call("any")}, "beam_trip"),
        ({"kind": "hang", "when": at_call("any")}, "duration_s"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(fault: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SimulatorSettings.model_validate({"faults": [fault]})


def test_every_call_of_the_protocols_can_fail() -> None:
    assert {"stage.position", "ion_beam.acquire", "electron_beam.set_shift", "milling.stop"} <= CALLS
