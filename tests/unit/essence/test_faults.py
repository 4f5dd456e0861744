"""The fault table of both TESCAN drivers: what the runtime sees, and that the instrument is safe afterwards."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from essence_rigs import CONDITIONS, FRAME, SHAPES, Rig, guarded, mill, retract, use_beams
from essence_rigs import rig as a_rig
from fault_table import assert_safe, use_chamber, use_equipment, use_gas, use_manipulator, use_other_shapes
from pydantic import ValidationError
from sharksem.server import DropConnection
from simulators import WatchingToken
from tescan.exposure import EngineState

import drivers.sharksem.connection
import drivers.tescan.link
from fibsem_runtime.core import BeamType, CancelToken, ImagePoint
from fibsem_runtime.core.errors import (
    BeamError,
    Cancelled,
    ConfigError,
    ConnectionLostError,
    HardwareError,
    MillingError,
    MotionError,
    NotSupportedError,
    RefusedSettingError,
)
from fibsem_runtime.hal import Microscope, MillingState

SHORT = {"call_s": 0.3, "busy_s": 5.0}
"""Time limits, seconds: nothing in the fakes takes that long in real time unless it hangs."""


def use_everything(rig: Rig) -> None:
    """Open the driver and use every function of it once; close it whatever happens."""
    with rig.opened() as microscope:
        use_beams(microscope)
        here = microscope.stage.position()
        there = replace(here, x_m=5e-6 - here.x_m, t_rad=1.4 - here.t_rad)
        microscope.stage.move_to(there, cancel=CancelToken())
        mill(microscope)
        retract(rig.fake, microscope)
        assert microscope.vacuum is not None
        assert microscope.vacuum.is_pumped()


def use_accessories(rig: Rig) -> None:
    """Open the driver and use everything that is not needed for milling a lamella; focusing, which is slow, last."""
    with rig.opened() as microscope:
        for beam_type in BeamType:
            microscope.beam(beam_type).set_blanked(blanked=False)
        use_gas(microscope)
        use_manipulator(microscope)
        use_chamber(microscope)
        use_equipment(microscope.ion_equipment)
        use_other_shapes(microscope)
        use_equipment(microscope.electron_equipment)


def assert_safe_again(rig: Rig) -> None:
    """Open the driver anew, without the fault, and find that the safe state is reached."""
    rig.fake.faults.clear()
    with rig.opened() as microscope:
        guarded(microscope).driver.safe_state()
        assert_safe(microscope)
        assert rig.fake.engine.state is EngineState.NONE


def functions_used(rig: Rig, session: Callable[[Rig], None]) -> set[str]:
    rig.fake.faults.log.clear()
    session(rig)
    return set(rig.fake.faults.names())


def test_every_error_of_the_vendor_is_one_of_ours_with_its_text(rig: Rig) -> None:
    """An exception of the SDK, or a server that closes the connection, in every function that the driver uses."""
    names = functions_used(rig, use_everything)
    assert len(names) >= 40
    assert_each_fault_is_ours(rig, use_everything, names)


def test_every_error_with_the_accessories_is_one_of_ours_with_its_text(rig: Rig) -> None:
    """The same for chamber, needles, gas, detectors, presets, spots and focusing."""
    names = functions_used(rig, use_accessories) - functions_used(rig, use_everything)
    assert len(names) >= 14
    assert_each_fault_is_ours(rig, use_accessories, names)


def assert_each_fault_is_ours(rig: Rig, session: Callable[[Rig], None], names: set[str]) -> None:
    faults = rig.fake.faults
    for name in sorted(names):
        text = f"vendor trouble in {name}"
        faults.fail(name, Exception(text) if rig.name == "tescan" else _dropped(text))
        with pytest.raises((HardwareError, ConfigError)) as caught:
            session(rig)
        if rig.name == "tescan":
            assert text in str(caught.value)
        else:
            # A command without a reply fails where its value is read back.
            assert isinstance(caught.value, ConnectionLostError)
        assert_safe_again(rig)


def _dropped(text: str) -> Exception:
    return DropConnection(text)


def test_a_hang_ends_with_the_time_limit_and_the_next_call_works(rig: Rig) -> None:
    name = "SEM.Optics.GetWD" if rig.name == "tescan" else "GetWD"
    with rig.opened(time_limits=SHORT) as microscope:
        rig.fake.faults.hang_once(name)
        with pytest.raises(ConnectionLostError, match=re.escape("within 0.3 s")):
            microscope.electron_beam.settings()
        assert microscope.electron_beam.settings().working_distance_m == pytest.approx(7e-3)
        guarded(microscope).driver.safe_state()


def test_a_hang_while_milling_stops_milling(rig: Rig) -> None:
    with rig.opened(time_limits=SHORT) as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        name = "FIB.Beam.GetStatus" if rig.name == "tescan" else "FibHVGetBeam"
        asked: list[int] = []

        def watch(token: CancelToken) -> None:
            asked.append(1)
            if len(asked) == 3:
                rig.fake.faults.hang_once(name)

        with pytest.raises(ConnectionLostError):
            microscope.milling.run(cancel=WatchingToken(watch))
        assert microscope.milling.state() is MillingState.IDLE
        assert rig.fake.engine.state is EngineState.NONE


def test_a_stop_reaches_an_instrument_whose_connection_is_held_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second connection is opened, as the vendor's own stop does (milling.md T5)."""
    for module in (drivers.tescan.link, drivers.sharksem.connection):
        monkeypatch.setattr(module, "URGENT_PATIENCE_S", 0.05)
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        rig.fake.engine.start()
        rig.fake.clock.sleep(2.0)
        name = "SEM.Optics.GetWD" if rig.name == "tescan" else "GetWD"
        rig.fake.faults.hang_once(name)
        errors: list[Exception] = []
        held_up = threading.Thread(target=_read, args=(microscope, errors))
        held_up.start()
        while name not in rig.fake.faults.names()[-1:]:
            pass
        microscope.milling.stop()
        assert rig.fake.engine.state is EngineState.NONE
        assert held_up.is_alive()
        rig.fake.faults.release()
        held_up.join(10)
        assert [type(error) for error in errors] in ([ConnectionLostError], [])


