from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fake_equipment import PARK
from fakes import FakeInstrument

from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import Cancelled, InterlockError, MotionError
from fibsem_runtime.hal import GuardSettings, Manipulator, ManipulatorPose, Microscope, MillingState, guard


@pytest.fixture
def needle(guarded: Microscope) -> Manipulator:
    assert guarded.manipulator is not None
    return guarded.manipulator


@pytest.fixture
def inserted(fake: FakeInstrument, needle: Manipulator) -> Manipulator:
    fake.manipulator.inserted = True
    return needle


def test_it_is_inserted_once_and_retracted_as_often_as_asked(
    fake: FakeInstrument, needle: Manipulator, cancel: CancelToken
) -> None:
    assert needle.insert(ManipulatorPose.PARKED, cancel=cancel) == PARK
    with pytest.raises(InterlockError, match="inserted already"):
        needle.insert(ManipulatorPose.WORKING, cancel=cancel)
    for _ in range(2):
        needle.retract(cancel=cancel)
        assert not needle.is_inserted()
    assert fake.manipulator.calls == ["insert", "retract", "retract"]


@pytest.mark.parametrize("state", [MillingState.RUNNING, MillingState.PAUSED])
def test_it_is_neither_inserted_nor_moved_unless_milling_is_idle(
    fake: FakeInstrument, needle: Manipulator, cancel: CancelToken, state: MillingState
) -> None:
    fake.milling.now = state
    with pytest.raises(InterlockError, match=state.value):
        needle.insert(ManipulatorPose.WORKING, cancel=cancel)
    fake.manipulator.inserted = True
    with pytest.raises(InterlockError, match=state.value):
        needle.move_to(PARK, cancel=cancel)
    assert fake.manipulator.calls == []


def test_it_is_not_retracted_while_the_beam_mills_at_it(
    fake: FakeInstrument, inserted: Manipulator, cancel: CancelToken
) -> None:
    fake.milling.now = MillingState.RUNNING
    with pytest.raises(InterlockError, match="mills"):
        inserted.retract(cancel=cancel)
    fake.milling.now = MillingState.PAUSED
    inserted.retract(cancel=cancel)
    assert not fake.manipulator.inserted


def test_what_touches_or_holds_the_sample_is_not_retracted(
    fake: FakeInstrument, inserted: Manipulator, cancel: CancelToken
) -> None:
    inserted.hold(held=True)
    assert inserted.is_held
    with pytest.raises(InterlockError, match="touches or holds the sample; it stays where it is"):
        inserted.retract(cancel=cancel)
    assert fake.manipulator.calls == []
    inserted.hold(held=False)
    inserted.retract(cancel=cancel)
    assert not fake.manipulator.inserted


def test_it_is_not_inserted_beside_a_gas_needle(fake: FakeInstrument, needle: Manipulator, cancel: CancelToken) -> None:
    fake.gas.inserted = True
    with pytest.raises(InterlockError, match="gas needle"):
        needle.insert(ManipulatorPose.WORKING, cancel=cancel)
    assert fake.manipulator.calls == []


def test_it_is_not_moved_beside_a_gas_needle(fake: FakeInstrument, inserted: Manipulator, cancel: CancelToken) -> None:
    fake.gas.inserted = True
    with pytest.raises(InterlockError, match="asked to move the manipulator while the gas needle is inserted"):
        inserted.move_to(PARK, cancel=cancel)
    assert fake.manipulator.calls == []


def test_it_is_not_moved_while_it_is_retracted(fake: FakeInstrument, needle: Manipulator, cancel: CancelToken) -> None:
    with pytest.raises(InterlockError, match="insert it first"):
        needle.move_to(PARK, cancel=cancel)
    assert fake.manipulator.calls == []


@pytest.mark.parametrize(
    ("axis", "value", "named"),
    [
        ("x_m", 1.1e-3, "x = 1.1 mm, allowed are -1 mm to 1 mm"),
        ("y_m", -1.1e-3, "y = -1.1 mm"),
        ("z_m", math.nan, "z = nan"),
        ("x_m", math.inf, "x = inf"),
    ],
)
def test_a_place_outside_its_ranges_is_refused(
    fake: FakeInstrument, inserted: Manipulator, cancel: CancelToken, axis: str, value: float, named: str
) -> None:
    with pytest.raises(InterlockError, match=named):
        inserted.move_to(replace(PARK, **{axis: value}), cancel=cancel)
    assert fake.manipulator.calls == []


