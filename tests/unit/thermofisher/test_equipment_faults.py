"""What the runtime sees when a call beyond stage, beams and milling goes wrong, and that all is safe then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fault_table import FRAME, assert_safe, use_gas, use_manipulator, use_the_rest
from thermofisher_fake import EVERYTHING, FULLY_FITTED, assert_instrument_is_safe, names, opened, small_instrument

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint
from fibsem_runtime.core.errors import (
    BeamError,
    Cancelled,
    ConnectionLostError,
    HardwareError,
    InterlockError,
    MillingError,
    MotionError,
    RefusedSettingError,
    VacuumError,
)
from fibsem_runtime.hal import ColumnEquipment, GuardSettings, ManipulatorPose, Microscope, guard

Order = Callable[..., None]

BEAMS = ("electron_beam", "ion_beam")
LIVE = (
    *("horizontal_field_width.limits", "horizontal_field_width=", "horizontal_field_width", "scanning.dwell_time="),
    *("scanning.resolution.available_values", "scanning.resolution=", "scanning.bit_depth=", "scanning.bit_depth"),
    *("beam_shift", "high_voltage", "beam_current", "working_distance", "scanning.rotation", "scanning.dwell_time"),
)
SPOT = ("scanning.resolution", "blank", "unblank", "scanning.mode.set_spot", "scanning.mode", "is_blanked")

FAULTS: dict[str, type[HardwareError]] = {
    **{f"gas.get_{name}": HardwareError for name in ("gis_port", "multichem")},
    **{f"gas_port.{name}": HardwareError for name in ("insert", "open", "close", "retract")},
    **{
        f"{line}.{name}": HardwareError
        for line in ("gas_port", "multichem")
        for name in ("turn_heater_on", "turn_heater_off", "get_temperature")
    },
    **{f"multichem.{name}": HardwareError for name in ("insert", "retract")},
    **{f"sputter_coater.{name}": HardwareError for name in ("prepare", "current", "current=", "run", "recover")},
    **{
        f"manipulator.{name}": MotionError
        for name in (
            *("state", "insert", "absolute_move", "retract", "current_position"),
            *("get_saved_position", "set_default_coordinate_system"),
        )
    },
    **{f"vacuum.{name}": VacuumError for name in ("chamber_state", "chamber_pressure", "pump", "vent")},
    **{f"imaging.{name}": HardwareError for name in ("set_active_device", "grab_frame", "get_image", "state")},
    **{f"imaging.{name}": HardwareError for name in ("start_acquisition", "stop_acquisition")},
    **{f"{beam}.{name}": BeamError for beam in BEAMS for name in ("turn_on", "turn_off")},
    **{f"{beam}.{name}": HardwareError for beam in BEAMS for name in ("is_on", "scanning.mode.set_full_frame")},
    **{f"{beam}.{name}": RefusedSettingError for beam in BEAMS for name in ("stigmator", "stigmator=")},
    **{f"{beam}.stigmator.limits": RefusedSettingError for beam in BEAMS},
    **{f"{beam}.{name}": HardwareError for beam in BEAMS for name in (*LIVE, *SPOT)},
    **{f"detector.{name}.available_values": HardwareError for name in ("type", "mode")},
    **{f"detector.{name}": RefusedSettingError for name in ("type", "mode", "brightness", "contrast")},
    **{f"detector.{name}=": RefusedSettingError for name in ("type", "mode", "brightness", "contrast")},
    "auto_functions.run_auto_focus": HardwareError,
    "ion_beam.source.plasma_gas.available_values": HardwareError,
    "ion_beam.source.plasma_gas": HardwareError,
    "ion_beam.source.plasma_gas=": RefusedSettingError,
    "stage.current_position": HardwareError,
    **{f"patterning.create_{name}": MillingError for name in ("line", "circle", "polygon", "bitmap")},
}
"""Every call of `use_the_rest` beyond those of `test_faults`, and the error when the SDK raises in the first."""

HARMLESS = {"detector.state"}
"""Raises on an instrument for a detector that cannot be moved, and means that."""

COMMON = {
    *(f"imaging.{name}" for name in ("get_active_view", "set_active_view", "get_active_device")),
    *(f"pattern.{name}" for name in ("application_file", "width", "height", "depth", "time", "time=")),
    *(f"patterning.{name}" for name in ("state", "set_default_beam_type", "list_all_application_files", "mode=")),
    *(f"patterning.{name}" for name in ("clear_patterns", "start", "pause", "stop", "set_default_application_file")),
    *(f"ion_beam.{name}" for name in ("beam_current.available_values", "beam_current=", "beam_shift=")),
    "ion_beam.beam_shift.limits",
}
"""Calls that `test_faults` holds to their errors already."""


@pytest.fixture
def instrument() -> Iterator[Any]:
    """An instrument that has everything."""
    with small_instrument(**FULLY_FITTED, gas_ports=("C dep", "Pt dep")) as found:
        yield found


@pytest.fixture
def raw(instrument: Any) -> Iterator[Microscope]:
    with opened(instrument, **EVERYTHING) as microscope:
        yield microscope


@pytest.fixture
def guarded(raw: Microscope) -> Microscope:
    """The instrument with its gas needles known to be out."""
    assert raw.gas_injection is not None
    raw.gas_injection.retract(cancel=CancelToken())
    return guard(raw, GuardSettings())


OPENING = (
    *("gas.list_all_gis_ports", "gas.list_all_multichem_ports", "gas.get_multichem", "multichem.list_all_gases"),
    "manipulator.is_installed",
)


@pytest.mark.parametrize("name", OPENING)
def test_an_exception_while_opening_opens_nothing(name: str) -> None:
    with small_instrument(**FULLY_FITTED) as instrument:
        fault_type = type(instrument).__init__.__globals__["Fault"]
        instrument.faults.append(fault_type(kind="exception", name=name))
        with pytest.raises(HardwareError, match=r"Injected fault\."), opened(instrument, **EVERYTHING):
            pass


def test_the_table_holds_every_call_of_a_session() -> None:
    with small_instrument(**FULLY_FITTED) as instrument, opened(instrument, **EVERYTHING) as raw:
        opening = len(instrument.calls)
        use_the_rest(guard(raw, GuardSettings()))
        assert set(names(instrument)[opening:]) - COMMON - HARMLESS == set(FAULTS)
        assert instrument.overlapping_calls == []


@pytest.mark.parametrize("name", FAULTS)
def test_an_exception_of_the_sdk_is_an_error_of_its_family_and_the_instrument_can_be_made_safe(
    instrument: Any, raw: Microscope, fault: Order, name: str
) -> None:
    guarded = guard(raw, GuardSettings())
    fault("exception", name)
    with pytest.raises(HardwareError, match=r"Injected fault\.") as caught:
        use_the_rest(guarded)
    assert type(caught.value) is FAULTS[name]
    guarded.driver.safe_state()
    assert_instrument_is_safe(instrument)
    assert_safe(guarded)
    assert not instrument.is_coater_ready or name == "sputter_coater.recover"
    assert all(column.spot is None for column in instrument.columns.values())


@pytest.mark.usefixtures("hangs_at_once")
@pytest.mark.parametrize(
    "name",
    [
        *("gas_port.insert", "gas_port.open", "multichem.retract", "sputter_coater.run", "manipulator.insert"),
        *("manipulator.absolute_move", "imaging.grab_frame", "imaging.get_image", "vacuum.vent", "vacuum.pump"),
        *("ion_beam.turn_on", "detector.type=", "auto_functions.run_auto_focus", "ion_beam.scanning.mode.set_spot"),
        *("ion_beam.source.plasma_gas=", "patterning.create_bitmap"),
    ],
)
def test_a_call_that_hangs_ends_at_its_limit_and_the_safe_state_uses_a_new_connection(
    instrument: Any, raw: Microscope, fault: Order, name: str
) -> None:
    guarded = guard(raw, GuardSettings())
    fault("hang", name)
    with pytest.raises(HardwareError, match="no answer within"):
        use_the_rest(guarded)
    with pytest.raises(ConnectionLostError, match="connection is lost"):
        guarded.stage.position()
    guarded.driver.safe_state()
    assert_instrument_is_safe(instrument)
    assert names(instrument).count("connect") == 2


@pytest.mark.parametrize("name", ["imaging.get_image", "manipulator.absolute_move", "gas_port.open", "vacuum.pump"])
def test_a_connection_that_drops_is_made_anew_by_the_safe_state(
    instrument: Any, raw: Microscope, fault: Order, name: str
) -> None:
    guarded = guard(raw, GuardSettings())
    fault("drop", name)
    with pytest.raises(HardwareError, match=r"connection (was|is) lost"):
        use_the_rest(guarded)
    guarded.driver.safe_state()
    assert_instrument_is_safe(instrument)
    assert guarded.stage.position() == instrument.simulator.stage.position()


def _of(microscope: Microscope) -> ColumnEquipment:
    return microscope.equipment(BeamType.ION)


def _select(microscope: Microscope, name: str, mode: str | None = None) -> None:
    detectors = _of(microscope).detectors
    assert detectors is not None
    detectors.select(name, mode=mode)


def _levels(microscope: Microscope) -> None:
    detectors = _of(microscope).detectors
    assert detectors is not None
    detectors.set_levels(brightness_fraction=0.2, contrast_fraction=0.9)


def _stigmate(microscope: Microscope) -> None:
    stigmator = _of(microscope).stigmator
    assert stigmator is not None
    stigmator.set_stigmation(0.3, 0.0)


def _switch_gas(microscope: Microscope) -> None:
    source = _of(microscope).plasma_source
    assert source is not None
    source.switch_gas("Argon", cancel=CancelToken())


def _coat(microscope: Microscope) -> None:
    assert microscope.sputter_coater is not None
    microscope.sputter_coater.coat(duration_s=5.0, current_a=0.02, cancel=CancelToken())


def _look_live(microscope: Microscope) -> None:
    live_view = _of(microscope).live_view
    assert live_view is not None
    live_view.start(replace(FRAME, dwell_time_s=2e-6))


def _expose(microscope: Microscope) -> None:
    spot = _of(microscope).spot
    assert spot is not None
    spot.expose(ImagePoint(1e-6, 2e-6), duration_s=1.0, cancel=CancelToken())


REFUSALS: dict[str, tuple[Callable[[Microscope], object], type[HardwareError]]] = {
    "detector.type=": (lambda m: _select(m, "TLD"), RefusedSettingError),
    "detector.mode=": (lambda m: _select(m, "ETD", "BackscatterElectrons"), RefusedSettingError),
    "detector.contrast=": (_levels, RefusedSettingError),
    "detector.brightness=": (_levels, RefusedSettingError),
    "ion_beam.stigmator=": (_stigmate, RefusedSettingError),
    "ion_beam.source.plasma_gas=": (_switch_gas, RefusedSettingError),
    "sputter_coater.current=": (_coat, RefusedSettingError),
    "ion_beam.scanning.resolution=": (_look_live, RefusedSettingError),
    "ion_beam.scanning.dwell_time=": (_look_live, RefusedSettingError),
    "ion_beam.scanning.mode.set_spot": (_expose, RefusedSettingError),
    "manipulator.absolute_move": (use_manipulator, MotionError),
    "manipulator.insert": (use_manipulator, MotionError),
    "manipulator.retract": (use_manipulator, MotionError),
    "imaging.start_acquisition": (_look_live, HardwareError),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_refused_silently_is_noticed(raw: Microscope, fault: Order, name: str) -> None:
    use, family = REFUSALS[name]
    fault("ignore", name)
    with pytest.raises(family, match=r"reads back|from where it was sent|says that it is not|does not run"):
        use(raw)


def test_a_needle_that_stops_short_is_noticed(raw: Microscope, fault: Order) -> None:
    fault("short", "manipulator.absolute_move")
    with pytest.raises(MotionError, match="from where it was sent"):
        use_manipulator(raw)


def test_coordinates_that_were_not_taken_over_give_no_position(raw: Microscope, fault: Order) -> None:
    assert raw.manipulator is not None
    fault("ignore", "manipulator.set_default_coordinate_system")
    with pytest.raises(HardwareError, match=r"in Raw coordinates, asked were Stage"):
        raw.manipulator.position()


@pytest.mark.parametrize("beam_type", list(BeamType))
def test_a_source_that_does_not_switch_is_a_beam_error_in_time(
    raw: Microscope, fault: Order, beam_type: BeamType
) -> None:
    source, name = raw.equipment(beam_type).source, f"{beam_type.value.lower()}_beam"
    assert source is not None
    fault("ignore", f"{name}.turn_off")
    with pytest.raises(BeamError, match="reads on"):
        source.turn_off()
    source.turn_off()
    fault("ignore", f"{name}.turn_on")
    started_s = raw.clock.monotonic_s()
    with pytest.raises(BeamError, match="reads off"):
        source.turn_on(cancel=CancelToken())
    assert raw.clock.monotonic_s() - started_s < 120


@pytest.mark.parametrize("action", ["pump", "vent"])
def test_a_chamber_that_does_not_get_there_is_a_vacuum_error_in_time(
    instrument: Any, raw: Microscope, fault: Order, action: str
) -> None:
    assert raw.pump is not None
    instrument.set_chamber({"pump": "Vented", "vent": "Pumped"}[action])
    fault("ignore", f"vacuum.{action}")
    started_s = raw.clock.monotonic_s()
    with pytest.raises(VacuumError, match="instead of"):
        getattr(raw.pump, action)(cancel=CancelToken())
    assert 600 < raw.clock.monotonic_s() - started_s < 1000


def test_a_chamber_in_error_is_not_waited_for(instrument: Any, raw: Microscope, fault: Order) -> None:
    assert raw.pump is not None
    instrument.set_chamber("Error")
    fault("ignore", "vacuum.pump")
    started_s = raw.clock.monotonic_s()
    with pytest.raises(VacuumError, match="it is Error instead of Pumped"):
        raw.pump.pump(cancel=CancelToken())
    assert raw.clock.monotonic_s() - started_s < 1


def test_a_live_view_whose_start_cannot_be_confirmed_is_ended(instrument: Any, raw: Microscope, fault: Order) -> None:
    fault("exception", "imaging.state", occurrence=2)
    with pytest.raises(HardwareError, match=r"Injected fault\."):
        _look_live(raw)
    assert not instrument.live_views


def test_a_live_view_that_does_not_stop_is_an_error_and_can_be_stopped_again(
    instrument: Any, raw: Microscope, fault: Order
) -> None:
    live_view = _of(raw).live_view
    assert live_view is not None
    _look_live(raw)
    fault("ignore", "imaging.stop_acquisition")
    with pytest.raises(HardwareError, match="goes on"):
        live_view.stop()
    assert live_view.is_running
    live_view.stop()
    assert not live_view.is_running
    assert not instrument.live_views


def test_a_scan_that_does_not_come_back_from_a_spot_leaves_the_beam_blanked(
    instrument: Any, raw: Microscope, fault: Order
) -> None:
    fault("ignore", "ion_beam.scanning.mode.set_full_frame")
    with pytest.raises(HardwareError, match=r"bring back the full frame.*blank the beam"):
        _expose(raw)
    assert instrument.beam("ion_beam").is_blanked()


def test_a_blanking_that_fails_after_a_spot_still_takes_the_scan_away(
    instrument: Any, raw: Microscope, fault: Order
) -> None:
    fault("exception", "ion_beam.blank", occurrence=2)
    with pytest.raises(HardwareError, match="it may burn a hole"):
        _expose(raw)
    assert instrument.columns["ion_beam"].spot is None


def test_a_stop_ends_a_spot_and_stays_a_stop(instrument: Any, raw: Microscope) -> None:
    spot, cancel = _of(raw).spot, CancelToken()
    assert spot is not None
    instrument.on_call = lambda call: cancel.cancel("stop pressed") if call.name == "ion_beam.unblank" else None
    with pytest.raises(Cancelled):
        spot.expose(ImagePoint(0.0, 0.0), duration_s=60.0, cancel=cancel)
    assert sum(instrument.spot_exposures_s.values()) < 1
    assert instrument.columns["ion_beam"].spot is None
    assert not instrument.beam("ion_beam").is_blanked()


@pytest.mark.parametrize("name", ["sputter_coater.prepare", "sputter_coater.run", "sputter_coater.current="])
def test_the_chamber_is_recovered_whatever_stops_the_coating(
    instrument: Any, raw: Microscope, fault: Order, name: str
) -> None:
    fault("exception", name)
    with pytest.raises(HardwareError, match=r"Injected fault\."):
        _coat(raw)
    assert names(instrument)[-1] == "sputter_coater.recover"
    assert instrument.coated_as == 0


def test_a_coating_whose_recovery_fails_names_both(instrument: Any, raw: Microscope, fault: Order) -> None:
    fault("exception", "sputter_coater.run")
    fault("drop", "sputter_coater.recover")
    with pytest.raises(
        HardwareError, match=r"bring the chamber back.*connection was lost.*before that: asked to sputter"
    ):
        _coat(raw)


def test_a_stop_between_preparing_and_sputtering_sputters_nothing(instrument: Any, raw: Microscope) -> None:
    assert raw.sputter_coater is not None
    cancel = CancelToken()
    instrument.on_call = lambda call: cancel.cancel("stop pressed") if call.name == "sputter_coater.prepare" else None
    with pytest.raises(Cancelled):
        raw.sputter_coater.coat(duration_s=5.0, current_a=0.02, cancel=cancel)
    assert instrument.coated_as == 0
    assert not instrument.is_coater_ready


def test_a_valve_that_was_opened_is_closed_when_the_work_in_between_fails(
    instrument: Any, guarded: Microscope, fault: Order
) -> None:
    fault("exception", "gas_port.get_temperature", occurrence=3)
    instrument.heated_since_s["Pt dep"] = -100.0
    with pytest.raises(HardwareError, match=r"Injected fault\."):
        use_gas(guarded)
    assert not instrument.open_valves
    guarded.driver.safe_state()
    assert not instrument.inserted_needles


@pytest.mark.parametrize("name", ["gas_port.retract", "multichem.retract", "gas_port.close"])
def test_a_gas_needle_that_did_not_retract_counts_as_inserted(
    instrument: Any, raw: Microscope, fault: Order, name: str
) -> None:
    gas = raw.gas_injection
    assert gas is not None
    fault("exception", name)
    with pytest.raises(HardwareError, match=r"Injected fault\."):
        gas.retract(cancel=CancelToken())
    assert gas.is_inserted()
    gas.retract(cancel=CancelToken())
    assert not gas.is_inserted()


TWO_PORTS: dict[str, Any] = {"ports": ["C dep", "Pt dep"], "multichem_gases": ["W dep"], "highest_stage_z_mm": 33}


@pytest.mark.parametrize("name", ["gas_port.close", "gas_port.retract", "gas_port.turn_heater_off"])
def test_a_gas_line_that_fails_keeps_no_other_from_being_closed_retracted_and_cooled(
    instrument: Any, fault: Order, name: str
) -> None:
    with opened(instrument, gas=TWO_PORTS) as raw:
        gas = raw.gas_injection
        assert gas is not None
        instrument.open_valves |= {"C dep", "Pt dep"}
        instrument.inserted_needles |= {"C dep", "Pt dep", "multichem"}
        instrument.heated_since_s |= dict.fromkeys(("C dep", "Pt dep", "W dep"), 0.0)
        fault("exception", name)
        with pytest.raises(HardwareError, match=r"could not .*C dep: .*Injected fault\."):
            gas.retract(cancel=CancelToken())
        # The server leaves a needle in whose valve is open.
        assert instrument.open_valves == ({"C dep"} if name == "gas_port.close" else set())
        assert instrument.inserted_needles == (set() if name == "gas_port.turn_heater_off" else {"C dep"})
        assert set(instrument.heated_since_s) == ({"C dep"} if name == "gas_port.turn_heater_off" else set())
        assert gas.is_inserted() is (name != "gas_port.turn_heater_off")
        gas.retract(cancel=CancelToken())
        assert not gas.is_inserted()
        assert not instrument.open_valves | instrument.inserted_needles | set(instrument.heated_since_s)


def test_a_valve_that_does_not_close_counts_as_open_until_it_does(
    instrument: Any, raw: Microscope, fault: Order
) -> None:
    """Also where a server parks the needle all the same."""
    gas = raw.gas_injection
    assert gas is not None
    fault("exception", "gas_port.close")
    with pytest.raises(HardwareError, match="could not close the gas valve Pt dep"):
        gas.retract(cancel=CancelToken())
    assert gas.is_inserted()
    with pytest.raises(InterlockError, match="may be inserted or open"):
        gas.insert("W dep", cancel=CancelToken())
    gas.close_valves()
    assert not gas.is_inserted()


def test_a_focus_that_was_not_found_leaves_the_focus_from_before(
    instrument: Any, raw: Microscope, fault: Order
) -> None:
    auto_focus = raw.electron_equipment.auto_focus
    assert auto_focus is not None
    before_m = raw.electron_beam.settings().working_distance_m
    fault("short", "auto_functions.run_auto_focus")
    with pytest.raises(HardwareError, match="did not find a focus"):
        auto_focus.focus(cancel=CancelToken())
    assert raw.electron_beam.settings().working_distance_m == pytest.approx(before_m, abs=1e-9)


def test_a_camera_that_fails_leaves_the_view_of_the_beam(instrument: Any, raw: Microscope, fault: Order) -> None:
    raw.ion_beam.acquire(FRAME, cancel=CancelToken())
    assert raw.chamber_camera is not None
    fault("exception", "imaging.grab_frame")
    with pytest.raises(HardwareError, match=r"Injected fault\."):
        raw.chamber_camera.acquire(cancel=CancelToken())
    assert (instrument.active_view, instrument.devices) == (2, {1: 1, 2: 2, 3: 3, 4: 3})


def test_a_manipulator_is_retracted_by_the_safe_state_from_where_it_is(instrument: Any, raw: Microscope) -> None:
    assert raw.manipulator is not None
    raw.manipulator.insert(ManipulatorPose.WORKING, cancel=CancelToken())
    raw.driver.safe_state()
    assert_instrument_is_safe(instrument)
