"""The driver on an instrument where nothing goes wrong, and on computers and instruments it does not fit."""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fault_table import CONDITIONS, FRAME, SHAPES, use_everything
from pydantic import ValidationError
from thermofisher_fake import GAS, HOST, SETTINGS, insert_needle, names, opened, small_instrument

import drivers.thermofisher
from drivers.thermofisher import ThermoFisherPlugin, ThermoFisherSettings
from drivers.thermofisher.connection import Connection
from drivers.thermofisher.sdk import load_sdk
from fibsem_runtime.core import BeamType, CancelToken, ImageSettings
from fibsem_runtime.core.errors import (
    BeamError,
    ConfigError,
    ConnectionLostError,
    HardwareError,
    InterlockError,
    MillingError,
    MotionError,
    NotSupportedError,
    RefusedSettingError,
    VacuumError,
)
from fibsem_runtime.hal import CrossSection, Microscope, MillingState, ScanDirection


@pytest.fixture
def milling_beam(raw: Microscope) -> Iterator[Microscope]:
    """The driver with the ion beam at the current of `CONDITIONS`."""
    raw.ion_beam.set_current(CONDITIONS.beam_current_a)
    yield raw


def test_scan_options_are_asked_for_by_the_vendors_names_and_left_out_where_there_are_none(
    instrument: Any, raw: Microscope
) -> None:
    everything = replace(
        FRAME,
        line_integration_count=3,
        frame_integration_count=4,
        scan_interlacing_count=2,
        is_drift_corrected=True,
    )
    for settings in (everything, FRAME):
        raw.ion_beam.acquire(settings, cancel=CancelToken())
    full, plain = [call.arguments[0] for call in instrument.calls if call.name == "imaging.grab_frame"]
    options = ("line_integration", "frame_integration", "scan_interlacing", "drift_correction")
    assert [getattr(full, name) for name in options] == [3, 4, 2, True]
    assert [getattr(plain, name) for name in options] == [None] * 4


def test_a_scan_option_out_of_range_is_an_error_and_no_image(raw: Microscope) -> None:
    with pytest.raises(HardwareError, match="scan_interlacing = 9 is out of range"):
        raw.ion_beam.acquire(replace(FRAME, scan_interlacing_count=9), cancel=CancelToken())


def test_without_autoscript_a_person_learns_how_to_install_it() -> None:
    plugin = ThermoFisherPlugin()
    lines = plugin.diagnose()
    assert [line.split()[2] for line in lines] == [
        *("autoscript_sdb_microscope_client", "autoscript_core", "thermoscientific_logging"),
    ]
    assert all("site-packages" in line for line in lines)
    settings = ThermoFisherSettings.model_validate(SETTINGS)
    with pytest.raises(ConfigError, match=r"AutoScript cannot be imported here.*site-packages"):
        plugin.open(settings, seed=0, state_directory=None)


def test_a_partial_copy_of_autoscript_is_named(instrument: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "autoscript_sdb_microscope_client.structures", None)
    with pytest.raises(ConfigError, match="structures"), opened(instrument):
        pass


def test_importing_the_driver_imports_nothing_of_the_vendor() -> None:
    assert not [name for name in sys.modules if name.startswith("autoscript")]


@pytest.mark.parametrize("missing", ["pretilt_deg", "rotation_reference_deg", "eucentric_z_mm"])
def test_what_differs_from_site_to_site_is_never_guessed(missing: str) -> None:
    geometry = {key: value for key, value in SETTINGS["geometry"].items() if key != missing}
    with pytest.raises(ValidationError, match=missing):
        ThermoFisherSettings.model_validate({"geometry": geometry})


def test_no_server_is_a_lost_connection_that_says_what_to_start(instrument: Any) -> None:
    with pytest.raises(ConnectionLostError, match=r"connect to nowhere:7520.*start the microscope's AutoScript server"):
        with opened(instrument, host="nowhere"):
            pass


