"""The fake is as strict as vendor-fakes.md says an instrument is: what would fail there fails here."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simulators
import tifffile
from thermofisher_fake import (
    CLIENT,
    COMPUSTAGE_GEOMETRY,
    COMPUSTAGE_LIMITS,
    HOST,
    small_instrument,
    virtual_instrument,
)


class Vendor:
    """The fake's modules and a connected client."""

    def __init__(self, instrument: Any) -> None:
        self.instrument = instrument
        self.structures: Any = import_module(f"{CLIENT}.structures")
        self.enumerations: Any = import_module(f"{CLIENT}.enumerations")
        self.error: type[Exception] = import_module("autoscript_core.common").ApplicationServerException
        self.client: Any = import_module(CLIENT).SdbMicroscopeClient()
        self.client.connect(HOST)


@pytest.fixture
def vendor(instrument: Any) -> Iterator[Vendor]:
    yield Vendor(instrument)


def ready_to_mill(vendor: Vendor, file: str = "Si") -> Any:
    """Select the ion view and an application file; return the patterning engine."""
    vendor.client.imaging.set_active_view(2)
    vendor.client.beams.ion_beam.beam_current.value = 100e-12
    vendor.client.beams.ion_beam.horizontal_field_width.value = 40e-6
    patterning = vendor.client.patterning
    patterning.set_default_beam_type(2)
    patterning.set_default_application_file(file)
    return patterning


def test_enumerations_are_plain_constants(vendor: Vendor) -> None:
    assert not issubclass(vendor.enumerations.ImagingDevice, enum.Enum)
    assert vendor.enumerations.CoordinateSystem.SPECIMEN.upper() == "SPECIMEN"


def test_structures_default_to_none_and_compare_by_value(vendor: Vendor) -> None:
    position = vendor.structures.StagePosition(x=1.0)
    assert position == vendor.structures.StagePosition(x=1.0)
    assert (position.y, position.coordinate_system) == (None, None)
    assert "x=1.0" in repr(position)
    pair = (3, 4)
    assert vendor.structures.Point(1, 2) + pair == vendor.structures.Point(4, 6)
    with pytest.raises(TypeError):
        vendor.structures.StagePosition(q=1)


def test_connecting_prints_two_lines(vendor: Vendor, capsys: pytest.CaptureFixture[str]) -> None:
    client = import_module(CLIENT).SdbMicroscopeClient()
    assert client.server_host is None
    client.connect(host=HOST, port=7520)
    assert capsys.readouterr().out.splitlines() == [
        f"Client connecting to [{HOST}:7520]...",
        f"Client connected to [{HOST}:7520]",
    ]
    client.disconnect()
    assert client.server_host is None
    with pytest.raises(ConnectionRefusedError):
        client.connect("nowhere")


def test_a_frame_is_of_the_active_view_whatever_was_meant(vendor: Vendor) -> None:
    """The race that gave frames of the wrong beam (vendor-fakes.md section 5)."""
    vendor.client.imaging.set_active_view(1)
    frame = vendor.client.imaging.grab_frame(vendor.structures.GrabFrameSettings(resolution="768x512"))
    assert frame.metadata.acquisition.beam_type == "Electron"
    vendor.client.imaging.set_active_view(2)
    assert vendor.client.imaging.grab_frame().metadata.acquisition.beam_type == "Ion"
    assert vendor.client.imaging.get_image().metadata.acquisition.beam_type == "Ion"


def test_the_device_belongs_to_the_view(vendor: Vendor) -> None:
    imaging = vendor.client.imaging
    imaging.set_active_view(3)
    imaging.set_active_device(2)
    imaging.set_active_view(1)
    assert imaging.get_active_device() == 1
    imaging.set_active_view(3)
    assert imaging.get_active_device() == 2
    with pytest.raises(vendor.error):
        imaging.set_active_device(8)


def test_resolutions_are_texts_and_reduced_areas_stick(vendor: Vendor) -> None:
    imaging, settings = vendor.client.imaging, vendor.structures.GrabFrameSettings
    imaging.set_active_view(2)
    with pytest.raises(vendor.error):
        imaging.grab_frame(settings(resolution=[768, 512]))
    with pytest.raises(vendor.error):
        imaging.grab_frame(settings(resolution="384x256"))
    area = vendor.structures.Rectangle(0.25, 0.25, 0.5, 0.5)
    assert imaging.grab_frame(settings(resolution="768x512", reduced_area=area)).width == 384
    assert imaging.grab_frame(settings(resolution="768x512")).width == 384
    with pytest.raises(vendor.error, match="reduced area"):
        vendor.client.auto_functions.run_auto_cb()
    vendor.client.beams.ion_beam.scanning.mode.set_full_frame()
    assert imaging.grab_frame(settings(resolution="768x512")).width == 768
    with pytest.raises(vendor.error, match="reduced area"):
        imaging.grab_frame(settings(reduced_area=vendor.structures.Rectangle(0.7, 0, 0.5, 0.5)))


