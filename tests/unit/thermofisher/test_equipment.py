"""Manipulator, gas, coater, chamber and column equipment on instruments where nothing goes wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fault_table import CONDITIONS, FRAME, OTHER_SHAPES
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from thermofisher_fake import EVERYTHING, FULLY_FITTED, GAS, SETTINGS, insert_needle, names, opened, small_instrument

from drivers.thermofisher import ThermoFisherSettings
from drivers.thermofisher.patterns import bitmap_definition
from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, RelativeArea
from fibsem_runtime.core.errors import (
    Cancelled,
    ConfigError,
    HardwareError,
    InterlockError,
    MillingError,
    MotionError,
    NotSupportedError,
    RefusedSettingError,
)
from fibsem_runtime.hal import (
    BitmapShape,
    GasInjection,
    ManipulatorPose,
    Microscope,
    ShapeKind,
    image_move,
)

NEVER = CancelToken()


@pytest.fixture
def full() -> Iterator[Any]:
    """An instrument that has everything."""
    with small_instrument(**FULLY_FITTED) as instrument:
        yield instrument


@pytest.fixture
def everything(full: Any) -> Iterator[Microscope]:
    with opened(full, **EVERYTHING) as microscope:
        assert microscope.gas_injection is not None
        microscope.gas_injection.retract(cancel=NEVER)
        yield microscope


@pytest.fixture
def gas(everything: Microscope) -> GasInjection:
    assert everything.gas_injection is not None
    return everything.gas_injection


def test_opening_an_instrument_that_has_everything_changes_nothing() -> None:
    with small_instrument(**FULLY_FITTED) as instrument:
        before = instrument.simulator.state()
        with opened(instrument, **EVERYTHING):
            assert instrument.simulator.state() == before
            changes = ("=", "move", "blank", "insert", "retract", "open", "close", "heater_on", "heater_off")
            # The coordinate system in which the stage is read is the only thing that is set.
            assert not [name for name in names(instrument) if name.endswith(changes)]


@pytest.mark.parametrize("version", ["4.6.1.0", "3.12", "4"])
def test_an_autoscript_that_is_too_old_is_refused(version: str) -> None:
    with small_instrument(version=version) as instrument:
        with pytest.raises(NotSupportedError, match=rf"AutoScript {version}, needed is 4\.7"), opened(instrument):
            pass


# --- manipulator ---


def test_the_needle_is_inserted_as_autoscript_wants_it(full: Any, everything: Microscope) -> None:
    needle = everything.manipulator
    assert needle is not None
    assert needle.insert(ManipulatorPose.PARKED, cancel=NEVER) == needle.saved_position(ManipulatorPose.PARKED)
    (call,) = [call for call in full.calls if call.name == "manipulator.insert"]
    assert call.arguments[0].r is None
    assert call.arguments[0].coordinate_system == "Raw"
    here = needle.position()
    needle.move_to(replace(here, z_m=here.z_m - 5e-6), cancel=NEVER)
    sent = [call.arguments[0] for call in full.calls if call.name == "manipulator.absolute_move"][-1]
    assert (sent.r, sent.coordinate_system) == (None, "Stage")


def test_down_is_less_z_in_stage_coordinates(full: Any, everything: Microscope) -> None:
    """vendor-thermofisher.md section 11; at no tilt both beams' heights are the needle's z."""
    needle = everything.manipulator
    assert needle is not None
    needle.insert(ManipulatorPose.WORKING, cancel=NEVER)
    height_m, here = full.manipulator_tip_m[2], needle.position()
    needle.move_to(replace(here, z_m=here.z_m - 20e-6), cancel=NEVER)
    assert full.manipulator_tip_m[2] < height_m


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize("beam_type", list(BeamType))
def test_the_tip_moves_in_the_image_by_what_was_asked_for(beam_type: BeamType, turn_rad: float, sign: int) -> None:
    """The fake keeps the tip in the chamber; what an image shows of its move is worked out here by itself."""
    settings = {**EVERYTHING, "manipulator": {**EVERYTHING["manipulator"], "y_axis_sign": sign}}
    with small_instrument(manipulator_y_sign=sign, **FULLY_FITTED) as instrument:
        with opened(instrument, **settings) as microscope:
            needle, move = microscope.manipulator, ImagePoint(12e-6, -7e-6)
            assert needle is not None
            assert needle.chain is not None
            here, before = needle.insert(ManipulatorPose.WORKING, cancel=NEVER), instrument.manipulator_tip_m
            target = image_move(
                here,
                move,
                beam_type,
                manipulator=needle.chain,
                chain=microscope.chain,
                stage_tilt_rad=microscope.stage.position().t_rad,
                scan_rotation_rad=turn_rad,
            )
            needle.move_to(target, cancel=NEVER)
            x_m, y_m, z_m = (now - then for now, then in zip(instrument.manipulator_tip_m, before, strict=True))
            f_rad = microscope.chain.ion_column_tilt_rad
            up_m = y_m if beam_type is BeamType.ELECTRON else y_m * math.cos(f_rad) - z_m * math.sin(f_rad)
            turn = 1 if turn_rad == 0 else -1
            assert (turn * x_m, turn * up_m) == pytest.approx((move.x_m, move.y_m), abs=1e-12)
            # A move in the electron image keeps the height, one in the ion image keeps what the electron image shows.
            assert (z_m if beam_type is BeamType.ELECTRON else y_m) == pytest.approx(0.0, abs=1e-12)


def test_the_sense_of_the_needles_y_is_not_guessed() -> None:
    manipulator = {key: value for key, value in EVERYTHING["manipulator"].items() if key != "y_axis_sign"}
    with small_instrument() as instrument, opened(instrument, manipulator=manipulator) as microscope:
        assert microscope.manipulator is not None
        assert microscope.manipulator.chain is None


def test_a_needle_without_measured_ranges_is_retracted_and_nothing_else(full: Any) -> None:
    insert_needle(full)
    with opened(full) as microscope:
        needle = microscope.manipulator
        assert needle is not None
        with pytest.raises(ConfigError, match=r"driver\.settings\.manipulator is empty"):
            needle.move_to(needle.position(), cancel=NEVER)
        needle.retract(cancel=NEVER)
        with pytest.raises(ConfigError, match=r"driver\.settings\.manipulator is empty"):
            needle.insert(ManipulatorPose.PARKED, cancel=NEVER)
        assert full.manipulator_state == "Retracted"


def test_the_needle_stays_out_while_the_stage_is_low(full: Any, everything: Microscope) -> None:
    state = full.simulator.stage.machine.state
    state.stage.position = replace(state.stage.position, z_m=3.7e-3)
    assert everything.manipulator is not None
    with pytest.raises(InterlockError, match=r"needed is more than 3\.7 mm"):
        everything.manipulator.insert(ManipulatorPose.PARKED, cancel=NEVER)
    assert "manipulator.insert" not in names(full)


def test_rotations_and_ranges_of_the_needle_are_refused_before_it_moves(full: Any, everything: Microscope) -> None:
    needle = everything.manipulator
    assert needle is not None
    here = needle.insert(ManipulatorPose.WORKING, cancel=NEVER)
    with pytest.raises(NotSupportedError, match="rotation"):
        needle.move_to(replace(here, r_rad=0.0), cancel=NEVER)
    with pytest.raises(MotionError, match="it has not moved"):
        needle.move_to(replace(here, x_m=4e-3), cancel=NEVER)
    with pytest.raises(NotSupportedError, match=r"standby.*keeps: parked, working"):
        needle.saved_position(ManipulatorPose.STANDBY)
    assert "manipulator.absolute_move" not in names(full)


def test_ranges_that_are_the_wrong_way_round_are_refused() -> None:
    manipulator = {**EVERYTHING["manipulator"], "x_range_mm": (3, -3)}
    with pytest.raises(ValidationError, match="lower end first"):
        ThermoFisherSettings.model_validate({**SETTINGS, "manipulator": manipulator})


# --- gas ---


def test_a_line_is_heated_inserted_opened_closed_retracted_and_cooled_in_order(full: Any, gas: GasInjection) -> None:
    start = len(full.calls)
    gas.prepare("Pt dep", cancel=NEVER)
    gas.insert("Pt dep", cancel=NEVER)
    gas.open_valve("Pt dep")
    assert full.open_valves == {"Pt dep"}
    gas.close_valve("Pt dep")
    gas.retract(cancel=NEVER)
    done = [name for name in names(full)[start:] if name.startswith("gas_port.") and "temperature" not in name]
    assert done == [
        *("gas_port.turn_heater_on", "gas_port.insert", "gas_port.open", "gas_port.close"),
        *("gas_port.close", "gas_port.retract", "gas_port.turn_heater_off"),
    ]
    assert not full.heated_since_s


def test_the_multichem_is_heated_by_gas_and_has_one_needle_and_no_valve(full: Any, gas: GasInjection) -> None:
    gas.prepare("W dep", cancel=NEVER)
    gas.insert("W dep", cancel=NEVER)
    (call,) = [call for call in full.calls if call.name == "multichem.insert"]
    assert call.arguments == ("Ion Default",)
    with pytest.raises(NotSupportedError, match=r"W dep.*a multichem has none"):
        gas.open_valve("W dep")
    gas.retract(cancel=NEVER)
    assert not full.inserted_needles
    assert not full.heated_since_s


def test_two_needles_are_never_inserted_together(full: Any, gas: GasInjection) -> None:
    gas.insert("Pt dep", cancel=NEVER)
    with pytest.raises(InterlockError, match="Pt dep may be inserted"):
        gas.insert("W dep", cancel=NEVER)
    assert full.inserted_needles == {"Pt dep"}


def test_after_opening_no_needle_is_inserted_before_all_were_retracted(full: Any) -> None:
    with opened(full, **EVERYTHING) as microscope:
        assert microscope.gas_injection is not None
        with pytest.raises(InterlockError, match="retract the gas needles first"):
            microscope.gas_injection.insert("Pt dep", cancel=NEVER)


def test_a_line_that_does_not_get_warm_is_refused_in_time_and_switched_off(full: Any, gas: GasInjection) -> None:
    full.options.gas_warms = False
    started_s = full.clock.monotonic_s()
    with pytest.raises(HardwareError, match=r"has 293 K after 15 s, needed are 300 K"):
        gas.prepare("Pt dep", cancel=NEVER)
    assert 15 <= full.clock.monotonic_s() - started_s < 20
    assert not gas.is_ready("Pt dep")
    gas.retract(cancel=NEVER)
    assert not full.heated_since_s


def test_a_stop_ends_the_wait_for_the_heater(full: Any, gas: GasInjection) -> None:
    full.options.gas_warms, cancel = False, CancelToken()
    full.on_call = lambda call: cancel.cancel("stop pressed") if call.name == "gas_port.get_temperature" else None
    with pytest.raises(Cancelled):
        gas.prepare("Pt dep", cancel=cancel)


@pytest.mark.parametrize("line", ["Pt dep", "W dep"])
def test_no_gas_needle_is_inserted_with_the_stage_too_high(full: Any, line: str) -> None:
    settings = {**EVERYTHING, "gas": {**EVERYTHING["gas"], "highest_stage_z_mm": 32}}
    with opened(full, **settings) as microscope:
        gas = microscope.gas_injection
        assert gas is not None
        gas.retract(cancel=NEVER)
        with pytest.raises(InterlockError, match="lower the stage first"):
            gas.insert(line, cancel=NEVER)
        assert not gas.is_inserted()
        assert not full.inserted_needles


def test_a_site_says_how_high_the_stage_may_be_and_names_each_line_once() -> None:
    for gas in ({"ports": ["Pt dep"]}, {"highest_stage_z_mm": 4}, {**GAS["gas"], "multichem_gases": ["Pt dep"]}):
        with pytest.raises(ValidationError):
            ThermoFisherSettings.model_validate({**SETTINGS, "gas": gas})


def test_gas_lines_that_are_not_fitted_are_named() -> None:
    with small_instrument() as instrument:
        with pytest.raises(HardwareError, match=r"multichem_gases names W dep, the instrument has none"):
            with opened(instrument, **EVERYTHING):
                pass


def test_the_offline_server_lists_ports_that_it_does_not_control() -> None:
    """fibsem#87: the safe state says so and still does everything else."""
    with small_instrument(gas_is_controllable=False) as instrument, opened(instrument, **GAS) as microscope:
        assert microscope.gas_injection is not None
        with pytest.raises(HardwareError, match="GIS line is not controllable"):
            microscope.gas_injection.retract(cancel=NEVER)
        with pytest.raises(HardwareError, match="could not retract the gas needle"):
            microscope.driver.safe_state()
        assert microscope.ion_beam.is_blanked()


