from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from fibsem_runtime.contract.instruments import Instrument
from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import BeamError, ConfigError, MillingError
from fibsem_runtime.hal import (
    Microscope,
    MillingSettings,
    MillingState,
    RectangleShape,
    available_drivers,
    find_driver,
)


def assert_safe(microscope: Microscope) -> None:
    assert microscope.milling.state() is MillingState.IDLE
    for beam_type in BeamType:
        assert microscope.beam(beam_type).is_blanked()
    for needle in (microscope.manipulator, microscope.gas_injection):
        assert needle is None or not needle.is_inserted()


def test_the_driver_is_found_by_its_name(instrument: Instrument) -> None:
    assert instrument.name in available_drivers()
    assert find_driver(instrument.name).settings_model is instrument.plugin.settings_model


def test_an_unknown_driver_is_refused_with_the_installed_ones(instrument: Instrument) -> None:
    with pytest.raises(ConfigError, match=instrument.name):
        find_driver("no-such-driver")


def test_unknown_settings_are_refused(instrument: Instrument) -> None:
    with pytest.raises(ValidationError, match="no_such_setting"):
        instrument.plugin.settings_model.model_validate({"no_such_setting": 1})


def test_a_driver_that_could_be_opened_misses_nothing(instrument: Instrument) -> None:
    assert instrument.plugin.diagnose() == []


def test_the_instrument_says_what_it_is(microscope: Microscope) -> None:
    assert microscope.info.manufacturer
    assert microscope.info.model


def test_the_declared_chain_can_be_true(microscope: Microscope) -> None:
    chain = microscope.chain
    assert math.radians(30) < chain.ion_column_tilt_rad < math.radians(90)
    assert abs(chain.pretilt_rad) < math.radians(60)
    assert {chain.axis_sign_x, chain.axis_sign_y, chain.z_sign, chain.rotation_sign} <= {-1, 1}
    assert microscope.stage.limits.z_m.contains(chain.eucentric_z_m)
    assert 0 < chain.eucentric_working_distance_electron_m < 0.1
    assert 0 < chain.eucentric_working_distance_ion_m < 0.1


def test_a_state_is_what_the_devices_read(microscope: Microscope) -> None:
    state = microscope.state()
    assert state.stage_position == microscope.stage.position()
    for beam_type in BeamType:
        assert state.beam(beam_type) == microscope.beam(beam_type).settings()
        assert microscope.beam(beam_type).beam_type is beam_type


def test_the_clock_never_runs_backwards(microscope: Microscope) -> None:
    times_s = [microscope.clock.monotonic_s() for _ in range(5)]
    assert times_s == sorted(times_s)
    assert microscope.clock.now().tzinfo is not None


def test_the_safe_state_works_twice_and_leaves_the_stage(microscope: Microscope) -> None:
    here = microscope.stage.position()
    for _ in range(2):
        microscope.driver.safe_state()
        assert_safe(microscope)
    assert microscope.stage.position() == here


def test_the_safe_state_ends_a_paused_pattern(
    microscope: Microscope, conditions: MillingSettings, cancel: CancelToken
) -> None:
    shape = RectangleShape(centre=ImagePoint(0, 0), width_m=5e-6, height_m=2e-6, depth_m=0.1e-6)
    total_s = microscope.milling.draw([shape], conditions)
    microscope.milling.run(duration_s=total_s / 2, cancel=cancel)
    microscope.driver.safe_state()
    assert_safe(microscope)
    microscope.ion_beam.set_blanked(blanked=False)
    with pytest.raises(MillingError, match="drawn"):
        microscope.milling.run(cancel=cancel)


def test_after_a_safe_state_beams_are_used_only_when_asked_for(
    microscope: Microscope, frame: ImageSettings, cancel: CancelToken
) -> None:
    microscope.driver.safe_state()
    for beam_type in BeamType:
        beam = microscope.beam(beam_type)
        with pytest.raises(BeamError, match="blanked"):
            beam.acquire(frame, cancel=cancel)
        beam.set_blanked(blanked=False)
        assert beam.acquire(frame, cancel=cancel).shape == (frame.height_px, frame.width_px)
