"""The plug-in: found by its entry point, safe state from any state, truth for its own microscopes only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import simulators
from pydantic import ValidationError
from simulators import CONDITIONS, PATTERN, SMALL_FRAME

from drivers.simulator import SimulatorSettings, plugin
from drivers.simulator.driver import SimulatorPlugin
from fibsem_runtime.core import (
    BeamType,
    CancelToken,
    ImagePoint,
    PixelPoint,
    RelativeArea,
    SpecimenPosition,
    image_to_pixel,
)
from fibsem_runtime.core.errors import ConfigError, ConnectionLostError, ExperimentError
from fibsem_runtime.hal import GuardSettings, Kinematics, ManipulatorPose, find_driver, guard
from fibsem_runtime.hal.devices import MillingState
from fibsem_runtime.hal.microscope import Microscope

SEED = simulators.SEED


@pytest.fixture
def instrument() -> Microscope:
    return simulators.microscope(simulators.settings(everything=True))


def test_it_is_found_by_its_entry_point_and_lacks_nothing() -> None:
    assert find_driver("simulator") is plugin
    assert plugin.settings_model is SimulatorSettings
    assert plugin.diagnose() == []


def test_the_instrument_declares_the_geometry_of_its_settings(instrument: Microscope) -> None:
    chain = instrument.chain
    assert math.degrees(chain.ion_column_tilt_rad) == pytest.approx(52)
    assert math.degrees(chain.pretilt_rad) == pytest.approx(35)
    assert chain.eucentric_working_distance_electron_m == pytest.approx(7e-3)
    assert chain.eucentric_working_distance_ion_m == pytest.approx(19e-3)
    assert instrument.gas_injection is not None and instrument.vacuum is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"disturbances": {"drift": {"rate_nm_per_minute": 1}}},
        {"disturbances": {"drift": {"rate_nm_per_min": -1}}},
        {"ion_beam": {"current_pa": 21}},
        {"stage": {"x_range_mm": [1, -1]}},
        {"geometry": {"pretilt_deg": math.inf}},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SimulatorSettings.model_validate(wrong)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="-1"):
        plugin.open(simulators.settings(), seed=-1, state_directory=None)


def paused(instrument: Microscope) -> None:
    simulators.ready_to_mill(instrument)
    instrument.milling.draw(PATTERN, CONDITIONS)
    instrument.milling.run(duration_s=1.0, cancel=CancelToken())


def closed(instrument: Microscope) -> None:
    instrument.driver.close()


@pytest.mark.parametrize("prepare", [lambda _: None, paused, closed])
def test_the_safe_state_is_reached_from_any_state_and_twice(
    instrument: Microscope, prepare: Callable[[Microscope], None]
) -> None:
    prepare(instrument)
    here = instrument.stage.position()
    for _ in range(2):
        instrument.driver.safe_state()
        assert instrument.milling.state() is MillingState.IDLE
        assert instrument.electron_beam.is_blanked() and instrument.ion_beam.is_blanked()
        assert instrument.stage.position() == here


def test_the_safe_state_ends_milling_that_runs(instrument: Microscope) -> None:
    done = []

    def watch(_: CancelToken) -> None:
        if instrument.milling.state() is MillingState.RUNNING and not done:
            done.append(True)
            instrument.driver.safe_state()

    simulators.ready_to_mill(instrument)
    instrument.milling.draw(PATTERN, CONDITIONS)
    assert not instrument.milling.run(cancel=simulators.WatchingToken(watch)).finished
    assert instrument.milling.state() is MillingState.IDLE
    assert instrument.ion_beam.is_blanked()


def test_the_safe_state_leaves_a_needle_that_holds_the_sample_also_for_the_next_client(tmp_path: Path) -> None:
    first = simulators.microscope(state_directory=tmp_path)
    assert first.manipulator is not None
    here = first.manipulator.insert(ManipulatorPose.STANDBY, cancel=CancelToken())
    first.manipulator.hold(held=True)
    second = simulators.microscope(state_directory=tmp_path)
    assert second.manipulator is not None and second.manipulator.is_held
    second.driver.safe_state()
    assert second.manipulator.is_inserted() and second.manipulator.position() == here
    second.manipulator.hold(held=False)
    second.driver.safe_state()
    assert not second.manipulator.is_inserted()


def test_after_closing_nothing_is_done_any_more(instrument: Microscope) -> None:
    instrument.driver.close()
    instrument.driver.close()
    with pytest.raises(ConnectionLostError):
        instrument.ion_beam.acquire(SMALL_FRAME, cancel=CancelToken())


def test_guards_find_nothing_to_complain_about_in_a_whole_session() -> None:
    raw = simulators.microscope(simulators.settings(everything=True))
    guarded = guard(raw, GuardSettings())
    pose = Kinematics(raw.chain).milling_pose(guarded.stage.position(), math.radians(15))
    guarded.stage.move_to(pose, cancel=CancelToken())
    guarded.ion_beam.set_current(CONDITIONS.beam_current_a)
    guarded.milling.draw(PATTERN, CONDITIONS)
    assert not guarded.milling.run(duration_s=3.0, cancel=CancelToken()).finished
    guarded.ion_beam.acquire(SMALL_FRAME, cancel=CancelToken())
    assert guarded.milling.run(cancel=CancelToken()).finished
    guarded.milling.stop()
    guarded.driver.safe_state()
    assert guarded.ion_beam.is_blanked()


def test_the_truth_is_given_for_its_own_microscope_also_behind_guards() -> None:
    own = SimulatorPlugin()
    raw = own.open(simulators.settings(), seed=SEED, state_directory=None)
    assert own.truth(guard(raw, GuardSettings())) is not None
    assert SimulatorPlugin().truth(raw) is None


@pytest.mark.parametrize("scan_rotation_rad", [0.0, 0.3, math.pi])
def test_the_truth_of_a_pixel_is_where_the_ideal_chain_shows_it(scan_rotation_rad: float) -> None:
    """Without disturbances the solver of the runtime and the truth agree, at any shift and in a reduced area."""
    own = SimulatorPlugin()
    instrument = own.open(simulators.settings(), seed=SEED, state_directory=None)
    truth = own.truth(instrument)
    assert truth is not None
    simulators.ready_to_mill(instrument)
    shift = ImagePoint(2e-6, -1e-6)
    area = RelativeArea(left_fraction=0.25, top_fraction=0.5, width_fraction=0.5, height_fraction=0.25)
    for beam_type in BeamType:
        beam = instrument.beam(beam_type)
        beam.set_shift(shift)
        beam.set_scan_rotation(scan_rotation_rad)
        full = beam.acquire(SMALL_FRAME, cancel=CancelToken())
        cut = beam.acquire(replace(SMALL_FRAME, reduced_area=area), cancel=CancelToken())
        pixel = PixelPoint(20.0, 18.0)
        found = truth.specimen_point(full.metadata.frame_id, pixel)
        assert truth.specimen_point(cut.metadata.frame_id, PixelPoint(20.0 - 12, 18.0 - 16)) == found
        back = Kinematics(instrument.chain).project(
            found, instrument.stage.position(), beam_type, scan_rotation_rad=scan_rotation_rad, shift=shift
        )
        assert dataclasses.astuple(image_to_pixel(back, full.shape, full.pixel_size_m)) == pytest.approx(
            (20.0, 18.0), abs=1e-3
        )


def test_the_truth_of_a_frame_is_that_of_its_moment_although_the_place_was_milled_later() -> None:
    own = SimulatorPlugin()
    instrument = own.open(simulators.settings(), seed=SEED, state_directory=None)
    truth = own.truth(instrument)
    assert truth is not None
    simulators.ready_to_mill(instrument)
    before = instrument.ion_beam.acquire(SMALL_FRAME, cancel=CancelToken())
    pixel = image_to_pixel(PATTERN[0].centre, before.shape, before.pixel_size_m)
    surface = truth.specimen_point(before.metadata.frame_id, pixel)
    instrument.milling.draw(PATTERN[:1], CONDITIONS)
    instrument.milling.run(cancel=CancelToken())
    after = instrument.ion_beam.acquire(SMALL_FRAME, cancel=CancelToken())
    assert truth.specimen_point(before.metadata.frame_id, pixel) == surface
    floor = truth.specimen_point(after.metadata.frame_id, pixel)
    assert math.dist(dataclasses.astuple(surface), dataclasses.astuple(floor)) > 1e-6


def test_a_frame_of_another_instrument_has_no_truth(instrument: Microscope) -> None:
    own = SimulatorPlugin()
    truth = own.truth(own.open(simulators.settings(), seed=SEED, state_directory=None))
    assert truth is not None
    with pytest.raises(ExperimentError, match="not taken with this simulator"):
        truth.specimen_point("sim-99-000001", PixelPoint(1.0, 1.0))


def test_an_untouched_sample_has_no_lamella() -> None:
    own = SimulatorPlugin()
    instrument = own.open(simulators.settings(), seed=SEED, state_directory=None)
    simulators.ready_to_mill(instrument)
    truth = own.truth(instrument)
    assert truth is not None
    assert truth.lamella(SpecimenPosition(x_m=0.0, y_m=0.0, z_m=0.0)).thickness_m is None


def test_the_measured_lamella_does_not_depend_on_where_the_stage_stands_later(tmp_path: Path) -> None:
    own = SimulatorPlugin()
    instrument = own.open(simulators.settings(), seed=SEED, state_directory=tmp_path)
    simulators.ready_to_mill(instrument)
    view_frame = instrument.ion_beam.acquire(SMALL_FRAME, cancel=CancelToken())
    truth = own.truth(instrument)
    assert truth is not None
    middle = image_to_pixel(ImagePoint(0.0, 0.0), view_frame.shape, view_frame.pixel_size_m)
    target = truth.specimen_point(view_frame.metadata.frame_id, middle)
    instrument.milling.draw([replace(shape, depth_m=20e-6) for shape in PATTERN], CONDITIONS)
    instrument.milling.run(cancel=CancelToken())
    instrument.milling.stop()
    at_milling_pose = truth.lamella(target)
    assert at_milling_pose.thickness_m is not None
    instrument.stage.move_to(
        replace(instrument.stage.position(), t_rad=math.radians(35), x_m=5e-6), cancel=CancelToken()
    )
    later = truth.lamella(target)
    assert later.thickness_m == pytest.approx(at_milling_pose.thickness_m, abs=0.5e-9)
    assert later.attached_to == at_milling_pose.attached_to