# --- coater and chamber ---


def test_coating_prepares_runs_and_recovers(full: Any, everything: Microscope) -> None:
    assert everything.sputter_coater is not None
    everything.sputter_coater.coat(duration_s=30.0, current_a=0.02, cancel=NEVER)
    done = [name for name in names(full) if name.startswith("sputter_coater.")]
    assert done == [f"sputter_coater.{name}" for name in ("prepare", "current=", "current", "run", "recover")]
    assert full.coated_as == pytest.approx(0.6)


def test_a_site_may_coat_at_a_pressure_of_its_own(full: Any) -> None:
    with opened(full, sputter={"pressure_pa": 20}) as microscope:
        assert microscope.sputter_coater is not None
        assert microscope.vacuum is not None
        microscope.sputter_coater.coat(duration_s=5.0, current_a=0.02, cancel=NEVER)
        (call,) = [call for call in full.calls if call.name == "vacuum.pump"]
        assert call.arguments[0].pressure == 20
        assert microscope.vacuum.is_pumped()


def test_a_chamber_that_answers_early_is_waited_for() -> None:
    with small_instrument(vacuum_returns_early=True) as instrument, opened(instrument) as microscope:
        assert microscope.pump is not None
        assert microscope.vacuum is not None
        for action, is_pumped in (("vent", False), ("pump", True)):
            started_s = instrument.clock.monotonic_s()
            getattr(microscope.pump, action)(cancel=NEVER)
            assert instrument.clock.monotonic_s() - started_s > 100
            assert microscope.vacuum.is_pumped() is is_pumped
            assert (microscope.vacuum.pressure_pa() < 1) is is_pumped


