"""The patterning engine: refusals, beam time that is honest, drift that is followed, orders that survive."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import simulators
from pytest_mock import MockerFixture
from simulators import CONDITIONS, PATTERN, WatchingToken

from drivers.simulator import targets
from drivers.simulator.optics import first_hit
from fibsem_runtime.core import BeamType, CancelToken, ImagePoint
from fibsem_runtime.core.errors import BeamError, Cancelled, InterlockError, MillingError, RefusedSettingError
from fibsem_runtime.hal.devices import MillingState
from fibsem_runtime.hal.microscope import Microscope

TOTAL_S = 2 * 3e-6 * 1e-6 * 4e-6 * CONDITIONS.dose_c_per_m3 / CONDITIONS.beam_current_a


@pytest.fixture
def instrument() -> Microscope:
    found = simulators.microscope(simulators.settings(only="drift"))
    simulators.ready_to_mill(found)
    return found


def removed(instrument: Microscope) -> float:
    """Return how many samples of the cuts the beam has touched."""
    return sum(int(np.isfinite(cut.front_m).sum()) for cut in instrument.driver.machine.sample.cuts)  # type: ignore[attr-defined]


def test_the_estimate_is_area_times_depth_times_dose_over_current(instrument: Microscope) -> None:
    assert instrument.milling.draw(PATTERN, CONDITIONS) == pytest.approx(TOTAL_S)
    assert instrument.milling.state() is MillingState.IDLE
    assert instrument.ion_beam.settings().hfw_m == CONDITIONS.hfw_m


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"beam_current_a": 1e-9}, "current of 1 nA was asked for, the ion beam has 300 pA"),
        ({"voltage_v": 16e3}, "voltage of 16 kV was asked for, the ion beam has 30 kV"),
        ({"hfw_m": 2e-3}, "milling field of 2 mm"),
    ],
)
def test_conditions_that_are_not_the_beams_are_refused(
    instrument: Microscope, change: dict[str, float], words: str
) -> None:
    with pytest.raises(RefusedSettingError, match=words):
        instrument.milling.draw(PATTERN, replace(CONDITIONS, **change))
    with pytest.raises(MillingError, match="nothing is drawn"):
        instrument.milling.run(cancel=CancelToken())


def test_a_current_changed_after_drawing_is_noticed_before_the_beam_starts(instrument: Microscope) -> None:
    instrument.milling.draw(PATTERN, CONDITIONS)
    instrument.ion_beam.set_current(1e-9)
    with pytest.raises(RefusedSettingError, match="nothing was milled"):
        instrument.milling.run(cancel=CancelToken())
    assert removed(instrument) == 0


@pytest.mark.parametrize("y_um", [13.0, -13.0, math.nan])
def test_a_shape_outside_the_field_is_refused_and_the_old_drawing_stays(instrument: Microscope, y_um: float) -> None:
    instrument.milling.draw(PATTERN, CONDITIONS)
    outside = replace(PATTERN[0], centre=ImagePoint(0.0, y_um * 1e-6))
    with pytest.raises(MillingError, match="field"):
        instrument.milling.draw([PATTERN[0], outside], CONDITIONS)
    assert instrument.milling.run(cancel=CancelToken()).total_s == pytest.approx(TOTAL_S)


@pytest.mark.parametrize("state", ["blanked", "off"])
def test_a_beam_that_is_blanked_or_off_does_not_mill(instrument: Microscope, state: str) -> None:
    instrument.milling.draw(PATTERN, CONDITIONS)
    beam = instrument.driver.machine.state.ion_beam  # type: ignore[attr-defined]
    beam.is_blanked, beam.is_on = state == "blanked", state != "off"
    with pytest.raises(BeamError, match=state):
        instrument.milling.run(cancel=CancelToken())
    assert removed(instrument) == 0


def test_milling_takes_its_beam_time_and_ends_idle(instrument: Microscope) -> None:
    instrument.milling.draw(PATTERN, CONDITIONS)
    start_s = instrument.clock.monotonic_s()
    progress = instrument.milling.run(cancel=CancelToken())
    assert progress.finished
    assert progress.milled_s == progress.total_s == pytest.approx(TOTAL_S)
    assert instrument.clock.monotonic_s() - start_s == pytest.approx(TOTAL_S)
    assert instrument.milling.state() is MillingState.IDLE
    assert removed(instrument) > 0


def test_an_interval_pauses_and_the_next_one_goes_on(instrument: Microscope) -> None:
    instrument.milling.draw(PATTERN, CONDITIONS)
    first = instrument.milling.run(duration_s=5.0, cancel=CancelToken())
    assert (first.milled_s, first.finished) == (pytest.approx(5.0), False)
    assert instrument.milling.state() is MillingState.PAUSED
    instrument.ion_beam.acquire(simulators.SMALL_FRAME, cancel=CancelToken())
    instrument.ion_beam.set_shift(ImagePoint(10e-9, 0.0))
    with pytest.raises(InterlockError, match="paused"):
        instrument.milling.draw(PATTERN, CONDITIONS)
    second = instrument.milling.run(duration_s=1e4, cancel=CancelToken())
    assert second.finished
    assert second.milled_s == pytest.approx(TOTAL_S)


def test_nothing_else_happens_while_the_beam_mills(instrument: Microscope) -> None:
    seen: list[MillingState] = []

    def watch(_: CancelToken) -> None:
        seen.append(instrument.milling.state())
        if instrument.milling.state() is not MillingState.RUNNING:
            return
        for forbidden in (
            lambda: instrument.stage.move_to(instrument.stage.position(), cancel=CancelToken()),
            lambda: instrument.electron_beam.acquire(simulators.SMALL_FRAME, cancel=CancelToken()),
            lambda: instrument.ion_beam.set_current(1e-9),
            lambda: instrument.milling.draw(PATTERN, CONDITIONS),
            lambda: instrument.milling.run(cancel=CancelToken()),
        ):
            with pytest.raises(InterlockError, match="while the ion beam is milling"):
                forbidden()

    instrument.milling.draw(PATTERN, CONDITIONS)
    assert instrument.milling.run(cancel=WatchingToken(watch)).finished
    assert MillingState.RUNNING in seen


def test_a_cancelled_run_returns_what_it_has_milled_and_can_go_on(instrument: Microscope) -> None:
    def watch(token: CancelToken) -> None:
        if instrument.clock.monotonic_s() > start_s + 4:
            token.cancel("operator")

    instrument.milling.draw(PATTERN, CONDITIONS)
    start_s = instrument.clock.monotonic_s()
    progress = instrument.milling.run(cancel=WatchingToken(watch))
    assert 4 < progress.milled_s < TOTAL_S
    assert not progress.finished
    assert progress.milled_s == pytest.approx(instrument.clock.monotonic_s() - start_s)
    assert instrument.milling.run(cancel=CancelToken()).finished


def test_a_run_that_is_cancelled_beforehand_mills_nothing(instrument: Microscope) -> None:
    cancel = CancelToken()
    cancel.cancel("operator")
    instrument.milling.draw(PATTERN, CONDITIONS)
    with pytest.raises(Cancelled):
        instrument.milling.run(cancel=cancel)
    assert removed(instrument) == 0


def test_the_emergency_stop_ends_milling_from_another_thread(instrument: Microscope) -> None:
    stopper = threading.Thread(target=instrument.milling.stop)

    def watch(_: CancelToken) -> None:
        if not stopper.is_alive() and stopper.ident is None and instrument.milling.state() is MillingState.RUNNING:
            stopper.start()
            while stopper.is_alive() and not instrument.milling._stop_asked:  # type: ignore[attr-defined]
                stopper.join(0.001)

    instrument.milling.draw(PATTERN, CONDITIONS)
    progress = instrument.milling.run(cancel=WatchingToken(watch))
    stopper.join()
    assert not progress.finished
    assert instrument.milling.state() is MillingState.IDLE
    with pytest.raises(MillingError, match="nothing is drawn"):
        instrument.milling.run(cancel=CancelToken())


def test_stopping_twice_is_harmless_and_clears_the_drawing(instrument: Microscope) -> None:
    instrument.milling.draw(PATTERN, CONDITIONS)
    instrument.milling.run(duration_s=1.0, cancel=CancelToken())
    for _ in range(2):
        instrument.milling.stop()
        assert instrument.milling.state() is MillingState.IDLE
    with pytest.raises(MillingError, match="nothing is drawn"):
        instrument.milling.run(cancel=CancelToken())


def test_beam_time_to_leave_out_goes_with_the_first_call_only(instrument: Microscope) -> None:
    total_s = instrument.milling.draw(PATTERN, CONDITIONS)
    with pytest.raises(MillingError, match="leaving out"):
        instrument.milling.run(skip_s=total_s + 1, cancel=CancelToken())
    progress = instrument.milling.run(duration_s=2.0, skip_s=total_s / 2, cancel=CancelToken())
    assert progress.milled_s == pytest.approx(total_s / 2 + 2.0)
    with pytest.raises(MillingError, match="first call only"):
        instrument.milling.run(skip_s=1.0, cancel=CancelToken())


def test_sub_steps_follow_the_drift_without_a_gap(instrument: Microscope, mocker: MockerFixture) -> None:
    milled = mocker.spy(targets, "mill")
    instrument.milling.draw(PATTERN, CONDITIONS)
    instrument.milling.run(duration_s=9.0, cancel=CancelToken())
    instrument.milling.run(cancel=CancelToken())
    intervals = [(call.kwargs["from_s"], call.kwargs["until_s"]) for call in milled.call_args_list]
    views = [call.args[4].origin for call in milled.call_args_list]
    assert intervals[0][0] == 0.0
    assert intervals[-1][1] == pytest.approx(TOTAL_S)
    assert all(before[1] == after[0] for before, after in pairwise(intervals))
    steps_m = [math.dist(before, after) for before, after in pairwise(views)]
    assert all(0 < step_m < 8e-9 for step_m in steps_m)


def test_every_sub_step_sees_the_sample_where_it_has_drifted_to_midway(
    instrument: Microscope, mocker: MockerFixture
) -> None:
    milled = mocker.spy(targets, "mill")
    machine = instrument.driver.machine  # type: ignore[attr-defined]
    instrument.milling.draw(PATTERN, CONDITIONS)
    start_s, start = instrument.clock.monotonic_s(), machine.view(BeamType.ION)
    instrument.milling.run(cancel=CancelToken())

    def drift_m(time_s: float) -> np.ndarray:
        return machine.disturbances.drift_m(machine.state.stage, time_s)

    tilt_rad = instrument.chain.ion_column_tilt_rad
    image_up = np.array([0.0, math.cos(tilt_rad), -math.sin(tilt_rad)])
    for call in milled.call_args_list:
        midway_s = start_s + (call.kwargs["from_s"] + call.kwargs["until_s"]) / 2
        drifted_m = drift_m(midway_s) - drift_m(start_s)
        offset_m = call.args[4].origin - start.origin
        assert offset_m @ start.right == pytest.approx(-drifted_m[0], abs=1e-13)
        assert offset_m @ start.up == pytest.approx(-drifted_m @ image_up, abs=1e-13)


def test_milling_in_two_drawings_with_skipped_time_leaves_the_floor_of_one() -> None:
    def floors(*, interrupted: bool) -> list[np.ndarray]:
        found = simulators.microscope()
        simulators.ready_to_mill(found)
        total_s = found.milling.draw(PATTERN[:1], CONDITIONS)
        found.milling.run(duration_s=total_s / 2 if interrupted else None, cancel=CancelToken())
        if interrupted:
            found.milling.stop()
            found.milling.draw(PATTERN[:1], CONDITIONS)
            found.milling.run(skip_s=total_s / 2, cancel=CancelToken())
        machine = found.driver.machine  # type: ignore[attr-defined]
        view = machine.view(BeamType.ION)
        hits = [first_hit(machine.sample, view, ImagePoint(x, 1.5e-6)) for x in (-1e-6, 0.0, 0.7e-6)]
        return [np.array([hit.x_m, hit.y_m, hit.z_m]) for hit in hits if hit is not None]

    whole, halves = floors(interrupted=False), floors(interrupted=True)
    assert len(whole) == 3
    assert halves == [pytest.approx(place, abs=2e-9) for place in whole]