def test_nothing_is_printed_on_stdout(instrument: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(instrument) as microscope:
        microscope.stage.position()
    assert capsys.readouterr().out == ""


def test_opening_changes_nothing_at_the_instrument() -> None:
    with small_instrument() as instrument:
        before = instrument.simulator.state()
        with opened(instrument):
            pass
        assert instrument.simulator.state() == before
        assert not [name for name in names(instrument) if name.endswith("=") or "move" in name or "blank" in name]


def test_a_closed_driver_refuses_and_may_be_closed_twice(instrument: Any) -> None:
    with opened(instrument) as microscope:
        microscope.driver.close()
        microscope.driver.close()
        with pytest.raises(ConnectionLostError, match="closed"):
            microscope.stage.position()
        with pytest.raises(HardwareError, match="closed"):
            microscope.driver.safe_state()


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"has_ion_column": False}, NotSupportedError, "no ion column"),
        ({"gas_ports": ()}, HardwareError, "Pt dep"),
    ],
)
def test_an_instrument_that_lacks_what_is_needed_is_refused(change: Any, error: Any, text: str) -> None:
    with small_instrument(**change) as instrument, pytest.raises(error, match=text):
        with opened(instrument, **GAS):
            pass


def test_a_stage_that_is_not_homed_is_refused(instrument: Any) -> None:
    instrument.is_homed = False
    with pytest.raises(MotionError, match="home it"), opened(instrument):
        pass


def test_what_is_not_fitted_is_absent() -> None:
    with small_instrument(has_manipulator=False) as instrument, opened(instrument) as microscope:
        assert microscope.manipulator is None
        assert microscope.gas_injection is None


def test_a_gas_needle_counts_as_inserted_until_it_was_retracted(instrument: Any) -> None:
    with opened(instrument, **GAS) as microscope:
        gas = microscope.gas_injection
        assert gas is not None
        assert gas.is_inserted()
        for _ in range(2):
            gas.retract(cancel=CancelToken())
            assert not gas.is_inserted()
        assert names(instrument).count("gas_port.retract") == 1


def test_a_manipulator_is_parked_and_retracted_after_a_pause(instrument: Any, raw: Microscope) -> None:
    insert_needle(instrument)
    assert raw.manipulator is not None
    assert raw.manipulator.is_inserted()
    for _ in range(2):
        raw.manipulator.retract(cancel=CancelToken())
        assert instrument.manipulator_state == "Retracted"


def test_a_vented_chamber_forbids_images(instrument: Any, guarded: Microscope) -> None:
    instrument.chamber_state = "Vented"
    with pytest.raises(VacuumError):
        guarded.electron_beam.acquire(FRAME, cancel=CancelToken())


def test_threads_get_the_frames_of_their_own_beams(raw: Microscope) -> None:
    """Two threads that share one connection never get each other's view (vendor-fakes.md section 8)."""
    kept: dict[BeamType, list[Any]] = {each: [] for each in BeamType}

    def grab(beam_type: BeamType) -> None:
        for _ in range(4):
            hfw_m = 40e-6 if beam_type is BeamType.ION else 30e-6
            kept[beam_type].append(raw.beam(beam_type).acquire(replace(FRAME, hfw_m=hfw_m), cancel=CancelToken()))

    threads = [threading.Thread(target=grab, args=(each,)) for each in BeamType]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for beam_type, images in kept.items():
        assert len(images) == 4
        for image in images:
            assert image.metadata.beam_type is beam_type
            assert image.pixel_size_m == pytest.approx((40e-6 if beam_type is BeamType.ION else 30e-6) / 768)
            assert image.metadata.beam == raw.beam(beam_type).settings()
    frame_ids = [image.metadata.frame_id for images in kept.values() for image in images]
    assert len(set(frame_ids)) == 8


@pytest.mark.parametrize(("width_px", "call"), [(768, "imaging.grab_frame"), (600, "imaging.grab_frame_to_disk")])
def test_sizes_that_are_no_preset_go_through_a_file(instrument: Any, raw: Microscope, width_px: int, call: str) -> None:
    request = ImageSettings(width_px=width_px, height_px=512 if width_px == 768 else 400, hfw_m=40e-6, bit_depth=16)
    image = raw.ion_beam.acquire(request, cancel=CancelToken())
    assert image.data.dtype == np.uint16
    assert image.pixel_size_m == pytest.approx(request.pixel_size_m)
    assert image.metadata.dwell_time_s == pytest.approx(request.dwell_time_s)
    assert [name for name in names(instrument) if name.startswith("imaging.grab")] == [call]