@pytest.mark.parametrize("is_colour", [True, False])
def test_a_picture_of_the_chamber_is_gray_and_the_view_of_the_beam_comes_back(is_colour: bool) -> None:
    with small_instrument(camera_is_colour=is_colour) as instrument, opened(instrument) as microscope:
        microscope.ion_beam.acquire(FRAME, cancel=NEVER)
        assert microscope.chamber_camera is not None
        instrument.devices[4] = 1
        picture = microscope.chamber_camera.acquire(cancel=NEVER)
        assert picture.shape == (480, 640)
        assert 90 <= picture.data.min() < picture.data.max() <= 157
        assert (instrument.active_view, instrument.devices[4]) == (2, 1)
        switches = [call.arguments[0] for call in instrument.calls if call.name == "imaging.set_active_view"]
        assert switches[-3:] == [4, 4, 2]


def test_a_picture_of_another_view_is_not_taken_for_the_chamber(full: Any, everything: Microscope) -> None:
    def meddle(call: Any) -> None:
        if call.name == "imaging.grab_frame":
            full.active_view = 1

    full.on_call = meddle
    assert everything.chamber_camera is not None
    with pytest.raises(HardwareError, match="chamber camera view"):
        everything.chamber_camera.acquire(cancel=NEVER)


def test_what_an_instrument_or_its_settings_lack_is_absent() -> None:
    with small_instrument(has_manipulator=False) as instrument, opened(instrument, camera_view=None) as microscope:
        assert microscope.sputter_coater is None
        assert microscope.chamber_camera is None
        assert microscope.gas_injection is None
        assert microscope.electron_equipment.spot is None
        assert microscope.electron_equipment.plasma_source is None
        assert microscope.ion_equipment.plasma_source is None
        assert microscope.ion_equipment.auto_focus is None
        assert microscope.ion_equipment.presets is None