def test_a_longer_move_than_the_cap_is_refused(
    fake: FakeInstrument, inserted: Manipulator, cancel: CancelToken
) -> None:
    target = replace(PARK, x_m=0.4e-3, y_m=0.4e-3)
    with pytest.raises(
        InterlockError, match=r"by 566 µm at once, allowed are 500 µm \(guards.max_manipulator_move_um\)"
    ):
        inserted.move_to(target, cancel=cancel)
    assert fake.manipulator.calls == []
    roomier = guard(fake.microscope(), GuardSettings(max_manipulator_move_um=600)).manipulator
    assert roomier is not None
    assert roomier.move_to(target, cancel=cancel) == target


@pytest.mark.parametrize("miss_m", [2e-6, math.nan])
def test_a_move_that_does_not_arrive_is_noticed(
    fake: FakeInstrument, inserted: Manipulator, cancel: CancelToken, miss_m: float
) -> None:
    fake.manipulator.miss_m = miss_m
    with pytest.raises(MotionError, match="from where it was sent"):
        inserted.move_to(replace(PARK, x_m=1e-5), cancel=cancel)


def test_a_rotation_of_a_needle_that_has_none_is_refused(
    fake: FakeInstrument, inserted: Manipulator, cancel: CancelToken
) -> None:
    with pytest.raises(InterlockError, match=r"no rotation; it has not moved"):
        inserted.move_to(replace(PARK, r_rad=0.0), cancel=cancel)
    assert fake.manipulator.calls == []


@pytest.mark.parametrize("r_rad", [math.nan, math.inf, 7.0, -7.0])
def test_a_rotation_that_is_no_angle_of_one_turn_is_refused(
    fake: FakeInstrument, inserted: Manipulator, cancel: CancelToken, r_rad: float
) -> None:
    fake.manipulator.here = replace(PARK, r_rad=0.0)
    with pytest.raises(InterlockError, match=r"allowed are -360\.0° to 360\.0°; it has not moved"):
        inserted.move_to(replace(PARK, r_rad=r_rad), cancel=cancel)
    assert fake.manipulator.calls == []


@pytest.mark.parametrize("miss_rad", [math.radians(0.2), math.nan])
def test_a_rotation_that_does_not_arrive_is_noticed(
    fake: FakeInstrument, inserted: Manipulator, cancel: CancelToken, miss_rad: float
) -> None:
    fake.manipulator.here = turned = replace(PARK, r_rad=1.0)
    assert inserted.move_to(replace(turned, r_rad=1.0 - math.tau), cancel=cancel).r_rad == 1.0 - math.tau
    assert inserted.move_to(PARK, cancel=cancel).r_rad == 1.0 - math.tau
    fake.manipulator.miss_rad = miss_rad
    with pytest.raises(MotionError, match="from where it was to turn"):
        inserted.move_to(turned, cancel=cancel)


@pytest.mark.parametrize("what", ["insert", "retract"])
def test_an_instrument_that_does_nothing_is_noticed(
    fake: FakeInstrument, needle: Manipulator, cancel: CancelToken, what: str
) -> None:
    fake.manipulator.stuck.add(what)
    fake.manipulator.inserted = what == "retract"
    with pytest.raises(MotionError, match="says that it is not"):
        if what == "insert":
            needle.insert(ManipulatorPose.WORKING, cancel=cancel)
        else:
            needle.retract(cancel=cancel)


def test_a_cancelled_token_moves_nothing(fake: FakeInstrument, needle: Manipulator, cancel: CancelToken) -> None:
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        needle.insert(ManipulatorPose.WORKING, cancel=cancel)
    fake.manipulator.inserted = True
    with pytest.raises(Cancelled):
        needle.move_to(PARK, cancel=cancel)
    assert fake.manipulator.calls == []


def test_what_only_reads_passes_through(fake: FakeInstrument, needle: Manipulator) -> None:
    assert needle.limits is fake.manipulator.limits
    assert needle.chain is None
    assert needle.position() == needle.saved_position(ManipulatorPose.PARKED) == PARK