def _read(microscope: Microscope, errors: list[Exception]) -> None:
    try:
        microscope.electron_beam.port.working_distance_m()  # type: ignore[attr-defined]
    except HardwareError as error:
        errors.append(error)


def _other_detector(microscope: Microscope, column: str) -> str:
    beam = microscope.electron_beam if column == "electron" else microscope.ion_beam
    detectors = (microscope.electron_equipment if column == "electron" else microscope.ion_equipment).detectors
    assert detectors is not None
    return next(name for name in detectors.available() if name != beam.detector().name)


@pytest.mark.parametrize(
    ("column", "setting", "use"),
    [
        ("electron", "field", lambda m: m.electron_beam.acquire(FRAME, cancel=CancelToken())),
        ("ion", "field", lambda m: m.ion_beam.acquire(FRAME, cancel=CancelToken())),
        ("electron", "rotation", lambda m: m.electron_beam.set_scan_rotation(0.0)),
        ("ion", "rotation", lambda m: m.ion_beam.set_scan_rotation(0.0)),
        ("electron", "shift", lambda m: m.electron_beam.set_shift(ImagePoint(1e-6, 1e-6))),
        ("ion", "shift", lambda m: m.ion_beam.set_shift(ImagePoint(1e-6, 1e-6))),
        ("electron", "current", lambda m: m.electron_beam.set_current(200e-12)),
        ("electron", "voltage", lambda m: m.electron_beam.set_voltage(5e3)),
        ("electron", "wd", lambda m: m.electron_beam.set_working_distance(8e-3)),
        ("electron", "blanker", lambda m: m.electron_beam.set_blanked(blanked=True)),
        ("ion", "preset", lambda m: m.ion_beam.set_current(740e-12)),
        ("electron", "detector", lambda m: m.electron_equipment.detectors.select(_other_detector(m, "electron"))),
        ("ion", "detector", lambda m: m.ion_equipment.detectors.select(_other_detector(m, "ion"))),
    ],
)
def test_a_setting_that_is_silently_not_taken_is_noticed(
    rig: Rig, column: str, setting: str, use: Callable[[Microscope], object]
) -> None:
    with rig.opened() as microscope:
        getattr(rig.fake, column).refuses.add(setting)
        with pytest.raises(RefusedSettingError, match="reads back"):
            use(microscope)
        getattr(rig.fake, column).refuses.clear()
        guarded(microscope).driver.safe_state()
        assert_safe(microscope)