def test_a_blanked_beam_gives_a_dark_frame_without_an_error(vendor: Vendor) -> None:
    vendor.client.imaging.set_active_view(2)
    vendor.client.beams.ion_beam.blank()
    assert vendor.client.imaging.grab_frame().data.max() == 0


def test_nothing_set_means_the_offline_servers_image(vendor: Vendor) -> None:
    frame = vendor.client.imaging.grab_frame()
    assert (frame.width, frame.height) == (1024, 884)


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
def test_saved_files_hold_the_relations_of_real_ones(vendor: Vendor, tmp_path: Path, turn_rad: float) -> None:
    """vendor-image-metadata.md section 2: the beam's stage is corrected for its shift and its eucentric height."""
    beam = vendor.client.beams.ion_beam
    beam.scanning.rotation.value = turn_rad
    beam.beam_shift.value = vendor.structures.Point(1e-6, -2e-6)
    vendor.client.imaging.set_active_view(2)
    frame = vendor.client.imaging.grab_frame(vendor.structures.GrabFrameSettings(resolution="768x512"))
    frame.save(str(tmp_path / "frame.tif"))
    with tifffile.TiffFile(tmp_path / "frame.tif") as file:
        tag = file.pages[0].tags[34682].value
    sign = -1 if turn_rad == 0 else 1
    for axis, shift_m in (("X", 1e-6), ("Y", -2e-6)):
        assert tag["IBeam"][f"Stage{axis}"] == pytest.approx(tag["Stage"][f"Stage{axis}"] + sign * shift_m, abs=1e-12)
    assert tag["IBeam"]["StageZ"] - tag["Stage"]["StageZ"] == pytest.approx(12e-3)
    assert tag["Scan"]["PixelWidth"] == pytest.approx(tag["IBeam"]["HFW"] / tag["Image"]["ResolutionX"])
    loaded = vendor.structures.AdornedImage.load(str(tmp_path / "frame.tif"))
    assert (loaded.data == frame.data).all()
    assert loaded.metadata.binary_result.pixel_size.x == frame.metadata.binary_result.pixel_size.x


def test_values_outside_their_limits_raise(vendor: Vendor) -> None:
    beam = vendor.client.beams.ion_beam
    with pytest.raises(vendor.error, match="out of range"):
        beam.beam_shift.value = vendor.structures.Point(1e-3, 0)
    with pytest.raises(vendor.error):
        beam.horizontal_field_width.value = beam.horizontal_field_width.limits.max


@pytest.mark.parametrize("snaps", [True, False])
def test_an_unlisted_ion_current_snaps_or_raises(snaps: bool) -> None:
    with small_instrument(ion_current_snaps=snaps) as instrument:
        vendor = Vendor(instrument)
        current = vendor.client.beams.ion_beam.beam_current
        if snaps:
            current.value = 37e-12
            assert current.value == 30e-12
        else:
            with pytest.raises(vendor.error, match="not available"):
                current.value = 37e-12


def test_focusing_degausses_and_writing_the_type_resets_the_mode(vendor: Vendor) -> None:
    started_s = vendor.instrument.clock.monotonic_s()
    vendor.client.beams.electron_beam.working_distance.value = 7.1e-3
    assert vendor.instrument.clock.monotonic_s() - started_s > 1
    vendor.client.detector.mode.value = "BackscatterElectrons"
    vendor.client.detector.type.value = "TLD"
    assert vendor.client.detector.mode.value == "SecondaryElectrons"
    with pytest.raises(vendor.error, match="retractable"):
        _ = vendor.client.detector.state


@pytest.mark.parametrize("is_plasma", [True, False])
def test_only_a_plasma_column_has_a_gas(is_plasma: bool) -> None:
    with small_instrument(is_plasma=is_plasma) as instrument:
        assert hasattr(Vendor(instrument).client.beams.ion_beam, "source") is is_plasma


