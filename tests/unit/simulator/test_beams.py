"""The columns: settings taken or refused, frames with honest metadata, time that passes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import simulators

from drivers.simulator.beams import film_distance_m, scan_time_s
from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings, RelativeArea, SimulatedClock
from fibsem_runtime.core.errors import BeamError, Cancelled, RefusedSettingError
from fibsem_runtime.hal.devices import Beam
from fibsem_runtime.hal.microscope import Microscope

FRAME = simulators.SMALL_FRAME
QUARTER = RelativeArea(left_fraction=0.25, top_fraction=0.25, width_fraction=0.5, height_fraction=0.5)


@pytest.fixture
def instrument() -> Microscope:
    return simulators.microscope(simulators.settings(everything=True))


@pytest.fixture(params=BeamType)
def beam(instrument: Microscope, request: pytest.FixtureRequest) -> Beam:
    return instrument.beam(request.param)


def spent_s(instrument: Microscope, start_s: float) -> float:
    return instrument.clock.monotonic_s() - start_s


def test_a_current_is_one_of_the_listed_ones_however_it_was_converted(beam: Beam) -> None:
    assert list(beam.available_currents_a) == sorted(beam.available_currents_a)
    for way_to_write_it in (50e-12, 50 / 1e12, 0.05 / 1e9, 50 * 1e-12):
        assert beam.set_current(way_to_write_it) == 50 / 1e12
    with pytest.raises(RefusedSettingError, match=r"51 pA was asked for, available are .*50 pA"):
        beam.set_current(51e-12)
    assert beam.settings().beam_current_a == 50 / 1e12


def test_changing_the_current_takes_20_s_and_keeping_it_none(instrument: Microscope) -> None:
    start_s = instrument.clock.monotonic_s()
    instrument.ion_beam.set_current(20e-12)
    assert spent_s(instrument, start_s) == 0.0
    instrument.ion_beam.set_current(1e-9)
    assert spent_s(instrument, start_s) == pytest.approx(20.0)


def test_voltages_that_are_not_modelled_are_refused(instrument: Microscope) -> None:
    assert instrument.electron_beam.set_voltage(5e3) == 5e3
    with pytest.raises(RefusedSettingError, match="5 kV was asked for, available are 30 kV"):
        instrument.ion_beam.set_voltage(5e3)


@pytest.mark.parametrize("shift", [ImagePoint(26e-6, 0.0), ImagePoint(0.0, -26e-6), ImagePoint(math.nan, 0.0)])
def test_a_beam_shift_beyond_its_limit_is_refused(beam: Beam, shift: ImagePoint) -> None:
    kept = beam.set_shift(ImagePoint(1e-6, beam.shift_limit_m))
    with pytest.raises(RefusedSettingError, match="beam shift"):
        beam.set_shift(shift)
    assert beam.settings().shift == kept


def test_working_distance_scan_rotation_and_field_have_limits(beam: Beam) -> None:
    assert beam.set_working_distance(10e-3) == 10e-3
    assert beam.set_scan_rotation(math.pi) == math.pi
    with pytest.raises(RefusedSettingError, match="working distance"):
        beam.set_working_distance(1.0)
    with pytest.raises(RefusedSettingError, match="scan rotation"):
        beam.set_scan_rotation(7.0)
    with pytest.raises(RefusedSettingError, match="field width"):
        beam.acquire(replace(FRAME, hfw_m=5e-3), cancel=CancelToken())


def test_a_blanked_beam_and_one_that_is_off_give_no_image(instrument: Microscope, beam: Beam) -> None:
    assert beam.set_blanked(blanked=True) is True
    assert beam.is_blanked()
    with pytest.raises(BeamError, match="blanked; unblank"):
        beam.acquire(FRAME, cancel=CancelToken())
    with pytest.raises(BeamError, match=r"auto contrast .* blanked"):
        beam.auto_contrast(cancel=CancelToken())
    beam.set_blanked(blanked=False)
    state = instrument.driver.machine.beam_state(beam.beam_type)  # type: ignore[attr-defined]
    state.is_on = False
    assert not beam.is_on()
    with pytest.raises(BeamError, match="off"):
        beam.acquire(FRAME, cancel=CancelToken())


def test_a_frame_says_what_an_instrument_knows_and_nothing_of_the_truth(instrument: Microscope, beam: Beam) -> None:
    instrument.stage.move_to(replace(instrument.stage.position(), x_m=5e-6), cancel=CancelToken())
    beam.set_shift(ImagePoint(0.5e-6, -0.25e-6))
    image = beam.acquire(FRAME, cancel=CancelToken())
    metadata = image.metadata
    assert image.shape == (32, 48)
    assert metadata.beam_type is beam.beam_type
    assert metadata.pixel_size_m == FRAME.pixel_size_m
    assert metadata.dwell_time_s == FRAME.dwell_time_s
    assert metadata.stage_position == instrument.stage.position()
    assert metadata.beam == beam.settings()
    assert metadata.beam is not None and metadata.beam.hfw_m == FRAME.hfw_m
    assert metadata.beam.shift == ImagePoint(0.5e-6, -0.25e-6)
    assert metadata.detector == beam.detector()
    assert not metadata.extra


def test_frames_have_different_names_and_noise_but_the_same_run_repeats_them() -> None:
    def two_frames() -> list[tuple[str, bytes]]:
        beam = simulators.microscope(simulators.settings(everything=True)).ion_beam
        images = [beam.acquire(FRAME, cancel=CancelToken()) for _ in range(2)]
        return [(image.metadata.frame_id, image.data.tobytes()) for image in images]

    first, second = two_frames()
    assert first[0] != second[0]
    assert first[1] != second[1]
    assert two_frames() == [first, second]


def test_another_seed_is_another_sample() -> None:
    one, other = (
        simulators.microscope(seed=seed).electron_beam.acquire(FRAME, cancel=CancelToken()) for seed in (1, 2)
    )
    assert not np.array_equal(one.data, other.data)


def test_frames_cost_their_scan_and_the_published_overhead(instrument: Microscope) -> None:
    slow = replace(FRAME, dwell_time_s=1e-3, line_integration_count=2)
    assert scan_time_s(slow) == pytest.approx(48 * 32 * 2e-3)
    assert scan_time_s(replace(slow, reduced_area=QUARTER)) == pytest.approx(24 * 16 * 2e-3)
    start_s = instrument.clock.monotonic_s()
    instrument.ion_beam.acquire(slow, cancel=CancelToken())
    assert spent_s(instrument, start_s) == pytest.approx(scan_time_s(slow) + 2.0)
    start_s = instrument.clock.monotonic_s()
    instrument.ion_beam.acquire(replace(FRAME, reduced_area=QUARTER), cancel=CancelToken())
    assert spent_s(instrument, start_s) == pytest.approx(24 * 16 * 1e-6 + 0.85)


def test_auto_contrast_takes_its_time_and_is_read_back_in_the_frames(instrument: Microscope, beam: Beam) -> None:
    beam.acquire(FRAME, cancel=CancelToken())
    start_s = instrument.clock.monotonic_s()
    found = beam.auto_contrast(cancel=CancelToken())
    assert spent_s(instrument, start_s) == pytest.approx(1.7)
    assert 0 < found.brightness_fraction < 1 and 0 < found.contrast_fraction < 1
    assert beam.acquire(FRAME, cancel=CancelToken()).metadata.detector == found


def test_a_cancelled_frame_is_not_scanned(instrument: Microscope) -> None:
    cancel = CancelToken()
    cancel.cancel("operator")
    with pytest.raises(Cancelled):
        instrument.ion_beam.acquire(FRAME, cancel=cancel)
    assert instrument.clock.monotonic_s() == 0.0


def test_drift_shows_between_two_frames(instrument: Microscope) -> None:
    machine = instrument.driver.machine  # type: ignore[attr-defined]
    first = machine.view(BeamType.ION).origin
    assert isinstance(instrument.clock, SimulatedClock)
    instrument.clock.sleep(600.0)
    assert math.dist(first, machine.view(BeamType.ION).origin) > 20e-9


def test_height_is_defocus_and_refocusing_removes_it() -> None:
    found = simulators.settings(only="height", disturbances={"height": {"variation_um": 0}})
    instrument = simulators.microscope(found)
    machine, beam = instrument.driver.machine, instrument.electron_beam  # type: ignore[attr-defined]
    height_m = machine.errors().height_m
    assert abs(height_m) > 1e-6
    assert film_distance_m(machine.view(BeamType.ELECTRON)) == pytest.approx(-height_m)
    beam.set_working_distance(beam.settings().working_distance_m - height_m)
    defocus_m = machine.focus_error_m(BeamType.ELECTRON) - film_distance_m(machine.view(BeamType.ELECTRON))
    assert defocus_m == pytest.approx(0.0, abs=1e-12)


def test_a_beam_shift_moves_the_image_content_with_it() -> None:
    beam = simulators.microscope(simulators.settings(optics={"noise": False})).electron_beam
    still = beam.acquire(FRAME, cancel=CancelToken()).data.astype(float)
    pixel_m = FRAME.pixel_size_m
    beam.set_shift(ImagePoint(4 * pixel_m, 3 * pixel_m))
    shifted = beam.acquire(FRAME, cancel=CancelToken()).data.astype(float)
    # Content goes 4 px right and 3 px up (towards smaller rows).
    assert np.abs(shifted[:-3, 4:] - still[3:, :-4]).max() <= 3
    assert np.abs(shifted - still).max() > 20


def test_a_reduced_area_is_cut_from_the_full_frame(instrument: Microscope) -> None:
    image = instrument.electron_beam.acquire(
        ImageSettings(width_px=48, height_px=32, hfw_m=40e-6, reduced_area=QUARTER), cancel=CancelToken()
    )
    assert image.shape == (16, 24)
    assert image.metadata.reduced_area == QUARTER
    assert image.pixel_size_m == FRAME.pixel_size_m