def test_a_camera_that_is_not_fitted_is_an_error_that_leaves_the_view() -> None:
    with small_instrument(has_camera=False) as instrument, opened(instrument) as microscope:
        assert microscope.chamber_camera is not None
        with pytest.raises(HardwareError, match="is not fitted"):
            microscope.chamber_camera.acquire(cancel=NEVER)
        assert instrument.active_view == 1


# --- column equipment ---


def test_a_gallium_column_that_raises_has_no_plasma_gas() -> None:
    with small_instrument(plasma_gas_raises=True) as instrument, opened(instrument) as microscope:
        assert microscope.ion_equipment.plasma_source is None


def test_the_present_gas_is_not_changed_to_itself(full: Any, everything: Microscope) -> None:
    source = everything.ion_equipment.plasma_source
    assert source is not None
    assert source.switch_gas("Xenon", cancel=NEVER) == "Xenon"
    assert "ion_beam.source.plasma_gas=" not in names(full)
    started_s = full.clock.monotonic_s()
    source.switch_gas("Argon", cancel=NEVER)
    assert full.clock.monotonic_s() - started_s > 60


def test_a_detector_is_set_type_first_then_mode(full: Any, everything: Microscope) -> None:
    detectors = everything.electron_equipment.detectors
    assert detectors is not None
    found = detectors.select("TLD", mode="BackscatterElectrons")
    assert (found.name, found.mode) == ("TLD", "BackscatterElectrons")
    detectors.set_levels(brightness_fraction=0.3, contrast_fraction=0.7)
    written = [name for name in names(full) if name.startswith("detector.") and name.endswith("=")]
    assert written == [f"detector.{name}=" for name in ("type", "mode", "contrast", "brightness")]
    # The same detector is not written again, because that would reset its mode.
    assert detectors.select("TLD").mode == "BackscatterElectrons"
    assert names(full).count("detector.type=") == 1