def test_a_preset_that_does_not_deliver_its_current_is_not_milled_with(rig: Rig) -> None:
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        rig.fake.ion.measured_ratio = 0.8
        with pytest.raises(RefusedSettingError, match="Faraday cup"):
            microscope.milling.draw(SHAPES, CONDITIONS)
        assert rig.fake.engine.state is EngineState.NONE


def test_a_stage_that_stops_short_without_an_error_is_noticed(rig: Rig, cancel: CancelToken) -> None:
    with rig.opened() as microscope:
        here = microscope.stage.position()
        rig.fake.stage.stops_short_by_mm = 0.01
        with pytest.raises(MotionError, match="short of its target"):
            microscope.stage.move_to(replace(here, x_m=here.x_m + 100e-6), cancel=cancel)


def test_a_stage_that_settles_is_waited_for_until_the_guards_are_content(rig: Rig, cancel: CancelToken) -> None:
    """1 % of a long way is much more than they allow."""
    with rig.opened() as microscope:
        here = microscope.stage.position()
        rig.fake.stage.settles_from_mm = 0.005
        target = replace(here, x_m=here.x_m + 1e-3)
        assert guarded(microscope).stage.move_to(target, cancel=cancel).x_m == pytest.approx(target.x_m, abs=1e-9)


def test_what_the_vendor_calls_arrived_is_returned_as_it_reads_after_the_time_to_settle(
    rig: Rig, cancel: CancelToken
) -> None:
    with rig.opened() as microscope:
        here = microscope.stage.position()
        rig.fake.stage.stops_short_by_mm = 0.005
        reached = microscope.stage.move_to(replace(here, x_m=here.x_m + 1e-3), cancel=cancel)
        assert abs(reached.x_m - here.x_m) == pytest.approx(1e-3 - 5e-6, abs=1e-9)
        assert reached == microscope.stage.position()


def test_a_stage_that_is_not_calibrated_does_not_pretend_to_move(rig: Rig, cancel: CancelToken) -> None:
    with rig.opened() as microscope:
        here = microscope.stage.position()
        rig.fake.stage.is_calibrated = False
        with pytest.raises(MotionError, match="not calibrated"):
            microscope.stage.move_to(replace(here, x_m=here.x_m + 100e-6), cancel=cancel)
        assert microscope.stage.position() == here


def test_axes_that_hardly_change_are_left_alone(rig: Rig, cancel: CancelToken) -> None:
    with rig.opened() as microscope:
        here = microscope.stage.position()
        assert microscope.stage.move_to(replace(here, x_m=here.x_m + 5e-9), cancel=cancel) == here
        assert rig.fake.stage.moves == []


def test_a_beam_that_trips_while_milling_ends_it_with_the_time_it_was_there(rig: Rig, cancel: CancelToken) -> None:
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        rig.fake.engine.trip_at_s = 3.0
        with pytest.raises(BeamError, match=r"went off while milling, after 3\.0 of 8\.0 s"):
            microscope.milling.run(cancel=cancel)
        assert rig.fake.engine.state is EngineState.NONE
        guarded(microscope).driver.safe_state()
        assert_safe(microscope)


