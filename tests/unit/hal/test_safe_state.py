from __future__ import annotations

import pytest
from fakes import FakeInstrument

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import HardwareError, MillingError
from fibsem_runtime.hal import Microscope, MillingSettings, MillingState, RectangleShape, attempt_all


def test_a_safe_state_that_was_reached_is_silent_twice(fake: FakeInstrument, guarded: Microscope) -> None:
    fake.milling.now, fake.gas.inserted, fake.manipulator.inserted = MillingState.RUNNING, True, True
    guarded.driver.safe_state()
    guarded.driver.safe_state()
    assert fake.milling.now is MillingState.IDLE


def test_everything_that_is_not_safe_afterwards_is_named(fake: FakeInstrument, guarded: Microscope) -> None:
    fake.driver.lazy = True
    fake.milling.now, fake.gas.inserted, fake.manipulator.inserted = MillingState.RUNNING, True, True
    with pytest.raises(HardwareError) as caught:
        guarded.driver.safe_state()
    for named in ("milling is idle", "ion beam", "electron beam", "gas needle", "manipulator", "look"):
        assert named in str(caught.value)


def test_a_safe_state_that_fails_is_still_checked(fake: FakeInstrument, guarded: Microscope) -> None:
    fake.driver.raises = HardwareError("no answer")
    with pytest.raises(HardwareError, match=r"no answer.*ion beam is blanked"):
        guarded.driver.safe_state()


def test_a_needle_that_holds_the_sample_is_safe_where_it_is(fake: FakeInstrument, guarded: Microscope) -> None:
    fake.manipulator.inserted = fake.manipulator.is_held = True
    guarded.driver.safe_state()
    assert fake.manipulator.inserted
    fake.driver.lazy, fake.ion.blanked = True, False
    with pytest.raises(HardwareError, match=r"ion beam is blanked.*holds the sample and stays where it is") as caught:
        guarded.driver.safe_state()
    assert "manipulator is retracted" not in str(caught.value)


def test_a_beam_that_is_off_need_not_be_blanked(fake: FakeInstrument, guarded: Microscope) -> None:
    fake.driver.lazy = True
    fake.ion.on = fake.electron.on = False
    guarded.driver.safe_state()


@pytest.mark.parametrize("beam_type", list(BeamType))
def test_a_live_view_ends_with_the_safe_state(fake: FakeInstrument, guarded: Microscope, beam_type: BeamType) -> None:
    live_view = guarded.equipment(beam_type).live_view
    assert live_view is not None
    live_view.start(ImageSettings(width_px=384, height_px=256, hfw_m=80e-6, dwell_time_s=1e-6))
    fake.driver.raises = HardwareError("no answer")
    with pytest.raises(HardwareError, match="no answer"):
        guarded.driver.safe_state()
    assert not live_view.is_running


def test_a_drawing_does_not_outlive_a_safe_state(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    shape = RectangleShape(centre=ImagePoint(0, 0), width_m=1e-6, height_m=1e-6, depth_m=1e-6)
    conditions = MillingSettings(
        beam_current_a=20e-12, voltage_v=30e3, hfw_m=80e-6, application="ice", dose_c_per_m3=2e8
    )
    guarded.milling.draw([shape], conditions)
    guarded.driver.safe_state()
    fake.ion.blanked = False
    with pytest.raises(MillingError, match="nothing is drawn"):
        guarded.milling.run(cancel=cancel)


def test_closing_reaches_the_driver(fake: FakeInstrument, guarded: Microscope) -> None:
    guarded.driver.close()
    assert fake.driver.closed


def test_every_attempt_is_made_in_order_and_every_failure_named() -> None:
    made: list[str] = []

    def fail() -> None:
        made.append("fail")
        raise HardwareError("no answer")

    failures = attempt_all(
        [("open the valve", fail), ("blank", lambda: made.append("blank")), ("close the valve", fail)]
    )
    assert made == ["fail", "blank", "fail"]
    assert failures == ["could not open the valve: no answer", "could not close the valve: no answer"]