def test_detectors_are_those_of_the_column(full: Any, everything: Microscope) -> None:
    for beam_type, name in ((BeamType.ELECTRON, "TLD"), (BeamType.ION, "ICE")):
        detectors = everything.equipment(beam_type).detectors
        assert detectors is not None
        detectors.select(name)
    assert full.columns["electron_beam"].detector_type == "TLD"
    assert full.columns["ion_beam"].detector_type == "ICE"


def test_a_retracted_detector_is_not_inserted_and_the_one_before_comes_back(full: Any, everything: Microscope) -> None:
    detectors = everything.electron_equipment.detectors
    assert detectors is not None
    before = detectors.select("ETD", mode="BackscatterElectrons")
    with pytest.raises(InterlockError, match=r"CBS, it is retracted; insert it at the instrument"):
        detectors.select("CBS")
    assert everything.electron_beam.detector() == before
    full.detector_states["CBS"] = "Inserted"
    assert detectors.select("CBS").name == "CBS"


def test_exactly_no_brightness_or_contrast_is_refused(everything: Microscope) -> None:
    detectors = everything.ion_equipment.detectors
    assert detectors is not None
    for brightness, contrast in ((0.0, 0.5), (0.5, 0.0)):
        with pytest.raises(RefusedSettingError, match="more than 0"):
            detectors.set_levels(brightness_fraction=brightness, contrast_fraction=contrast)


