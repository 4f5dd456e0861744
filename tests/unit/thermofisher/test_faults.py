"""What the runtime sees when a call to AutoScript goes wrong, and that the instrument can be made safe afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fault_table import CONDITIONS, FRAME, SHAPES, assert_safe, use_everything, use_milling, use_stage
from thermofisher_fake import GAS, assert_instrument_is_safe, insert_needle, names, opened, small_instrument

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, RelativeArea
from fibsem_runtime.core.errors import (
    BeamError,
    Cancelled,
    ConnectionLostError,
    HardwareError,
    MillingError,
    MotionError,
    RefusedSettingError,
    VacuumError,
)
from fibsem_runtime.hal import Microscope, MillingSettings, MillingState, RectangleShape, milling_conditions

Order = Callable[..., None]

BEAM_READS = (
    *("beam_shift", "beam_shift.limits", "stigmator", "high_voltage", "beam_current", "working_distance"),
    *("working_distance.limits", "horizontal_field_width", "horizontal_field_width.limits", "scanning.rotation"),
    *("is_on", "is_blanked", "scanning.mode.set_full_frame", "horizontal_field_width="),
    "scanning.resolution.available_values",
)
BEAM_WRITES = ("beam_shift=", "scanning.rotation=", "blank", "unblank")
PATTERN = ("application_file", "rotation", "rotation=", "scan_direction", "scan_direction=", "width", "height", "depth")
PATTERNING = (
    *("state", "set_default_beam_type", "list_all_application_files", "mode=", "clear_patterns", "start", "pause"),
    *("set_default_application_file", "create_rectangle", "create_cleaning_cross_section", "resume", "stop"),
)

FAULTS: dict[str, type[HardwareError]] = {
    **{f"{beam}.{name}": HardwareError for beam in ("electron_beam", "ion_beam") for name in BEAM_READS},
    **{f"{beam}.{name}": RefusedSettingError for beam in ("electron_beam", "ion_beam") for name in BEAM_WRITES},
    **{f"detector.{name}": HardwareError for name in ("type", "mode", "brightness", "contrast")},
    "auto_functions.run_auto_cb": HardwareError,
    "imaging.grab_frame": HardwareError,
    "ion_beam.beam_current.available_values": HardwareError,
    "ion_beam.beam_current=": RefusedSettingError,
    "ion_beam.working_distance=": RefusedSettingError,
    # The session's first of each of these is part of reading the milling state before the stage moves.
    **{f"imaging.{name}": MillingError for name in ("get_active_view", "set_active_view", "get_active_device")},
    **{f"patterning.{name}": MillingError for name in PATTERNING},
    **{f"pattern.{name}": MillingError for name in (*PATTERN, "time", "time=")},
    "stage.current_position": MotionError,
    "stage.absolute_move": MotionError,
    # Restoring the focus is part of a stage move.
    "electron_beam.working_distance=": MotionError,
    "manipulator.state": MotionError,
    "vacuum.chamber_state": VacuumError,
}
"""Every call of a session on an open instrument, and the error when the SDK raises in the first of them."""

OPENING: dict[str, type[HardwareError]] = {
    "connect": ConnectionLostError,
    **{f"service.system.{name}": HardwareError for name in ("name", "serial_number", "version")},
    "service.autoscript.server.version": HardwareError,
    "compustage.is_installed": MotionError,
    "stage.is_homed": MotionError,
    "stage.set_default_coordinate_system": MotionError,
    "stage.get_axis_limits": MotionError,
    "manipulator.is_installed": HardwareError,
}


def test_the_table_holds_every_call_of_a_session(instrument: Any, guarded: Microscope) -> None:
    opening = names(instrument)
    use_everything(guarded)
    assert set(opening) == set(OPENING)
    assert set(names(instrument)[len(opening) :]) == set(FAULTS)
    assert instrument.overlapping_calls == []


@pytest.mark.parametrize("name", FAULTS)
def test_an_exception_of_the_sdk_is_an_error_of_its_family_and_the_instrument_can_be_made_safe(
    instrument: Any, guarded: Microscope, fault: Order, name: str
) -> None:
    fault("exception", name)
    with pytest.raises(HardwareError, match=r"Injected fault\.") as caught:
        use_everything(guarded)
    assert type(caught.value) is FAULTS[name]
    guarded.driver.safe_state()
    assert_instrument_is_safe(instrument)
    assert_safe(guarded)


@pytest.mark.parametrize("name", OPENING)
def test_an_exception_while_opening_leaves_nothing_connected(name: str) -> None:
    with small_instrument() as instrument:
        fault_type = type(instrument).__init__.__globals__["Fault"]
        instrument.faults.append(fault_type(kind="exception", name=name))
        with pytest.raises(HardwareError, match=r"Injected fault\.") as caught, opened(instrument):
            pass
        assert type(caught.value) is OPENING[name]
        assert not any(thread.name == "autoscript" and thread.is_alive() for thread in _threads_after_a_moment())


def _threads_after_a_moment() -> list[threading.Thread]:
    """Return the threads that are left once those that are ending have ended."""
    for thread in threading.enumerate():
        if thread.name == "autoscript":
            thread.join(timeout=10)
    return threading.enumerate()


HANGS = {
    "imaging.grab_frame": ConnectionLostError,
    "stage.absolute_move": ConnectionLostError,
    "stage.current_position": ConnectionLostError,
    "ion_beam.beam_current=": ConnectionLostError,
    "patterning.create_rectangle": ConnectionLostError,
    "patterning.start": ConnectionLostError,
    "patterning.pause": ConnectionLostError,
    "patterning.state": ConnectionLostError,
}


@pytest.mark.usefixtures("hangs_at_once")
@pytest.mark.parametrize("name", HANGS)
def test_a_call_that_hangs_ends_at_its_limit_and_the_safe_state_uses_a_new_connection(
    instrument: Any, guarded: Microscope, fault: Order, name: str
) -> None:
    fault("hang", name)
    # Restoring the imaging conditions fails as well on a lost connection; the message names both.
    with pytest.raises(HardwareError, match="no answer within"):
        use_everything(guarded)
    with pytest.raises(ConnectionLostError, match="connection is lost"):
        guarded.stage.position()
    guarded.driver.safe_state()
    assert_instrument_is_safe(instrument)
    assert names(instrument).count("connect") == 2
    assert_safe(guarded)


@pytest.mark.parametrize("name", ["imaging.grab_frame", "stage.absolute_move", "patterning.pause"])
def test_a_connection_that_drops_is_lost_until_the_safe_state_makes_it_anew(
    instrument: Any, guarded: Microscope, fault: Order, name: str
) -> None:
    fault("drop", name)
    with pytest.raises(HardwareError, match=r"connection (was|is) lost"):
        use_everything(guarded)
    with pytest.raises(ConnectionLostError, match="connection is lost"):
        guarded.stage.position()
    guarded.driver.safe_state()
    assert_instrument_is_safe(instrument)
    assert guarded.stage.position() == instrument.simulator.stage.position()


def test_an_instrument_that_is_gone_is_named_by_the_safe_state(
    instrument: Any, guarded: Microscope, fault: Order
) -> None:
    fault("drop", "imaging.grab_frame")
    with pytest.raises(ConnectionLostError):
        guarded.ion_beam.acquire(FRAME, cancel=CancelToken())
    for occurrence in range(1, 20):
        fault("exception", "connect", occurrence=occurrence)
    with pytest.raises(HardwareError, match=r"reach the instrument.*go to the instrument"):
        guarded.driver.safe_state()


REFUSALS: dict[str, Callable[[Microscope], object]] = {
    "ion_beam.beam_current=": lambda m: m.ion_beam.set_current(m.ion_beam.available_currents_a[-1]),
    "electron_beam.beam_current=": lambda m: m.electron_beam.set_current(m.electron_beam.available_currents_a[-1]),
    "ion_beam.high_voltage=": lambda m: m.ion_beam.set_voltage(8e3),
    "electron_beam.high_voltage=": lambda m: m.electron_beam.set_voltage(5e3),
    "ion_beam.working_distance=": lambda m: m.ion_beam.set_working_distance(0.0191),
    "ion_beam.beam_shift=": lambda m: m.ion_beam.set_shift(ImagePoint(1e-6, 0)),
    "ion_beam.scanning.rotation=": lambda m: m.ion_beam.set_scan_rotation(1.0),
    "ion_beam.blank": lambda m: m.ion_beam.set_blanked(blanked=True),
    "ion_beam.horizontal_field_width=": lambda m: m.ion_beam.acquire(FRAME, cancel=CancelToken()),
    "pattern.time=": use_milling,
    "pattern.rotation=": lambda m: m.milling.draw([_turned()], _present(m)),
    "patterning.set_default_application_file": use_milling,
}


def _turned() -> RectangleShape:
    return replace(SHAPES[0], rotation_rad=0.3)


def _present(microscope: Microscope) -> MillingSettings:
    return replace(CONDITIONS, beam_current_a=microscope.ion_beam.settings().beam_current_a)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_setting_that_is_refused_silently_is_noticed(raw: Microscope, fault: Order, name: str) -> None:
    fault("ignore", name)
    with pytest.raises((RefusedSettingError, MillingError), match=r"reads back|does not support") as caught:
        REFUSALS[name](raw)
    assert isinstance(caught.value, RefusedSettingError) or "application" in name


def test_a_view_that_did_not_change_takes_no_image(instrument: Any, raw: Microscope, fault: Order) -> None:
    raw.electron_beam.acquire(FRAME, cancel=CancelToken())
    fault("ignore", "imaging.set_active_view")
    with pytest.raises(HardwareError, match="view"):
        raw.ion_beam.acquire(FRAME, cancel=CancelToken())
    assert names(instrument).count("imaging.grab_frame") == 1


def test_a_view_that_another_program_changes_during_the_frame_gives_no_image(instrument: Any, raw: Microscope) -> None:
    def meddle(call: Any) -> None:
        if call.name == "imaging.grab_frame":
            instrument.active_view = 1

    instrument.on_call = meddle
    with pytest.raises(HardwareError, match="close other programs"):
        raw.ion_beam.acquire(FRAME, cancel=CancelToken())


def test_a_full_frame_follows_a_reduced_area(raw: Microscope) -> None:
    area = RelativeArea(left_fraction=0.25, top_fraction=0.25, width_fraction=0.5, height_fraction=0.5)
    assert raw.ion_beam.acquire(replace(FRAME, reduced_area=area), cancel=CancelToken()).shape == (256, 384)
    assert raw.ion_beam.acquire(FRAME, cancel=CancelToken()).shape == (512, 768)
    raw.ion_beam.acquire(replace(FRAME, reduced_area=area), cancel=CancelToken())
    raw.ion_beam.auto_contrast(cancel=CancelToken())


def test_a_reduced_area_that_sticks_is_no_full_frame(raw: Microscope, fault: Order) -> None:
    area = RelativeArea(left_fraction=0.25, top_fraction=0.25, width_fraction=0.5, height_fraction=0.5)
    raw.ion_beam.acquire(replace(FRAME, reduced_area=area), cancel=CancelToken())
    fault("ignore", "ion_beam.scanning.mode.set_full_frame")
    with pytest.raises(RefusedSettingError, match="768 x 512"):
        raw.ion_beam.acquire(FRAME, cancel=CancelToken())


def test_a_move_that_stops_short_is_sent_again(instrument: Any, raw: Microscope, fault: Order) -> None:
    fault("short", "stage.absolute_move")
    use_stage(raw)
    assert names(instrument).count("stage.absolute_move") == 2


def test_a_move_that_stops_short_twice_is_an_error(instrument: Any, guarded: Microscope, fault: Order) -> None:
    fault("short", "stage.absolute_move")
    fault("short", "stage.absolute_move", occurrence=2)
    with pytest.raises(MotionError, match="stopped"):
        use_stage(guarded)
    assert guarded.stage.position() == instrument.simulator.stage.position()
    guarded.driver.safe_state()
    assert_instrument_is_safe(instrument)


@pytest.mark.parametrize("state", ["Error", "Idle", "Running"])
def test_a_beam_that_trips_while_milling_is_a_beam_error(instrument: Any, guarded: Microscope, state: str) -> None:
    instrument.beam_trip_after_s, instrument.trip_state = 4.0, state
    with pytest.raises(HardwareError, match="went off while milling") as caught:
        use_milling(guarded)
    assert isinstance(caught.value, BeamError)
    assert guarded.milling.state() is MillingState.IDLE
    guarded.driver.safe_state()
    assert_instrument_is_safe(instrument)


@pytest.mark.parametrize("moment", ["patterning.state", "patterning.pause"])
def test_a_beam_that_trips_in_an_interval_counts_as_no_beam_time(instrument: Any, raw: Microscope, moment: str) -> None:
    """The engine goes on as if nothing had happened; the last look at the beam comes after the pause."""
    raw.ion_beam.set_current(CONDITIONS.beam_current_a)
    raw.milling.draw([_deep()], CONDITIONS)
    instrument.trip_state = "Running"

    def trip(call: Any) -> None:
        if call.name == moment and instrument.owed_s > 2:
            instrument.beam_trip_after_s = 2.5

    instrument.on_call = trip
    with pytest.raises(BeamError, match="went off while milling"):
        raw.milling.run(duration_s=3.0, cancel=CancelToken())
    assert ("patterning.pause" in names(instrument)) is (moment == "patterning.pause")
    assert instrument.patterning.state_now() == "Idle"


def test_a_short_pattern_during_which_the_beam_trips_is_not_called_finished(instrument: Any, raw: Microscope) -> None:
    raw.ion_beam.set_current(CONDITIONS.beam_current_a)
    assert raw.milling.draw([replace(SHAPES[0], depth_m=0.2e-6)], CONDITIONS) < 2.0
    instrument.beam_trip_after_s, instrument.trip_state = 0.3, "Idle"
    with pytest.raises(BeamError, match="went off while milling"):
        raw.milling.run(cancel=CancelToken())
    assert "patterning.run" in names(instrument)


def test_milling_that_is_stopped_at_the_instrument_is_not_called_finished(instrument: Any, guarded: Microscope) -> None:
    def press_stop(call: Any) -> None:
        if call.name == "patterning.state" and instrument.owed_s > 2:
            instrument.patterning.stop()

    with milling_conditions(guarded, CONDITIONS):
        guarded.milling.draw(SHAPES, CONDITIONS)
        instrument.on_call = press_stop
        with pytest.raises(MillingError, match="stopped at the instrument or failed"):
            guarded.milling.run(cancel=CancelToken())


def test_milling_that_does_not_start_is_an_error_in_time(instrument: Any, guarded: Microscope, fault: Order) -> None:
    fault("ignore", "patterning.start")
    started_s = guarded.clock.monotonic_s()
    with pytest.raises(MillingError, match="does not run"):
        use_milling(guarded)
    assert guarded.clock.monotonic_s() - started_s < 120
    guarded.driver.safe_state()
    assert_instrument_is_safe(instrument)


def test_milling_that_does_not_pause_is_stopped(instrument: Any, guarded: Microscope, fault: Order) -> None:
    fault("ignore", "patterning.pause")
    with milling_conditions(guarded, CONDITIONS):
        guarded.milling.draw([_deep()], CONDITIONS)
        with pytest.raises(MillingError, match="pause"):
            guarded.milling.run(duration_s=3.0, cancel=CancelToken())
        assert instrument.patterning.state_now() == "Idle"


def _deep() -> RectangleShape:
    return replace(SHAPES[0], depth_m=10e-6)


def test_an_error_whose_stop_fails_as_well_names_both(instrument: Any, raw: Microscope, fault: Order) -> None:
    mill_a_while(raw)
    fault("exception", "patterning.resume")
    fault("exception", "patterning.stop")
    with pytest.raises(MillingError, match=r"asked to resume milling.*and then: asked to stop milling.*stop button"):
        raw.milling.run(cancel=CancelToken())
    raw.milling.stop()
    assert instrument.patterning.state_now() == "Idle"


def test_a_connection_lost_while_milling_says_that_nothing_was_stopped(raw: Microscope, fault: Order) -> None:
    mill_a_while(raw)
    fault("drop", "patterning.resume")
    with pytest.raises(MillingError, match=r"resume milling, the connection was lost.*and then.*stop button"):
        raw.milling.run(cancel=CancelToken())


def test_an_error_while_milling_leaves_nothing_drawn_that_could_be_milled_twice(
    instrument: Any, raw: Microscope, fault: Order
) -> None:
    raw.ion_beam.set_current(CONDITIONS.beam_current_a)
    raw.milling.draw(SHAPES, CONDITIONS)
    fault("exception", "patterning.pause")
    with pytest.raises(MillingError):
        raw.milling.run(duration_s=3.0, cancel=CancelToken())
    assert instrument.patterning.state_now() == "Idle"
    with pytest.raises(MillingError, match="drawn"):
        raw.milling.run(cancel=CancelToken())


def test_a_stop_is_sent_while_another_program_holds_the_view_and_reported(instrument: Any, raw: Microscope) -> None:
    mill_a_while(raw)

    def hold_view(call: Any) -> None:
        if call.name == "imaging.get_active_view":
            instrument.active_view = 1

    instrument.on_call = hold_view
    with pytest.raises(MillingError, match=r"told to stop.*close other programs.*stop button.*and then"):
        raw.milling.stop()
    assert "patterning.stop" in names(instrument)
    assert instrument.patterning.state_now() == "Idle"
    instrument.on_call = None
    raw.milling.stop()


@pytest.mark.parametrize("kind", ["exception", "ignore"])
def test_a_stop_whose_view_fails_once_is_sent_and_confirmed(
    instrument: Any, raw: Microscope, fault: Order, kind: str
) -> None:
    mill_a_while(raw)
    raw.electron_beam.acquire(FRAME, cancel=CancelToken())
    fault(kind, "imaging.set_active_view")
    raw.milling.stop()
    assert instrument.patterning.state_now() == "Idle"


@pytest.mark.parametrize("moment", ["ion_beam.beam_current=", "patterning.create_rectangle", "pattern.time="])
def test_a_stop_while_preparing_starts_no_beam(instrument: Any, guarded: Microscope, moment: str) -> None:
    cancel = CancelToken()
    instrument.on_call = lambda call: cancel.cancel("stop pressed") if call.name == moment else None
    before = guarded.ion_beam.settings()
    with pytest.raises(Cancelled), milling_conditions(guarded, CONDITIONS):
        guarded.milling.draw(SHAPES, CONDITIONS)
        guarded.milling.run(cancel=cancel)
    assert {"patterning.start", "patterning.run"}.isdisjoint(names(instrument))
    assert guarded.ion_beam.settings().beam_current_a == before.beam_current_a
    guarded.driver.safe_state()
    assert_instrument_is_safe(instrument)


def test_a_stop_just_before_the_start_starts_no_beam(instrument: Any, raw: Microscope) -> None:
    """The token is looked at once more after the last check of the beam (safety.md section 2)."""
    raw.ion_beam.set_current(CONDITIONS.beam_current_a)
    raw.milling.draw(SHAPES, CONDITIONS)
    cancel = CancelToken()
    instrument.on_call = lambda call: cancel.cancel("stop pressed") if call.name == "ion_beam.is_blanked" else None
    with pytest.raises(Cancelled):
        raw.milling.run(cancel=cancel)
    assert "patterning.start" not in names(instrument)


SAFE_CALLS = (
    *("patterning.state", "patterning.clear_patterns", "patterning.stop", "gas_port.close", "gas_port.retract"),
    *("ion_beam.blank", "electron_beam.blank", "manipulator.absolute_move", "manipulator.retract"),
)


def mill_a_while(microscope: Microscope) -> None:
    """Leave a paused pattern."""
    microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
    microscope.milling.draw([_deep()], CONDITIONS)
    microscope.milling.run(duration_s=2.0, cancel=CancelToken())


def leave_everything_open(instrument: Any, microscope: Microscope) -> None:
    """Leave a paused pattern, unblanked beams, an open gas valve and an inserted manipulator."""
    insert_needle(instrument)
    mill_a_while(microscope)
    instrument.open_valves.add("Pt dep")
    instrument.inserted_needles.add("Pt dep")


def test_the_safe_state_goes_in_the_order_of_the_safety_rules(instrument: Any) -> None:
    with opened(instrument, **GAS) as raw:
        leave_everything_open(instrument, raw)
        start = len(instrument.calls)
        raw.driver.safe_state()
        done = [name for name in names(instrument)[start:] if name in SAFE_CALLS and name != "patterning.state"]
        assert done == [
            *("patterning.stop", "patterning.clear_patterns", "gas_port.close", "ion_beam.blank"),
            *("electron_beam.blank", "gas_port.close", "gas_port.retract"),
            *("manipulator.absolute_move", "manipulator.retract"),
        ]
        assert_instrument_is_safe(instrument)
        assert not instrument.inserted_needles


@pytest.mark.parametrize("name", SAFE_CALLS)
def test_a_safe_state_tries_everything_and_names_what_failed(instrument: Any, fault: Order, name: str) -> None:
    with opened(instrument, **GAS) as raw:
        leave_everything_open(instrument, raw)
        fault("exception", name)
        if name == "gas_port.close":
            fault("exception", name, occurrence=2)
        with pytest.raises(HardwareError, match=r"Injected fault\."):
            raw.driver.safe_state()
        unblanked = {
            f"{beam}.blank" for beam in ("ion_beam", "electron_beam") if not instrument.beam(beam).is_blanked()
        }
        assert unblanked <= {name}
        assert instrument.manipulator_state == "Retracted" or name.startswith("manipulator")
        raw.driver.safe_state()
        assert_instrument_is_safe(instrument)


@pytest.mark.parametrize("name", [name for name in SAFE_CALLS if name != "gas_port.close"])
def test_a_connection_that_drops_within_the_safe_state_is_made_anew_for_the_rest(
    instrument: Any, fault: Order, name: str
) -> None:
    with opened(instrument, **GAS) as raw:
        leave_everything_open(instrument, raw)
        fault("drop", name)
        with pytest.raises(HardwareError, match="connection was lost"):
            raw.driver.safe_state()
        assert {
            f"{beam}.blank" for beam in ("ion_beam", "electron_beam") if not instrument.beam(beam).is_blanked()
        } <= {name}
        assert instrument.manipulator_state == "Retracted" or name.startswith("manipulator")
        raw.driver.safe_state()
        assert_instrument_is_safe(instrument)


def test_a_manipulator_that_may_hold_the_sample_stays_when_the_site_says_so(instrument: Any) -> None:
    with opened(instrument, safe_state_retracts_manipulator=False) as raw:
        insert_needle(instrument)
        with pytest.raises(HardwareError, match="stays where it is"):
            raw.driver.safe_state()
        assert instrument.manipulator_state == "Inserted"
        assert all(raw.beam(beam_type).is_blanked() for beam_type in BeamType)
