"""The needle: in and out by saved positions, straight moves that arrive, and what is refused before it moves.

An instrument without a manipulator has nothing to keep; `tests/contract/test_coverage.py` holds it to the reason.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint
from fibsem_runtime.core.errors import Cancelled, HardwareError, InterlockError, NotSupportedError
from fibsem_runtime.hal import (
    Manipulator,
    ManipulatorPose,
    ManipulatorPosition,
    Microscope,
    image_move,
)

TOLERANCE_M = 1e-6
STEP = 10e-6


def distance_m(one: ManipulatorPosition, other: ManipulatorPosition) -> float:
    return math.dist((one.x_m, one.y_m, one.z_m), (other.x_m, other.y_m, other.z_m))


def kept_poses(manipulator: Manipulator) -> dict[ManipulatorPose, ManipulatorPosition]:
    """Return the positions that the instrument keeps."""
    found = {}
    for pose in ManipulatorPose:
        try:
            found[pose] = manipulator.saved_position(pose)
        except NotSupportedError:
            continue
    return found


@pytest.fixture
def manipulator(microscope: Microscope) -> Manipulator:
    if microscope.manipulator is None:
        pytest.skip("the instrument has no manipulator")
    return microscope.manipulator


@pytest.fixture
def inserted(manipulator: Manipulator, cancel: CancelToken) -> Manipulator:
    """The needle at a position with room around it."""
    manipulator.insert(approach(manipulator), cancel=cancel)
    return manipulator


def approach(manipulator: Manipulator) -> ManipulatorPose:
    """Return the saved position from which the needle approaches: standby where it is kept, else the working one."""
    kept = kept_poses(manipulator)
    return ManipulatorPose.STANDBY if ManipulatorPose.STANDBY in kept else ManipulatorPose.WORKING


def stepped(here: ManipulatorPosition, manipulator: Manipulator) -> ManipulatorPosition:
    """Return a place a step away on every axis, towards the middle of its range."""
    limits = manipulator.limits
    away = {}
    for axis, value_m, allowed in (
        ("x_m", here.x_m, limits.x_m),
        ("y_m", here.y_m, limits.y_m),
        ("z_m", here.z_m, limits.z_m),
    ):
        away[axis] = value_m + math.copysign(STEP, (allowed.low + allowed.high) / 2 - value_m)
    return replace(here, **away)


def test_some_positions_are_kept_and_can_be_reached(manipulator: Manipulator) -> None:
    assert kept_poses(manipulator)
    assert not manipulator.is_inserted()


@pytest.mark.parametrize("pose", list(ManipulatorPose))
def test_the_needle_is_inserted_at_a_saved_position_and_retracted(
    manipulator: Manipulator, cancel: CancelToken, pose: ManipulatorPose
) -> None:
    saved = kept_poses(manipulator).get(pose)
    if saved is None:
        with pytest.raises(NotSupportedError):
            manipulator.insert(pose, cancel=cancel)
        assert not manipulator.is_inserted()
        return
    found = manipulator.insert(pose, cancel=cancel)
    assert manipulator.is_inserted()
    assert found == manipulator.position()
    assert distance_m(found, saved) < TOLERANCE_M
    for _ in range(2):
        manipulator.retract(cancel=cancel)
        assert not manipulator.is_inserted()


def test_a_move_there_and_back_arrives_and_returns(inserted: Manipulator, cancel: CancelToken) -> None:
    here = inserted.position()
    target = stepped(here, inserted)
    reached = inserted.move_to(target, cancel=cancel)
    assert distance_m(reached, target) < TOLERANCE_M
    assert reached == inserted.position()
    assert distance_m(inserted.move_to(here, cancel=cancel), here) < TOLERANCE_M


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize("beam_type", list(BeamType))
def test_a_move_seen_in_an_image_can_be_made_and_undone(
    inserted: Manipulator, microscope: Microscope, cancel: CancelToken, beam_type: BeamType, turn_rad: float
) -> None:
    """Where nobody has measured the axes there is no chain, and no move can be worked out."""
    chain = inserted.chain
    if chain is None:
        return
    here = inserted.position()

    def moved(position: ManipulatorPosition, move: ImagePoint) -> ManipulatorPosition:
        return image_move(
            position,
            move,
            beam_type,
            manipulator=chain,
            chain=microscope.chain,
            stage_tilt_rad=microscope.stage.position().t_rad,
            scan_rotation_rad=turn_rad,
        )

    # Of both senses the one towards the middle of the needle's ranges, so that no saved position lies too near an end.
    moves = (ImagePoint(STEP, STEP), ImagePoint(-STEP, -STEP))
    wanted = min(moves, key=lambda move: distance_m(moved(here, move), stepped(here, inserted)))
    there = inserted.move_to(moved(here, wanted), cancel=cancel)
    assert distance_m(there, here) > STEP
    back = inserted.move_to(moved(there, ImagePoint(-wanted.x_m, -wanted.y_m)), cancel=cancel)
    assert distance_m(back, here) < 2 * TOLERANCE_M


def test_a_retracted_needle_is_not_moved(manipulator: Manipulator, cancel: CancelToken) -> None:
    target = kept_poses(manipulator)[approach(manipulator)]
    with pytest.raises(InterlockError, match="retracted"):
        manipulator.move_to(target, cancel=cancel)
    assert not manipulator.is_inserted()


def test_an_inserted_needle_is_not_inserted_again(inserted: Manipulator, cancel: CancelToken) -> None:
    here = inserted.position()
    with pytest.raises(InterlockError, match="already"):
        inserted.insert(approach(inserted), cancel=cancel)
    assert distance_m(inserted.position(), here) < TOLERANCE_M


@pytest.mark.parametrize("axis", ["x_m", "y_m", "z_m"])
def test_the_needle_does_not_leave_its_ranges(inserted: Manipulator, cancel: CancelToken, axis: str) -> None:
    here, allowed = inserted.position(), getattr(inserted.limits, axis)
    for outside_m in (allowed.low - 1e-6, allowed.high + 1e-6, math.nan):
        with pytest.raises(HardwareError, match="it has not moved"):
            inserted.move_to(replace(here, **{axis: outside_m}), cancel=cancel)
    assert distance_m(inserted.position(), here) < TOLERANCE_M


def test_the_stage_stands_still_while_the_needle_is_inserted(
    inserted: Manipulator, microscope: Microscope, cancel: CancelToken
) -> None:
    here = microscope.stage.position()
    with pytest.raises(InterlockError, match="manipulator"):
        microscope.stage.move_to(replace(here, x_m=here.x_m + 5e-6), cancel=cancel)
    assert microscope.stage.position() == here
    inserted.retract(cancel=cancel)
    microscope.stage.move_to(replace(here, x_m=here.x_m + 5e-6), cancel=cancel)


def test_the_safe_state_leaves_a_needle_that_holds_the_sample_where_it_is(
    inserted: Manipulator, microscope: Microscope, cancel: CancelToken
) -> None:
    here = inserted.position()
    assert not inserted.is_held
    inserted.hold(held=True)
    try:
        assert inserted.is_held
        microscope.driver.safe_state()
        with pytest.raises(InterlockError, match="holds the sample"):
            inserted.retract(cancel=cancel)
        assert distance_m(inserted.position(), here) < TOLERANCE_M
        assert inserted.is_inserted()
    finally:
        inserted.hold(held=False)
    microscope.driver.safe_state()
    assert not inserted.is_inserted()


def test_a_cancelled_token_moves_nothing(manipulator: Manipulator, cancel: CancelToken) -> None:
    stopped = CancelToken()
    stopped.cancel("stop pressed")
    with pytest.raises(Cancelled):
        manipulator.insert(approach(manipulator), cancel=stopped)
    assert not manipulator.is_inserted()
    here = manipulator.insert(approach(manipulator), cancel=cancel)
    with pytest.raises(Cancelled):
        manipulator.move_to(stepped(here, manipulator), cancel=stopped)
    assert distance_m(manipulator.position(), here) < TOLERANCE_M