def test_raw_and_specimen_coordinates_differ_and_tilts_rewrite_the_focus(vendor: Vendor) -> None:
    stage, focus = vendor.client.specimen.stage, vendor.client.beams.electron_beam.working_distance
    stage.set_default_coordinate_system("Raw")
    raw = stage.current_position
    stage.set_default_coordinate_system("Specimen")
    specimen = stage.current_position
    assert (specimen.x - raw.x, specimen.y - raw.y) == pytest.approx((1.2e-3, -0.7e-3))
    assert specimen.z == -raw.z
    before_m = focus.value
    position = vendor.structures.StagePosition
    stage.absolute_move(position(x=raw.x + 1e-5, coordinate_system="Raw"))
    assert (focus.value, stage.current_position.y) == (before_m, specimen.y)
    stage.absolute_move(position(t=0.1))
    assert focus.value != before_m
    with pytest.raises(vendor.error, match="allowed are"):
        stage.absolute_move(position(t=3.0))


def test_a_tiny_move_is_ignored_without_an_error(vendor: Vendor) -> None:
    stage = vendor.client.specimen.stage
    here = stage.current_position
    stage.absolute_move(vendor.structures.StagePosition(x=here.x + 1e-9))
    assert stage.current_position == here


def test_a_compustage_has_no_rotation_and_no_link() -> None:
    settings = simulators.settings(geometry=COMPUSTAGE_GEOMETRY, stage=COMPUSTAGE_LIMITS)
    with virtual_instrument(settings, is_compustage=True) as instrument:
        vendor = Vendor(instrument)
        stage = vendor.client.specimen.compustage
        assert stage.is_installed
        assert not hasattr(stage.current_position, "r")
        with pytest.raises(AttributeError):
            stage.link()
        stage.absolute_move(vendor.structures.CompustagePosition(a=-2.0))
        assert stage.current_position.a == -2.0
        with pytest.raises(vendor.error):
            stage.absolute_move(vendor.structures.StagePosition(t=0.1))


def test_a_manipulator_is_inserted_from_saved_positions_and_retracted_from_its_park(vendor: Vendor) -> None:
    needle, clock = vendor.client.specimen.manipulator, vendor.instrument.clock
    position = vendor.structures.ManipulatorPosition
    with pytest.raises(vendor.error, match="rotation"):
        needle.insert(position(x=0, y=0, z=0, r=0.1))
    with pytest.raises(vendor.error, match="park or eucentric"):
        needle.insert(position(x=0, y=0, z=0, coordinate_system="Raw"))
    needle.insert(needle.get_saved_position("Eucentric", "Raw"))
    assert needle.state == "Inserted"
    with pytest.raises(vendor.error, match="not parked"):
        needle.retract()
    needle.absolute_move(needle.get_saved_position("Park", "Stage"))
    with pytest.raises(vendor.error, match="still moving"):
        needle.retract()
    clock.sleep(1.0)
    needle.retract()
    assert needle.state == "Retracted"


def test_a_manipulator_stays_out_while_the_stage_is_low(vendor: Vendor) -> None:
    needle = vendor.client.specimen.manipulator
    state = vendor.instrument.simulator.stage.machine.state
    state.stage.position = replace(state.stage.position, z_m=3.6e-3)
    with pytest.raises(vendor.error, match="too low"):
        needle.insert(needle.get_saved_position("Park", "Raw"))
    assert needle.state == "Retracted"


def test_application_files_decide_what_can_be_drawn(vendor: Vendor) -> None:
    patterning = ready_to_mill(vendor)
    with pytest.raises(vendor.error, match="There is no patterning application with name: 'Ice'"):
        patterning.set_default_application_file("Ice")
    assert patterning.create_rectangle(0, 0, 2e-6, 1e-6, 1e-6).rotation == 0
    with pytest.raises(vendor.error, match="does not support"):
        patterning.create_cleaning_cross_section(0, 0, 2e-6, 1e-6, 1e-6)
    patterning.set_default_application_file("Si-ccs")
    with pytest.raises(vendor.error, match="does not support"):
        patterning.create_rectangle(0, 0, 2e-6, 1e-6, 1e-6)
    patterning.mode = "Parallel"
    with pytest.raises(vendor.error, match="serial"):
        patterning.create_cleaning_cross_section(0, 0, 2e-6, 1e-6, 1e-6)
    patterning.set_default_application_file("Si")
    with pytest.raises(vendor.error, match="too small"):
        patterning.create_rectangle(0, 0, 1e-9, 1e-6, 1e-6)


