from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import FakeInstrument

from fibsem_runtime.core import ImagePoint
from fibsem_runtime.core.errors import AlignmentError, Cancelled, HardwareError, RefusedSettingError
from fibsem_runtime.hal import Microscope, MillingSettings, MillingState, milling_conditions

MILLING = MillingSettings(beam_current_a=0.74e-9, voltage_v=16e3, hfw_m=80e-6, application="ice", dose_c_per_m3=2e8)


def test_inside_the_beam_mills_and_afterwards_it_images(fake: FakeInstrument, guarded: Microscope) -> None:
    before = fake.ion.current = replace(fake.ion.current, shift=ImagePoint(1e-6, 2e-6))
    with milling_conditions(guarded, MILLING):
        assert fake.ion.current == replace(before, beam_current_a=0.74e-9, voltage_v=16e3)
        fake.ion.set_shift(ImagePoint(-3e-6, 0))
    assert fake.ion.current == before


def test_a_blanked_beam_is_unblanked_inside_and_blanked_again(fake: FakeInstrument, guarded: Microscope) -> None:
    fake.ion.blanked = True
    with milling_conditions(guarded, MILLING):
        assert not fake.ion.blanked
    assert fake.ion.blanked


def test_conditions_that_hold_already_are_not_set_again(fake: FakeInstrument, guarded: Microscope) -> None:
    fake.ion.current = replace(fake.ion.current, beam_current_a=0.74e-9, voltage_v=16e3)
    with milling_conditions(guarded, MILLING):
        pass
    assert "beam_current_a" not in fake.ion.calls
    assert "voltage_v" not in fake.ion.calls


def test_an_error_inside_is_raised_after_restoring(fake: FakeInstrument, guarded: Microscope) -> None:
    before = fake.ion.current
    with pytest.raises(AlignmentError, match="drift"), milling_conditions(guarded, MILLING):
        raise AlignmentError("drift")
    assert fake.ion.current == before


@pytest.mark.parametrize("stuck", ["beam_current_a", "voltage_v"])
def test_conditions_that_do_not_read_back_never_reach_the_body(
    fake: FakeInstrument, guarded: Microscope, stuck: str
) -> None:
    before = fake.ion.current
    fake.ion.stuck.add(stuck)
    with pytest.raises(RefusedSettingError, match="reads back"), milling_conditions(guarded, MILLING):
        pytest.fail("the body ran")
    assert fake.ion.current == before


def test_the_read_back_is_verified_on_an_unguarded_instrument_too(fake: FakeInstrument) -> None:
    fake.ion.stuck.add("beam_current_a")
    with (
        pytest.raises(RefusedSettingError, match="reads back 20 pA"),
        milling_conditions(fake.microscope(), MILLING),
    ):
        pytest.fail("the body ran")


def test_a_failed_restoration_does_not_stop_the_others(fake: FakeInstrument, guarded: Microscope) -> None:
    with (
        pytest.raises(HardwareError, match=r"could not restore the ion voltage of 30 kV"),
        milling_conditions(guarded, MILLING),
    ):
        fake.ion.set_shift(ImagePoint(-3e-6, 0))
        fake.ion.broken.add("voltage_v")
    assert fake.ion.current.beam_current_a == 20e-12
    assert fake.ion.current.shift == ImagePoint(0, 0)


def test_a_failed_restoration_names_the_error_before_it(fake: FakeInstrument, guarded: Microscope) -> None:
    with (
        pytest.raises(HardwareError, match=r"imaging current of 20 pA.*before that: drift") as caught,
        milling_conditions(guarded, MILLING),
    ):
        fake.ion.broken.add("beam_current_a")
        raise AlignmentError("drift")
    assert isinstance(caught.value.__cause__, AlignmentError)


def test_a_stop_stays_a_stop_even_when_restoring_fails(fake: FakeInstrument, guarded: Microscope) -> None:
    with (
        pytest.raises(Cancelled, match=r"stop pressed \(after milling, could not restore"),
        milling_conditions(guarded, MILLING),
    ):
        fake.ion.broken.add("beam_current_a")
        raise Cancelled("stop pressed")


def test_an_engine_that_still_mills_keeps_its_current_and_says_so(fake: FakeInstrument, guarded: Microscope) -> None:
    with pytest.raises(HardwareError, match="while the ion beam mills"), milling_conditions(guarded, MILLING):
        fake.milling.now = MillingState.RUNNING
    assert fake.ion.current.beam_current_a == 0.74e-9


def test_even_an_unforeseen_end_restores(fake: FakeInstrument, guarded: Microscope) -> None:
    with pytest.raises(KeyboardInterrupt), milling_conditions(guarded, MILLING):
        raise KeyboardInterrupt
    assert fake.ion.current.beam_current_a == 20e-12