def test_the_largest_field_is_refused_before_the_instrument_fails_on_it(instrument: Any, raw: Microscope) -> None:
    with pytest.raises(RefusedSettingError, match="allowed are"):
        raw.ion_beam.acquire(replace(FRAME, hfw_m=950e-6), cancel=CancelToken())
    assert "ion_beam.horizontal_field_width=" not in names(instrument)


def test_a_dark_frame_of_a_blanked_beam_is_never_returned(instrument: Any, raw: Microscope) -> None:
    raw.ion_beam.set_blanked(blanked=True)
    with pytest.raises(BeamError, match="blanked"):
        raw.ion_beam.acquire(FRAME, cancel=CancelToken())
    instrument.switch_off("electron_beam")
    with pytest.raises(BeamError, match="off"):
        raw.electron_beam.acquire(FRAME, cancel=CancelToken())


def test_currents_follow_the_voltage(raw: Microscope) -> None:
    at_30_kv = raw.ion_beam.available_currents_a
    assert raw.ion_beam.set_voltage(8e3) == 8e3
    assert raw.ion_beam.available_currents_a != at_30_kv
    with pytest.raises(RefusedSettingError, match="available are"):
        raw.ion_beam.set_current(at_30_kv[-1])
    raw.ion_beam.set_voltage(30e3)
    assert raw.ion_beam.available_currents_a == at_30_kv


def test_a_voltage_that_snaps_to_another_is_noticed(raw: Microscope) -> None:
    with pytest.raises(RefusedSettingError, match="reads back"):
        raw.ion_beam.set_voltage(12e3)


def test_electron_currents_are_the_configured_ones_within_the_limits(instrument: Any) -> None:
    with opened(instrument, electron_currents_pa=[0.1, 50, 100, 90000]) as microscope:
        assert microscope.electron_beam.available_currents_a == pytest.approx([50e-12, 100e-12])


def test_an_unknown_application_draws_nothing(instrument: Any, milling_beam: Microscope) -> None:
    with pytest.raises(MillingError, match=r"'gold'.*knows ice"):
        milling_beam.milling.draw(SHAPES, replace(CONDITIONS, application="gold"))
    assert not [name for name in names(instrument) if name.startswith("patterning.")]


def test_an_application_file_that_the_site_has_not_draws_nothing() -> None:
    files = ("None", "Si", "Pt dep")
    with small_instrument(application_files=files) as instrument, opened(instrument) as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        with pytest.raises(MillingError, match="no application file Si-ccs; it has None, Si, Pt dep"):
            microscope.milling.draw(SHAPES, CONDITIONS)
        assert not [name for name in names(instrument) if name.startswith("patterning.create")]


def test_a_drawing_that_fails_leaves_nothing_drawn(instrument: Any, milling_beam: Microscope) -> None:
    tiny = replace(SHAPES[0], height_m=5e-9)
    with pytest.raises(MillingError, match="too small"):
        milling_beam.milling.draw([SHAPES[0], tiny], CONDITIONS)
    assert instrument.patterning.patterns[2] == []
    with pytest.raises(MillingError, match="drawn"):
        milling_beam.milling.run(cancel=CancelToken())


@pytest.mark.parametrize("cross_section", list(CrossSection))
@pytest.mark.parametrize("direction", list(ScanDirection))
def test_a_pattern_reaches_the_instrument_as_it_was_meant(
    instrument: Any, milling_beam: Microscope, cross_section: CrossSection, direction: ScanDirection
) -> None:
    shape = replace(SHAPES[0], cross_section=cross_section, scan_direction=direction, rotation_rad=0.3)
    estimate_s = milling_beam.milling.draw([shape], CONDITIONS)
    (pattern,) = instrument.patterning.patterns[2]
    expected = {
        **{"center_x": shape.centre.x_m, "center_y": shape.centre.y_m, "width": shape.width_m, "rotation": 0.3},
        **{"height": shape.height_m, "depth": shape.depth_m, "time": estimate_s},
    }
    assert {name: pattern.peek(name) for name in expected} == pytest.approx(expected)
    assert pattern.peek("scan_direction") == direction.value
    files = {CrossSection.RECTANGLE: "Si", CrossSection.REGULAR: "Si-multipass", CrossSection.CLEANING: "Si-ccs"}
    assert pattern.peek("application_file") == files[cross_section]