def test_focusing_is_of_the_electron_view_and_the_full_frame(full: Any, everything: Microscope) -> None:
    area = RelativeArea(left_fraction=0.25, top_fraction=0.25, width_fraction=0.5, height_fraction=0.5)
    everything.electron_beam.acquire(replace(FRAME, reduced_area=area), cancel=NEVER)
    everything.ion_beam.acquire(FRAME, cancel=NEVER)
    auto_focus = everything.electron_equipment.auto_focus
    assert auto_focus is not None
    auto_focus.focus(cancel=NEVER)
    (call,) = [call for call in full.calls if call.name == "auto_functions.run_auto_focus"]
    assert call.view == 1
    assert full.columns["electron_beam"].scan_area is None


def test_a_live_frame_has_the_depth_that_was_asked_for_whatever_the_buffer_holds() -> None:
    with small_instrument(buffer_is_16_bit=True) as instrument, opened(instrument) as microscope:
        live_view = microscope.ion_equipment.live_view
        assert live_view is not None
        for bit_depth, dtype in ((8, np.uint8), (16, np.uint16)):
            live_view.start(replace(FRAME, bit_depth=bit_depth))
            assert live_view.frame(cancel=NEVER).data.dtype == dtype
            live_view.stop()


def test_a_live_view_that_ended_by_itself_gives_no_old_frame(full: Any, everything: Microscope) -> None:
    live_view = everything.ion_equipment.live_view
    assert live_view is not None
    live_view.start(FRAME)
    live_view.frame(cancel=NEVER)
    everything.ion_beam.acquire(FRAME, cancel=NEVER)
    with pytest.raises(HardwareError, match="live view has ended"):
        live_view.frame(cancel=NEVER)


def test_a_live_view_of_a_part_of_the_field_is_that_part(everything: Microscope) -> None:
    live_view = everything.electron_equipment.live_view
    assert live_view is not None
    area = RelativeArea(left_fraction=0.25, top_fraction=0.25, width_fraction=0.5, height_fraction=0.5)
    live_view.start(replace(FRAME, reduced_area=area))
    assert live_view.frame(cancel=NEVER).shape == (256, 384)


@pytest.mark.parametrize(
    "change", [{"width_px": 600, "height_px": 400}, {"line_integration_count": 4}, {"scan_interlacing_count": 2}]
)
def test_a_live_view_that_the_instrument_cannot_scan_is_refused(
    full: Any, everything: Microscope, change: dict[str, Any]
) -> None:
    live_view = everything.ion_equipment.live_view
    assert live_view is not None
    with pytest.raises(RefusedSettingError, match="live view"):
        live_view.start(replace(FRAME, **change))
    assert not full.live_views


@pytest.mark.parametrize("coordinates", ["fraction", "pixel"])
@pytest.mark.parametrize("texts", [False, True])
def test_a_spot_is_exposed_where_and_as_long_as_asked(coordinates: str, texts: bool) -> None:
    """Both ways in which sources read ``set_spot`` (Q4), and both spellings of the scan modes (Q3)."""
    options = {"spot_coordinates": coordinates, "scanning_mode_texts": texts}
    with small_instrument(**options) as instrument, opened(instrument, spot_coordinates=coordinates) as microscope:
        microscope.ion_beam.acquire(FRAME, cancel=NEVER)
        spot = microscope.ion_equipment.spot
        assert spot is not None
        spot.expose(ImagePoint(10e-6, -4e-6), duration_s=3.0, cancel=NEVER)
        ((name, x, y), exposed_s), *others = instrument.spot_exposures_s.items()
        assert not others
        assert name == "ion_beam"
        assert (x, y) == pytest.approx((0.5 + 10 / 40, 0.5 + 4 / (40 * 512 / 768)))
        assert exposed_s == pytest.approx(3.0, abs=0.5)
        done = [n for n in names(instrument) if n.endswith((".blank", ".unblank", "set_spot"))]
        assert done == [f"ion_beam.{n}" for n in ("blank", "scanning.mode.set_spot", "unblank", "blank", "unblank")]
        microscope.ion_beam.acquire(FRAME, cancel=NEVER)


