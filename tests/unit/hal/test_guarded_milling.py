from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fakes import FakeInstrument

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import BeamError, Cancelled, HardwareError, InterlockError, MillingError, VacuumError
from fibsem_runtime.hal import (
    GuardSettings,
    Kinematics,
    Microscope,
    MillingSettings,
    MillingState,
    RectangleShape,
    guard,
)

SHAPE = RectangleShape(centre=ImagePoint(0, 0), width_m=10e-6, height_m=2e-6, depth_m=1e-6)
CONDITIONS = MillingSettings(beam_current_a=20e-12, voltage_v=30e3, hfw_m=80e-6, application="ice", dose_c_per_m3=2e8)


def test_a_pattern_is_drawn_and_milled_at_its_conditions(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    assert guarded.milling.draw([SHAPE], CONDITIONS) == 10.0
    assert guarded.milling.run(cancel=cancel).finished
    assert fake.milling.calls == ["draw", "run"]


@pytest.mark.parametrize("beam_type", list(BeamType))
def test_nothing_is_milled_while_a_live_view_runs(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken, beam_type: BeamType
) -> None:
    live_view = guarded.equipment(beam_type).live_view
    assert live_view is not None
    guarded.milling.draw([SHAPE], CONDITIONS)
    live_view.start(ImageSettings(width_px=384, height_px=256, hfw_m=80e-6, dwell_time_s=1e-6))
    with pytest.raises(InterlockError, match=f"{beam_type.value.lower()} live view runs; stop the live view first"):
        guarded.milling.run(cancel=cancel)
    assert fake.milling.calls == ["draw"]
    live_view.stop()
    assert guarded.milling.run(cancel=cancel).finished


@pytest.mark.parametrize("change", [{"beam_current_a": 60e-12}, {"voltage_v": 16e3}, {"beam_current_a": math.nan}])
def test_a_pattern_for_other_conditions_is_refused(
    fake: FakeInstrument, guarded: Microscope, change: dict[str, float]
) -> None:
    with pytest.raises(MillingError, match=r"nothing was milled.*reads back"):
        guarded.milling.draw([SHAPE], replace(CONDITIONS, **change))
    assert fake.milling.calls == []


def test_conditions_that_changed_after_drawing_are_refused(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    guarded.milling.draw([SHAPE], CONDITIONS)
    fake.ion.current = replace(fake.ion.current, beam_current_a=0.74e-9)
    with pytest.raises(MillingError, match="740 pA"):
        guarded.milling.run(cancel=cancel)
    assert fake.milling.calls == ["draw"]


def test_a_shape_outside_the_field_is_refused(fake: FakeInstrument, guarded: Microscope) -> None:
    for centre in (ImagePoint(36e-6, 0), ImagePoint(0, -26e-6), ImagePoint(math.nan, 0)):
        with pytest.raises(MillingError, match="field"):
            guarded.milling.draw([replace(SHAPE, centre=centre)], CONDITIONS)
    with pytest.raises(MillingError, match="without shapes"):
        guarded.milling.draw([], CONDITIONS)
    assert fake.milling.calls == []


@pytest.mark.parametrize("state", [MillingState.RUNNING, MillingState.PAUSED])
def test_a_second_pattern_is_refused(fake: FakeInstrument, guarded: Microscope, state: MillingState) -> None:
    fake.milling.now = state
    with pytest.raises(InterlockError, match=state.value):
        guarded.milling.draw([SHAPE], CONDITIONS)
    assert fake.milling.calls == []


def test_a_second_start_is_refused_but_a_paused_pattern_goes_on(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    guarded.milling.draw([SHAPE], CONDITIONS)
    guarded.milling.run(duration_s=3.0, cancel=cancel)
    assert guarded.milling.state() is MillingState.PAUSED
    guarded.milling.run(duration_s=3.0, cancel=cancel)
    fake.milling.now = MillingState.RUNNING
    with pytest.raises(InterlockError):
        guarded.milling.run(cancel=cancel)
    assert fake.milling.calls == ["draw", "run", "run"]


def test_milling_needs_a_drawing_that_was_not_stopped(guarded: Microscope, cancel: CancelToken) -> None:
    with pytest.raises(MillingError, match="nothing is drawn"):
        guarded.milling.run(cancel=cancel)
    guarded.milling.draw([SHAPE], CONDITIONS)
    guarded.milling.stop()
    with pytest.raises(MillingError, match="nothing is drawn"):
        guarded.milling.run(cancel=cancel)


def test_milling_needs_beam_and_vacuum(fake: FakeInstrument, guarded: Microscope, cancel: CancelToken) -> None:
    guarded.milling.draw([SHAPE], CONDITIONS)
    fake.ion.on = False
    with pytest.raises(BeamError, match="off"):
        guarded.milling.run(cancel=cancel)
    fake.ion.on, fake.ion.blanked = True, True
    with pytest.raises(BeamError, match="blanked"):
        guarded.milling.run(cancel=cancel)
    fake.ion.blanked, fake.vacuum.pumped = False, False
    with pytest.raises(VacuumError):
        guarded.milling.run(cancel=cancel)
    assert fake.milling.calls == ["draw"]


@pytest.mark.parametrize("times", [{"duration_s": -1.0}, {"duration_s": math.nan}, {"skip_s": -1.0}])
def test_impossible_times_are_refused(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken, times: dict[str, float]
) -> None:
    guarded.milling.draw([SHAPE], CONDITIONS)
    with pytest.raises(MillingError, match="0 s or more"):
        guarded.milling.run(cancel=cancel, **times)
    assert fake.milling.calls == ["draw"]


def test_a_stop_asked_for_while_preparing_reaches_no_beam(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    guarded.milling.draw([SHAPE], CONDITIONS)
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        guarded.milling.run(cancel=cancel)
    assert fake.milling.calls == ["draw"]


def test_an_engine_that_fails_while_running_is_stopped(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    guarded.milling.draw([SHAPE], CONDITIONS)
    fake.milling.raises = HardwareError("beam trip")
    with pytest.raises(HardwareError, match="beam trip"):
        guarded.milling.run(cancel=cancel)
    assert fake.milling.calls == ["draw", "run", "stop"]
    assert guarded.milling.state() is MillingState.IDLE


def test_a_stop_that_does_not_stop_is_an_error(fake: FakeInstrument, guarded: Microscope) -> None:
    fake.milling.now, fake.milling.stop_works = MillingState.RUNNING, False
    with pytest.raises(MillingError, match="still says running"):
        guarded.milling.stop()


def test_a_stage_that_moved_since_drawing_is_noticed(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    guarded.milling.draw([SHAPE], CONDITIONS)
    fake.stage.here = replace(fake.stage.here, y_m=5e-6)
    with pytest.raises(InterlockError, match=r"5 µm away from where the pattern was drawn"):
        guarded.milling.run(cancel=cancel)
    assert fake.milling.calls == ["draw"]


@pytest.mark.parametrize(("tilt_deg", "allowed"), [(1.0, True), (-2.0, True), (2.5, False), (-4.0, False)])
def test_overtilt_is_bounded(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken, tilt_deg: float, allowed: bool
) -> None:
    guarded.milling.draw([SHAPE], CONDITIONS)
    here = replace(fake.stage.here, t_rad=fake.stage.here.t_rad + math.radians(tilt_deg))
    kinematics = Kinematics(guarded.chain)
    fake.stage.here = kinematics.centre_on(kinematics.specimen_point(fake.stage.here), here)
    if allowed:
        assert guarded.milling.run(cancel=cancel).finished
        return
    with pytest.raises(InterlockError, match=r"allowed are 2.0°.*max_overtilt_deg"):
        guarded.milling.run(cancel=cancel)


def test_the_bound_of_overtilt_is_a_setting(fake: FakeInstrument, cancel: CancelToken) -> None:
    strict = guard(fake.microscope(), GuardSettings(max_overtilt_deg=0))
    strict.milling.draw([SHAPE], CONDITIONS)
    fake.stage.here = replace(fake.stage.here, t_rad=math.radians(1))
    with pytest.raises(InterlockError, match="tilt"):
        strict.milling.run(cancel=cancel)