def test_the_beam_time_is_that_of_the_dose_and_not_of_the_application_file(milling_beam: Microscope) -> None:
    (shape, _) = SHAPES
    estimate_s = milling_beam.milling.draw([shape], CONDITIONS)
    assert estimate_s == pytest.approx(shape.area_m2 * shape.depth_m * 2e8 / 0.1e-9)


def test_reported_beam_time_is_what_the_beam_milled(instrument: Any, milling_beam: Microscope) -> None:
    milling_beam.milling.draw([replace(SHAPES[0], depth_m=10e-6)], CONDITIONS)
    for _ in range(3):
        progress = milling_beam.milling.run(duration_s=5.0, cancel=CancelToken())
        assert progress.milled_s == pytest.approx(instrument.patterning.milled_s, abs=0.2)
        assert not progress.finished
    cancel = CancelToken()
    seen = []

    def stop_later(call: Any) -> None:
        seen.append(call.name)
        if seen.count("patterning.state") == 8:
            cancel.cancel("stop pressed")

    instrument.on_call = stop_later
    progress = milling_beam.milling.run(cancel=cancel)
    assert not progress.finished
    assert progress.milled_s == pytest.approx(instrument.patterning.milled_s, abs=0.5)
    assert milling_beam.milling.state() is MillingState.PAUSED


def test_a_short_pattern_is_run_to_its_end_by_one_call(instrument: Any, milling_beam: Microscope) -> None:
    total_s = milling_beam.milling.draw([replace(SHAPES[0], depth_m=0.2e-6)], CONDITIONS)
    assert total_s < 1
    assert milling_beam.milling.run(cancel=CancelToken()).finished
    assert names(instrument).count("patterning.run") == 1
    assert "patterning.start" not in names(instrument)


def test_a_pattern_that_ends_during_the_pause_is_finished(instrument: Any, milling_beam: Microscope) -> None:
    total_s = milling_beam.milling.draw([replace(SHAPES[0], depth_m=2e-6)], CONDITIONS)

    def be_late(call: Any) -> None:
        if call.name == "patterning.pause":
            instrument.spend(total_s)

    instrument.on_call = be_late
    progress = milling_beam.milling.run(duration_s=total_s - 1.0, cancel=CancelToken())
    assert progress.finished
    assert milling_beam.milling.state() is MillingState.IDLE


def test_milling_is_stopped_from_another_thread(instrument: Any, milling_beam: Microscope) -> None:
    milling_beam.milling.draw([replace(SHAPES[0], depth_m=100e-6)], CONDITIONS)
    stopped: list[threading.Thread] = []

    def stop_once(call: Any) -> None:
        if instrument.owed_s > 5 and not stopped:
            stopped.append(threading.Thread(target=milling_beam.milling.stop))
            stopped[0].start()

    instrument.on_call = stop_once
    progress = milling_beam.milling.run(cancel=CancelToken())
    stopped[0].join()
    assert not progress.finished
    assert progress.milled_s < progress.total_s / 2
    assert milling_beam.milling.state() is MillingState.IDLE
    assert instrument.patterning.patterns[2] == []


def test_a_stop_in_the_moment_after_the_start_is_not_lost(instrument: Any, milling_beam: Microscope) -> None:
    """The engine says idle until it runs; a stop that believed it would let the pattern run (vendor-fakes.md T18)."""
    milling_beam.milling.draw([replace(SHAPES[0], depth_m=10e-6)], CONDITIONS)
    client = load_sdk().client_type()
    client.connect(HOST)
    client.patterning.start()
    assert client.patterning.state == "Idle"
    milling_beam.milling.stop()
    instrument.spend(60.0)
    assert instrument.patterning.phase == "Idle"
    assert instrument.patterning.milled_s == 0