def test_times_passes_and_dwell_hang_together(vendor: Vendor) -> None:
    pattern = ready_to_mill(vendor).create_rectangle(0, 0, 2e-6, 1e-6, 1e-6)
    whole_s, passes = pattern.time, pattern.pass_count
    pattern.pass_count = passes // 2
    assert pattern.time == pytest.approx(whole_s * (passes // 2) / passes)
    pattern.time = whole_s
    assert pattern.pass_count == pytest.approx(passes, abs=1)
    with pytest.raises(vendor.error):
        pattern.scan_direction = "bottom_to_top"
    with pytest.raises(AttributeError):
        pattern.colour = 1


def test_the_engine_says_idle_then_runs_pauses_and_ends_by_itself(vendor: Vendor) -> None:
    patterning, clock = ready_to_mill(vendor), vendor.instrument.clock
    with pytest.raises(vendor.error, match="nothing to mill"):
        patterning.run()
    patterning.create_rectangle(0, 0, 2e-6, 1e-6, 1e-6).time = 10.0
    patterning.start()
    assert patterning.state == "Idle"
    clock.sleep(1.0)
    assert patterning.state == "Running"
    with pytest.raises(vendor.error, match="while patterning"):
        vendor.client.imaging.grab_frame()
    patterning.pause()
    assert patterning.state == "Paused"
    vendor.client.imaging.set_active_view(1)
    assert patterning.state == "Idle", "the state is that of the active view"
    vendor.client.imaging.set_active_view(2)
    clock.sleep(100.0)
    assert vendor.instrument.patterning.milled_s == pytest.approx(0.7)
    patterning.resume()
    clock.sleep(12.0)
    assert patterning.state == "Idle"
    assert vendor.instrument.patterning.milled_s == pytest.approx(10.0)
    with pytest.raises(vendor.error):
        patterning.pause()


def test_patterns_are_cleared_in_the_active_view_only(vendor: Vendor) -> None:
    patterning = ready_to_mill(vendor)
    patterning.create_rectangle(0, 0, 2e-6, 1e-6, 1e-6)
    vendor.client.imaging.set_active_view(1)
    patterning.clear_patterns()
    assert len(vendor.instrument.patterning.patterns[2]) == 1


def test_pumping_takes_minutes(vendor: Vendor) -> None:
    started_s = vendor.instrument.clock.monotonic_s()
    vendor.client.vacuum.vent()
    assert vendor.client.vacuum.chamber_state == "Vented"
    with pytest.raises(vendor.error):
        vendor.client.beams.ion_beam.turn_on()
    vendor.client.vacuum.pump()
    assert vendor.client.vacuum.chamber_state == "Pumped"
    assert vendor.instrument.clock.monotonic_s() - started_s > 300


def test_gas_that_is_not_fitted_is_not_controllable(vendor: Vendor) -> None:
    with pytest.raises(vendor.error, match="GIS line is not controllable"):
        vendor.client.gas.get_gis_port("W dep")


def test_versions_decide_what_the_server_offers() -> None:
    for version, has_polygons, has_saved in (("4.6", False, False), ("4.11.1", False, True), ("4.12", True, True)):
        with small_instrument(version=version) as instrument:
            client = Vendor(instrument).client
            assert hasattr(client.patterning, "create_polygon") is has_polygons
            assert hasattr(client.specimen.manipulator, "get_saved_position") is has_saved


def test_lines_warm_in_seconds_and_a_valve_that_is_open_is_not_retracted(vendor: Vendor) -> None:
    port, clock = vendor.client.gas.get_gis_port("Pt dep"), vendor.instrument.clock
    assert port.get_temperature() == 293
    port.turn_heater_on()
    clock.sleep(3.0)
    assert 293 < port.get_temperature() < 300
    clock.sleep(3.0)
    assert port.get_temperature() >= 300
    port.insert()
    port.open()
    with pytest.raises(vendor.error, match="valve is open"):
        port.retract()
    port.close()
    port.retract()
    port.turn_heater_off()
    assert port.get_temperature() == 293


def test_only_some_instruments_have_a_multichem_and_a_coater() -> None:
    with small_instrument() as instrument:
        vendor = Vendor(instrument)
        assert not hasattr(vendor.client.specimen, "sputter_coater")
        assert vendor.client.gas.list_all_multichem_ports() == []
        with pytest.raises(vendor.error, match="not controllable"):
            vendor.client.gas.get_multichem()
    with small_instrument(multichem_gases=("W dep",), has_coater=True) as instrument:
        vendor = Vendor(instrument)
        multichem = vendor.client.gas.get_multichem()
        with pytest.raises(vendor.error, match="has no gas"):
            multichem.turn_heater_on("Pt dep")
        with pytest.raises(vendor.error, match="position"):
            multichem.insert("Somewhere")
        coater = vendor.client.specimen.sputter_coater
        with pytest.raises(vendor.error, match="not prepared"):
            coater.run(5.0)
        with pytest.raises(vendor.error, match="out of range"):
            coater.current.value = 1.0


def test_the_camera_is_a_device_of_a_view_and_has_no_metres(vendor: Vendor) -> None:
    imaging = vendor.client.imaging
    imaging.set_active_view(4)
    picture = imaging.grab_frame()
    assert picture.data.shape == (480, 640, 3)
    assert picture.metadata is None
    with pytest.raises(vendor.error, match="has no beam"):
        _ = vendor.client.detector.brightness.value


def test_a_live_scan_belongs_to_its_view_and_ends_with_a_grab(vendor: Vendor) -> None:
    imaging, clock = vendor.client.imaging, vendor.instrument.clock
    imaging.set_active_view(2)
    imaging.start_acquisition()
    assert imaging.state == vendor.enumerations.ImagingState.ACQUIRING
    started_s = clock.monotonic_s()
    one, other = imaging.get_image(), imaging.get_image()
    assert clock.monotonic_s() > started_s
    assert one is not other
    imaging.set_active_view(1)
    assert imaging.state == "Idle"
    imaging.set_active_view(2)
    imaging.grab_frame()
    assert imaging.state == "Idle"


@pytest.mark.parametrize(("coordinates", "bad"), [("fraction", (1.2, 0.5)), ("pixel", (2000.0, 0.5))])
def test_a_spot_counts_the_time_of_an_unblanked_beam_only(coordinates: str, bad: tuple[float, float]) -> None:
    with small_instrument(spot_coordinates=coordinates) as instrument:
        vendor = Vendor(instrument)
        beam = vendor.client.beams.ion_beam
        with pytest.raises(vendor.error, match="outside of the frame"):
            beam.scanning.mode.set_spot(*bad)
        beam.blank()
        beam.scanning.mode.set_spot(0.5, 0.5)
        instrument.clock.sleep(5.0)
        beam.unblank()
        instrument.clock.sleep(2.0)
        beam.scanning.mode.set_full_frame()
        instrument.clock.sleep(5.0)
        assert sum(instrument.spot_exposures_s.values()) == pytest.approx(2.0)
        ((_, x, _),) = instrument.spot_exposures_s
        assert x == pytest.approx(0.5 if coordinates == "fraction" else 0.5 / 1024)


def test_detectors_have_modes_of_their_own_and_some_are_retractable(vendor: Vendor) -> None:
    detector = vendor.client.detector
    detector.type.value = "CBS"
    assert (detector.mode.value, detector.state) == ("All", "Retracted")
    with pytest.raises(vendor.error, match="mode"):
        detector.mode.value = "SecondaryElectrons"
    with pytest.raises(vendor.error, match="does not exist"):
        detector.type.value = "T9"


def test_bitmaps_load_only_as_objects_and_some_files_take_no_circles(vendor: Vendor) -> None:
    patterning = ready_to_mill(vendor)
    definition = vendor.structures.BitmapPatternDefinition()
    definition.points = np.zeros((2, 3, 2))
    with pytest.raises(vendor.error, match="cannot be loaded"):
        patterning.create_bitmap(0, 0, 2e-6, 1e-6, 1e-6, definition)
    definition.points = np.array([[[0.5, 0], [1.0, 0]], [[0.0, 1], [0.25, 0]]], object)
    assert patterning.create_bitmap(0, 0, 2e-6, 1e-6, 1e-6, definition).time > 0
    patterning.set_default_application_file("Pt dep")
    with pytest.raises(vendor.error, match="does not support"):
        patterning.create_circle(0, 0, 2e-6, 0, 1e-6)
    with pytest.raises(vendor.error, match="too small"):
        patterning.create_line(0, 0, 1e-9, 0, 1e-6)


def test_changing_the_gas_takes_minutes_and_outlives_the_client() -> None:
    with small_instrument(is_plasma=True) as instrument:
        started_s = instrument.clock.monotonic_s()
        Vendor(instrument).client.beams.ion_beam.source.plasma_gas.value = "Oxygen"
        assert instrument.clock.monotonic_s() - started_s > 60
        assert Vendor(instrument).client.beams.ion_beam.source.plasma_gas.value == "Oxygen"