def test_a_stop_while_preparing_starts_nothing(rig: Rig) -> None:
    questions: list[int] = []

    def stop_at_the_second(token: CancelToken) -> None:
        questions.append(1)
        if len(questions) == 2:
            token.cancel("stop pressed")

    class Late(CancelToken):
        def raise_if_cancelled(self) -> None:
            stop_at_the_second(self)
            super().raise_if_cancelled()

    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        with pytest.raises(Cancelled, match="stop pressed"):
            microscope.milling.run(cancel=Late())
        assert not {"DrawBeam.Start", "DrwStart"} & set(rig.fake.faults.names())
        assert rig.fake.engine.state is EngineState.IDLE
        microscope.milling.stop()
        assert rig.fake.engine.state is EngineState.NONE


def test_a_spot_that_is_stopped_while_preparing_leaves_nothing_loaded() -> None:
    with a_rig("tescan") as found, found.opened() as microscope:
        spot = microscope.ion_equipment.spot
        assert spot is not None
        questions: list[int] = []

        class Late(CancelToken):
            def raise_if_cancelled(self) -> None:
                questions.append(1)
                if len(questions) == 2:
                    self.cancel("stop pressed")
                super().raise_if_cancelled()

        with pytest.raises(Cancelled, match="stop pressed"):
            spot.expose(ImagePoint(0.0, 0.0), duration_s=1.0, cancel=Late())
        assert "DrawBeam.Start" not in found.fake.faults.names()
        assert found.fake.engine.state is EngineState.NONE


def test_a_stop_in_the_moment_between_start_and_exposure_is_obeyed(rig: Rig) -> None:
    """DrawBeam still says that it is idle then."""
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        rig.fake.engine.start()
        assert microscope.milling.state() is MillingState.IDLE
        microscope.milling.stop()
        assert rig.fake.engine.state is EngineState.NONE
        rig.fake.clock.sleep(60)
        assert microscope.milling.state() is MillingState.IDLE


def test_an_idle_engine_that_refuses_to_be_stopped_is_idle_all_the_same(rig: Rig) -> None:
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        if rig.name == "tescan":
            rig.fake.faults.fail("DrawBeam.Stop", Exception("Invalid request"))
        else:
            rig.fake.faults.answer("DrwStop", (-1,))
        microscope.milling.stop()
        assert rig.fake.engine.state is EngineState.NONE


def test_a_stop_from_another_thread_ends_milling(rig: Rig) -> None:
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        asked: list[int] = []

        def watch(token: CancelToken) -> None:
            asked.append(1)
            if len(asked) == 3:
                thread = threading.Thread(target=microscope.milling.stop)
                thread.start()
                thread.join(10)

        progress = microscope.milling.run(cancel=WatchingToken(watch))
        assert not progress.finished
        assert 0 < progress.milled_s < progress.total_s
        assert rig.fake.engine.state is EngineState.NONE


def test_a_stop_that_is_not_obeyed_raises_the_alarm_and_the_beams_are_blanked_all_the_same(rig: Rig) -> None:
    with rig.opened(milling={"stop_timeout_s": 1.0}) as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        microscope.milling.run(duration_s=2.0, cancel=CancelToken())
        rig.fake.engine.ignores_stop = True
        with pytest.raises(MillingError, match="own stop button"):
            microscope.milling.stop()
        with pytest.raises(HardwareError, match="stop milling"):
            microscope.driver.safe_state()
        assert microscope.ion_beam.is_blanked()
        assert microscope.electron_beam.is_blanked()


def test_milling_that_does_not_start_is_given_up(rig: Rig, cancel: CancelToken) -> None:
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        rig.fake.engine.never_starts = True
        with pytest.raises(MillingError, match="did not start within 20 s"):
            microscope.milling.run(cancel=cancel)
        assert rig.fake.engine.state is EngineState.NONE


