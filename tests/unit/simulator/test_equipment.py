"""Equipment of the simulator acts on the simulated sample and its images, and costs simulated time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import simulators

from drivers.simulator.auto_focus import sharpness
from drivers.simulator.beams import film_distance_m
from drivers.simulator.gas_line import LINE
from fibsem_runtime.core import BeamType, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import BeamError, HardwareError, InterlockError, NotSupportedError, VacuumError
from fibsem_runtime.hal import Microscope, gas_flow

FRAME = ImageSettings(width_px=96, height_px=64, hfw_m=30e-6, dwell_time_s=5e-6)
CANCEL = simulators.no_cancel()


@pytest.fixture
def instrument() -> Microscope:
    return simulators.microscope()


def height_m(instrument: Microscope) -> float:
    return float(np.median(instrument.driver.machine.sample.top_m))  # type: ignore[attr-defined]


def deposit(instrument: Microscope, flow_s: float) -> None:
    gas = instrument.gas_injection
    assert gas is not None
    gas.prepare(LINE, cancel=CANCEL)
    gas.insert(LINE, cancel=CANCEL)
    with gas_flow(gas, LINE):
        instrument.clock.sleep(flow_s)
    gas.retract(cancel=CANCEL)


def test_gas_grows_a_layer_as_long_as_its_valve_is_open(instrument: Microscope) -> None:
    heights_m = [height_m(instrument)]
    for flow_s in (10.0, 5.0):
        deposit(instrument, flow_s)
        heights_m.append(height_m(instrument))
    grown_m = np.diff(heights_m)
    assert grown_m == pytest.approx([10 * 44e-9, 5 * 44e-9], rel=0.02)


def test_an_open_valve_survives_the_client_and_the_layer_is_there_after_a_restart(tmp_path: Path) -> None:
    first = simulators.microscope(state_directory=tmp_path)
    bare_m = height_m(first)
    assert first.gas_injection is not None
    first.gas_injection.prepare(LINE, cancel=CANCEL)
    first.gas_injection.insert(LINE, cancel=CANCEL)
    first.gas_injection.open_valve(LINE)
    first.clock.sleep(5.0)
    first.electron_beam.set_blanked(blanked=True)
    second = simulators.microscope(state_directory=tmp_path)
    second.driver.safe_state()
    assert second.gas_injection is not None and not second.gas_injection.is_inserted()
    third = simulators.microscope(state_directory=tmp_path)
    assert height_m(third) - bare_m == pytest.approx(5.1 * 44e-9, rel=0.02)


@pytest.mark.parametrize("missing", ["prepare", "insert"])
def test_a_cold_needle_or_one_that_is_out_lets_no_gas_in(instrument: Microscope, missing: str) -> None:
    gas = instrument.gas_injection
    assert gas is not None
    for step in ("prepare", "insert"):
        if step != missing:
            getattr(gas, step)(LINE, cancel=CANCEL)
    with pytest.raises(InterlockError, match="warm needle"):
        gas.open_valve(LINE)


def test_an_unknown_gas_is_refused(instrument: Microscope) -> None:
    assert instrument.gas_injection is not None
    with pytest.raises(NotSupportedError, match=LINE):
        instrument.gas_injection.prepare("C dep", cancel=CANCEL)


def test_the_coater_covers_everything_by_charge(instrument: Microscope) -> None:
    assert instrument.sputter_coater is not None
    before_m, started_s = height_m(instrument), instrument.clock.monotonic_s()
    instrument.sputter_coater.coat(duration_s=15.0, current_a=10e-3, cancel=CANCEL)
    assert height_m(instrument) - before_m == pytest.approx(150 * 0.033e-9, rel=0.02)
    assert instrument.clock.monotonic_s() - started_s > 15


def test_a_vented_chamber_has_no_beam(instrument: Microscope) -> None:
    source, pump = instrument.electron_equipment.source, instrument.pump
    assert source is not None and pump is not None and instrument.ion_equipment.source is not None
    with pytest.raises(InterlockError, match="beam on"):
        pump.vent(cancel=CANCEL)
    source.turn_off()
    instrument.ion_equipment.source.turn_off()
    pump.vent(cancel=CANCEL)
    with pytest.raises(VacuumError, match="pump it first"):
        source.turn_on(cancel=CANCEL)
    with pytest.raises(BeamError, match="off"):
        instrument.electron_beam.acquire(FRAME, cancel=CANCEL)


@pytest.mark.parametrize(("beam_type", "within_m"), [(BeamType.ELECTRON, 2e-6), (BeamType.ION, 5e-6)])
def test_auto_focus_finds_the_film_from_far_away(instrument: Microscope, beam_type: BeamType, within_m: float) -> None:
    beam, machine = instrument.beam(beam_type), instrument.driver.machine  # type: ignore[attr-defined]
    beam.auto_contrast(cancel=CANCEL)
    beam.set_working_distance(beam.settings().working_distance_m + 150e-6)
    auto_focus, started_s = instrument.equipment(beam_type).auto_focus, instrument.clock.monotonic_s()
    assert auto_focus is not None
    assert auto_focus.focus(cancel=CANCEL) == beam.settings().working_distance_m
    assert abs(machine.focus_error_m(beam_type) - film_distance_m(machine.view(beam_type))) < within_m
    assert 10 < instrument.clock.monotonic_s() - started_s < 120


def test_auto_focus_says_so_when_there_is_nothing_to_focus_on(instrument: Microscope) -> None:
    levels, auto_focus = instrument.electron_equipment.detectors, instrument.electron_equipment.auto_focus
    assert levels is not None and auto_focus is not None
    levels.set_levels(brightness_fraction=1.0, contrast_fraction=1.0)
    before_m = instrument.electron_beam.settings().working_distance_m
    with pytest.raises(HardwareError, match="nothing sharp"):
        auto_focus.focus(cancel=CANCEL)
    assert instrument.electron_beam.settings().working_distance_m == before_m


@pytest.mark.parametrize("beam_type", list(BeamType))
def test_another_detector_sees_the_sample_differently(instrument: Microscope, beam_type: BeamType) -> None:
    detectors = instrument.equipment(beam_type).detectors
    assert detectors is not None
    noise = {}
    for name in detectors.available():
        assert detectors.select(name).name == name
        image = instrument.beam(beam_type).acquire(FRAME, cancel=CANCEL)
        assert image.metadata.detector.name == name
        noise[name] = float(np.std(np.diff(image.data * 1.0)))
    # The lens collects half as many electrons again; ions are fewer than electrons.
    assert noise["TLD"] < 0.95 * noise["ETD"] if beam_type is BeamType.ELECTRON else noise["ICE"] > 1.3 * noise["ETD"]


def test_an_astigmatic_beam_blurs_the_image(instrument: Microscope) -> None:
    stigmator = instrument.electron_equipment.stigmator
    assert stigmator is not None
    fine = ImageSettings(width_px=96, height_px=64, hfw_m=3e-6, dwell_time_s=20e-6)
    detail = []
    for x in (0.0, 1.0):
        assert stigmator.set_stigmation(x, 0.0) == (x, 0.0)
        frames = [instrument.electron_beam.acquire(fine, cancel=CANCEL).data for _ in range(2)]
        detail.append(sharpness(*frames))
    assert detail[1] < 0.9 * detail[0]


def test_a_spot_burns_a_hole_where_it_was_held_and_keeps_the_drawing() -> None:
    instrument = simulators.microscope()
    simulators.ready_to_mill(instrument)
    instrument.ion_beam.acquire(FRAME, cancel=CANCEL)
    spot, machine = instrument.ion_equipment.spot, instrument.driver.machine  # type: ignore[attr-defined]
    assert spot is not None
    total_s = instrument.milling.draw(simulators.PATTERN, simulators.CONDITIONS)
    started_s = instrument.clock.monotonic_s()
    spot.expose(ImagePoint(2e-6, 1e-6), duration_s=1.0, cancel=CANCEL)
    assert instrument.clock.monotonic_s() - started_s == pytest.approx(1.0, abs=1e-6)
    cut = machine.sample.cuts[-1]
    view = machine.view(BeamType.ION)
    row, column = np.unravel_index(np.argmax(cut.front_m), cut.front_m.shape)
    place = cut.origin + (cut.u0_m + column * cut.du_m) * cut.axes[0] + (cut.v0_m + row * cut.dv_m) * cut.axes[1]
    away = place - view.origin
    assert (float(away @ view.right), float(away @ view.up)) == pytest.approx((2e-6, 1e-6), abs=50e-9)
    assert instrument.milling.run(cancel=CANCEL).total_s == total_s


def test_a_live_view_gives_frames_until_it_is_stopped(instrument: Microscope) -> None:
    live_view = instrument.electron_equipment.live_view
    assert live_view is not None
    live_view.start(FRAME)
    assert live_view.frame(cancel=CANCEL).shape == (64, 96)
    live_view.stop()
    with pytest.raises(HardwareError, match="live view"):
        live_view.frame(cancel=CANCEL)