@pytest.mark.parametrize("raises", [True, False])
def test_an_idle_engine_is_stopped_whether_it_objects_or_not(raises: bool) -> None:
    with small_instrument(stop_when_idle_raises=raises) as instrument, opened(instrument) as microscope:
        for _ in range(2):
            microscope.milling.stop()
            assert microscope.milling.state() is MillingState.IDLE


def test_a_call_that_hangs_ends_at_its_limit_of_real_time(instrument: Any) -> None:
    settings = ThermoFisherSettings.model_validate(SETTINGS | {"time_limits": {"call_s": 30}})
    connection = Connection(load_sdk(), settings)
    released = threading.Event()
    with pytest.raises(ConnectionLostError, match="no answer within"):
        connection.call("wait for ever", lambda client: released.wait(), limit_s=0.02)
    released.set()
    with pytest.raises(ConnectionLostError, match="wait for ever"):
        connection.call("go on", lambda client: None)
    connection.take_over()
    assert connection.call("go on", lambda client: client.server_host) == HOST
    connection.close()


def test_the_safe_state_does_not_wait_behind_a_call_of_another_thread(instrument: Any) -> None:
    with opened(instrument, time_limits={"takeover_s": 0.02}) as microscope:
        entered, released = threading.Event(), threading.Event()

        def block(client: Any) -> None:
            entered.set()
            released.wait()

        driver: Any = microscope.driver
        busy = threading.Thread(target=driver.connection.call, args=("be long", block))
        busy.start()
        entered.wait()
        microscope.driver.safe_state()
        assert microscope.ion_beam.is_blanked()
        released.set()
        busy.join()


def test_a_pattern_that_runs_forbids_images_and_moves(instrument: Any, milling_beam: Microscope) -> None:
    milling_beam.milling.draw([replace(SHAPES[0], depth_m=10e-6)], CONDITIONS)
    client = load_sdk().client_type()
    client.connect(HOST)
    client.patterning.start()
    instrument.spend(1.0)
    with pytest.raises(HardwareError, match="not possible while patterning"):
        milling_beam.ion_beam.acquire(FRAME, cancel=CancelToken())
    here = milling_beam.stage.position()
    with pytest.raises(MotionError, match="not possible while patterning"):
        milling_beam.stage.move_to(replace(here, x_m=here.x_m + 1e-6), cancel=CancelToken())
    milling_beam.milling.stop()


def test_a_manipulator_that_holds_the_sample_stays_in_the_safe_state(instrument: Any, raw: Microscope) -> None:
    insert_needle(instrument)
    assert raw.manipulator is not None
    raw.manipulator.hold(held=True)
    raw.driver.safe_state()
    assert instrument.manipulator_state == "Inserted"
    raw.manipulator.hold(held=False)
    raw.driver.safe_state()
    assert instrument.manipulator_state == "Retracted"


def test_a_stage_move_is_forbidden_with_the_manipulator_inserted(instrument: Any, guarded: Microscope) -> None:
    insert_needle(instrument)
    here = guarded.stage.position()
    with pytest.raises(InterlockError, match="manipulator"):
        guarded.stage.move_to(replace(here, x_m=here.x_m + 1e-6), cancel=CancelToken())


def test_the_session_of_the_fault_table_mills_what_it_says(instrument: Any, guarded: Microscope) -> None:
    use_everything(guarded)
    assert guarded.ion_beam.settings().beam_current_a == pytest.approx(20e-12)
    assert math.isclose(instrument.patterning.total_s, 8.0, rel_tol=0.01)


def test_the_entry_point_and_the_settings_survive_a_configuration_file() -> None:
    document = json.loads(ThermoFisherSettings.model_validate(SETTINGS).model_dump_json())
    assert ThermoFisherSettings.model_validate(document) == ThermoFisherSettings.model_validate(SETTINGS)
    assert drivers.thermofisher.plugin.settings_model is ThermoFisherSettings
    assert drivers.thermofisher.plugin.truth(None) is None  # type: ignore[arg-type]