def test_milling_that_ends_early_is_not_called_finished(rig: Rig) -> None:
    """Somebody presses stop in DrawBeam's window."""
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        asked: list[int] = []

        def watch(token: CancelToken) -> None:
            asked.append(1)
            if len(asked) == 3:
                rig.fake.engine.stop()

        with pytest.raises(MillingError, match="without finishing"):
            microscope.milling.run(cancel=WatchingToken(watch))


@pytest.mark.parametrize("ratio", [1e-9, 0.1, 10, 1e9])
def test_an_estimate_that_contradicts_rate_and_current_mills_nothing(rig: Rig, ratio: float) -> None:
    """fos#561: off by 10 to 100 with the wrong preset; fibsem#137: by 1e9 with the wrong unit."""
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        rig.fake.engine.estimate_ratio = ratio
        with pytest.raises(MillingError, match="nothing was milled"):
            microscope.milling.draw(SHAPES, CONDITIONS)
        assert rig.fake.engine.state is EngineState.NONE


@pytest.mark.parametrize("rate_m3_per_c", [3.0e-3, 13.0, 13e-18])
def test_a_rate_that_no_material_has_is_refused_before_anything_is_drawn(rig: Rig, rate_m3_per_c: float) -> None:
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        with pytest.raises(RefusedSettingError, match="C/m³"):
            microscope.milling.draw(SHAPES, replace(CONDITIONS, dose_c_per_m3=1 / rate_m3_per_c))
        assert rig.fake.engine.state is EngineState.NONE


def test_a_preset_that_somebody_else_activated_is_noticed_by_its_voltage(rig: Rig) -> None:
    with rig.opened() as microscope:
        microscope.ion_beam.settings()
        rig.fake.ion.preset = "15 keV; 7.8 nA "
        with pytest.raises(BeamError, match="somebody changed it"):
            microscope.ion_beam.settings()


def test_an_ion_beam_with_no_known_preset_says_which_are_known(rig: Rig) -> None:
    rig.fake.ion.measured_ratio = 1.5
    with rig.opened() as microscope, pytest.raises(BeamError, match="30 keV; 300 pA "):
        microscope.ion_beam.settings()


def test_where_no_current_can_be_measured_a_person_says_which_preset_is_active(rig: Rig) -> None:
    """As on the vendor's simulator."""
    rig.fake.ion.measured_ratio = 0.0
    demo = {"verify_probe_current": False, "active_preset": "30 keV; 20 pA"}
    with rig.opened(ion_beam=demo) as microscope:
        assert microscope.ion_beam.settings().beam_current_a == 20e-12
        mill(microscope)
        assert not {"FIB.Beam.ReadProbeCurrent", "FibReadFCCurr"} & set(rig.fake.faults.names())


@pytest.mark.parametrize(
    "change", [{"verify_probe_current": False}, {"active_preset": "30 keV; 20 pA"}, {"active_preset": "unknown"}]
)
def test_an_active_preset_is_needed_where_nothing_is_measured_and_nowhere_else(
    rig: Rig, change: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match="active_preset"):
        rig.open(ion_beam=change)


def test_exposure_that_stands_still_is_given_up(rig: Rig, cancel: CancelToken) -> None:
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        rig.fake.engine.trip_at_s = 3.0
        rig.fake.engine.beam_off = lambda: None
        with pytest.raises(MillingError, match=r"stands at 3\.0 of 8\.0 s"):
            microscope.milling.run(cancel=cancel)
        assert rig.fake.engine.state is EngineState.NONE


def test_a_preset_that_is_misspelt_is_refused_on_opening(rig: Rig) -> None:
    presets = [{"name": "30 keV; 300 pA", "voltage_kv": 30, "current_pa": 300}]
    with pytest.raises(ConfigError, match="'30 keV; 300 pA '"):
        rig.open(ion_beam={"presets": presets})