def test_pixels_taken_for_shares_would_be_noticed_by_the_server(everything: Microscope) -> None:
    """The other way round burns the first pixel without an error: that is why the site has to say which it is."""
    with small_instrument() as instrument, opened(instrument, spot_coordinates="pixel") as microscope:
        spot = microscope.ion_equipment.spot
        assert spot is not None
        with pytest.raises(HardwareError, match="outside of the frame"):
            spot.expose(ImagePoint(0.0, 0.0), duration_s=1.0, cancel=NEVER)
        assert not instrument.spot_exposures_s


# --- shapes ---


@pytest.mark.parametrize(("version", "has_polygons"), [("4.9.0.902", False), ("4.11.0.0", False), ("4.12.0.1", True)])
def test_polygons_need_a_server_that_has_them(version: str, has_polygons: bool) -> None:
    with small_instrument(version=version) as instrument, opened(instrument) as microscope:
        assert (ShapeKind.POLYGON in microscope.milling.shape_kinds) is has_polygons
        assert {ShapeKind.LINE, ShapeKind.CIRCLE, ShapeKind.BITMAP} < microscope.milling.shape_kinds
        if not has_polygons:
            with pytest.raises(NotSupportedError, match=r"older than 4\.12"):
                microscope.milling.draw([OTHER_SHAPES[2]], CONDITIONS)
            assert not [name for name in names(instrument) if name.startswith("patterning.")]


@pytest.mark.parametrize("shape", OTHER_SHAPES, ids=lambda shape: shape.kind.value)
def test_every_shape_gets_its_own_file_and_the_time_of_its_dose(full: Any, shape: Any) -> None:
    files = {"rectangle": "Pt dep", "line": "Si", "circle": "Si", "polygon": "Si", "bitmap": "Si"}
    with opened(full, applications={"ice": files}) as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        estimate_s = microscope.milling.draw([shape], CONDITIONS)
        (pattern,) = full.patterning.patterns[2]
        assert pattern.peek("application_file") == "Si"
        assert pattern.peek("time") == pytest.approx(estimate_s)
        assert estimate_s == pytest.approx(shape.area_m2 * shape.depth_m * 2e8 / 0.1e-9, rel=0.01)
        assert full.patterning.mode == "Serial"


def test_a_file_that_takes_no_circles_draws_nothing(full: Any) -> None:
    files = {"circle": "Pt dep"}
    with opened(full, applications={"ice": files}) as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        with pytest.raises(MillingError, match="'Pt dep' does not support this pattern"):
            microscope.milling.draw(OTHER_SHAPES[:2], CONDITIONS)
        assert full.patterning.patterns[2] == []


@pytest.mark.parametrize("shape", OTHER_SHAPES, ids=lambda shape: shape.kind.value)
def test_every_shape_removes_material_where_it_is(full: Any, everything: Microscope, shape: Any) -> None:
    everything.ion_beam.set_current(CONDITIONS.beam_current_a)
    everything.milling.draw([shape], CONDITIONS)
    assert everything.milling.run(cancel=NEVER).finished
    (cut,) = full.simulator.ion_beam.machine.sample.cuts
    assert np.isfinite(cut.front_m).any()


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=4))
def test_a_bitmap_reaches_the_vendor_as_shares_of_the_dwell_row_by_row(rows: list[list[float]]) -> None:
    shape = BitmapShape(
        centre=ImagePoint(0.0, 0.0),
        width_m=2e-6,
        height_m=1e-6,
        depth_m=1e-6,
        depth_fraction=tuple(tuple(row) for row in rows),
    )

    class Structures:
        class BitmapPatternDefinition:
            points: Any = None

    sdk: Any = type("Sdk", (), {"structures": Structures})
    points = bitmap_definition(sdk, shape).points
    assert points.dtype == object
    assert points.shape == (len(rows), 3, 2)
    assert points[..., 0].tolist() == rows
    assert all((flag == 1) == (share == 0) for share, flag in points.reshape(-1, 2))