def test_a_preset_keeps_rotation_field_and_shift(rig: Rig) -> None:
    with rig.opened() as microscope:
        microscope.ion_beam.set_shift(ImagePoint(2e-6, -1e-6))
        before = microscope.ion_beam.settings()
        microscope.ion_beam.set_current(740e-12)
        assert microscope.ion_beam.settings() == replace(before, beam_current_a=740e-12)


def test_an_electron_preset_that_begins_late_keeps_rotation_field_and_shift(rig: Rig, cancel: CancelToken) -> None:
    """The column still says idle at first; what is put back then would be reset again."""
    with rig.opened() as microscope:
        beam, presets = microscope.electron_beam, microscope.electron_equipment.presets
        assert presets is not None
        beam.acquire(FRAME, cancel=cancel)
        beam.set_shift(ImagePoint(2e-6, -1e-6))
        before = beam.settings()
        presets.activate(presets.available()[0], cancel=cancel)
        assert not rig.fake.electron.is_working()
        assert beam.settings() == before


def test_an_automatic_focus_that_begins_late_gives_the_distance_that_it_found(rig: Rig, cancel: CancelToken) -> None:
    with rig.opened() as microscope:
        beam, auto_focus = microscope.electron_beam, microscope.electron_equipment.auto_focus
        assert auto_focus is not None
        blurred_m = beam.set_working_distance(beam.settings().working_distance_m + 40e-6)
        found_m = auto_focus.focus(cancel=cancel)
        assert found_m == pytest.approx(rig.fake.electron.wd_mm / 1e3)
        assert abs(found_m - blurred_m) > 10e-6


def test_a_rotation_that_reads_as_no_number_is_an_error_unless_the_site_says_what_it_is(rig: Rig) -> None:
    rig.fake.electron.rotation_is_nan = True
    with rig.opened() as microscope, pytest.raises(HardwareError, match="unreadable_rotation_deg"):
        microscope.electron_beam.settings()
    with rig.opened(electron_beam={"unreadable_rotation_deg": 180}) as microscope:
        assert microscope.electron_beam.settings().scan_rotation_rad == pytest.approx(3.14159265)


def test_what_the_vendor_lacks_is_refused_before_anything_happens(rig: Rig, cancel: CancelToken) -> None:
    with rig.opened() as microscope:
        calls = len(rig.fake.faults.log)
        with pytest.raises(NotSupportedError, match="cannot focus"):
            microscope.ion_beam.set_working_distance(16e-3)
        for option in ("line_integration_count", "frame_integration_count", "scan_interlacing_count"):
            with pytest.raises(NotSupportedError, match=option.split("_")[1]):
                microscope.ion_beam.acquire(replace(FRAME, **{option: 2}), cancel=cancel)
        assert len(rig.fake.faults.log) == calls
        with pytest.raises(NotSupportedError, match="presets only"):
            microscope.ion_beam.set_voltage(8e3)


def test_two_threads_get_each_the_frame_they_asked_for(rig: Rig) -> None:
    """One socket, one thread: concurrent calls would corrupt the stream (S4)."""
    with rig.opened() as microscope:
        shapes: dict[str, set[tuple[int, int]]] = {"ELECTRON": set(), "ION": set()}
        errors: list[HardwareError] = []

        def grab(beam_type: str, width_px: int) -> None:
            beam = microscope.electron_beam if beam_type == "ELECTRON" else microscope.ion_beam
            for _ in range(5):
                try:
                    image = beam.acquire(replace(FRAME, width_px=width_px), cancel=CancelToken())
                except HardwareError as error:
                    errors.append(error)
                    return
                assert image.metadata.beam_type == beam.beam_type
                shapes[beam_type].add(image.shape)

        threads = [threading.Thread(target=grab, args=each) for each in (("ELECTRON", 48), ("ION", 64))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
        assert shapes == {"ELECTRON": {(32, 48)}, "ION": {(32, 64)}}
