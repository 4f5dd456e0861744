from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest

from fibsem_runtime.contract.instruments import Instrument
from fibsem_runtime.core import CancelToken, StagePosition
from fibsem_runtime.core.errors import Cancelled, InterlockError, StageLimitError
from fibsem_runtime.hal import GuardSettings, Microscope, safe_route

AXES = ("x_m", "y_m", "z_m", "r_rad", "t_rad")


def near(found: StagePosition, expected: StagePosition) -> bool:
    tolerance = GuardSettings()
    missed_m = math.dist(list(asdict(found).values())[:3], list(asdict(expected).values())[:3])
    missed_rad = max(abs(math.remainder(found.r_rad - expected.r_rad, math.tau)), abs(found.t_rad - expected.t_rad))
    return missed_m <= tolerance.position_tolerance_m and missed_rad <= tolerance.angle_tolerance_rad


def test_the_stage_stands_within_its_limits(microscope: Microscope) -> None:
    here, limits = microscope.stage.position(), microscope.stage.limits
    for axis in AXES:
        assert getattr(limits, axis).low < getattr(limits, axis).high
        assert getattr(limits, axis).contains(getattr(here, axis))


def test_reading_the_position_does_not_change_it(microscope: Microscope) -> None:
    assert near(microscope.stage.position(), microscope.stage.position())


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("end", ["low", "high"])
def test_a_refused_move_leaves_the_stage_where_it_was(
    microscope: Microscope, cancel: CancelToken, axis: str, end: str
) -> None:
    before = microscope.stage.position()
    beyond = getattr(getattr(microscope.stage.limits, axis), end) + (1e-3 if end == "high" else -1e-3)
    with pytest.raises(StageLimitError, match="has not moved"):
        microscope.stage.move_to(replace(before, **{axis: beyond}), cancel=cancel)
    assert microscope.stage.position() == before


@pytest.mark.parametrize("axis", AXES)
def test_a_target_that_is_no_number_is_refused(microscope: Microscope, cancel: CancelToken, axis: str) -> None:
    before = microscope.stage.position()
    with pytest.raises(StageLimitError):
        microscope.stage.move_to(replace(before, **{axis: math.nan}), cancel=cancel)
    assert microscope.stage.position() == before


@pytest.mark.parametrize(("axis", "distance"), [("x_m", 30e-6), ("y_m", -30e-6), ("z_m", -20e-6), ("t_rad", -0.05)])
def test_a_move_returns_what_the_stage_reads_back(
    microscope: Microscope, cancel: CancelToken, axis: str, distance: float
) -> None:
    target = replace(microscope.stage.position(), **{axis: getattr(microscope.stage.position(), axis) + distance})
    reached = microscope.stage.move_to(target, cancel=cancel)
    assert near(reached, target)
    assert near(microscope.stage.position(), reached)


def test_a_move_there_and_back_returns(microscope: Microscope, cancel: CancelToken) -> None:
    before = microscope.stage.position()
    microscope.stage.move_to(replace(before, x_m=before.x_m + 50e-6, y_m=before.y_m - 50e-6), cancel=cancel)
    assert near(microscope.stage.move_to(before, cancel=cancel), before)


def test_a_move_takes_time_on_the_instrument_clock(microscope: Microscope, cancel: CancelToken) -> None:
    started_s = microscope.clock.monotonic_s()
    here = microscope.stage.position()
    microscope.stage.move_to(replace(here, x_m=here.x_m + 50e-6), cancel=cancel)
    assert microscope.clock.monotonic_s() > started_s


def test_a_cancelled_move_does_not_begin(microscope: Microscope, cancel: CancelToken) -> None:
    before = microscope.stage.position()
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled, match="stop pressed"):
        microscope.stage.move_to(replace(before, x_m=before.x_m + 50e-6), cancel=cancel)
    assert microscope.stage.position() == before


def test_a_move_longer_than_the_cap_is_refused(microscope: Microscope, cancel: CancelToken) -> None:
    before = microscope.stage.position()
    way_m = GuardSettings().max_move_m + 1e-3
    x_m = before.x_m + (way_m if before.x_m + way_m < microscope.stage.limits.x_m.high else -way_m)
    with pytest.raises(StageLimitError, match="at a time"):
        microscope.stage.move_to(replace(before, x_m=x_m), cancel=cancel)
    assert microscope.stage.position() == before


def test_half_a_turn_is_refused_while_tilted_and_arrives_on_a_safe_route(
    instrument: Instrument, cancel: CancelToken
) -> None:
    if instrument.microscope.chain.is_compustage:
        pytest.skip("a compustage does not rotate")
    stage = instrument.microscope.stage
    tilted = stage.move_to(replace(stage.position(), t_rad=math.radians(10)), cancel=cancel)
    pose = instrument.kinematics.ion_pose(tilted)
    with pytest.raises(InterlockError, match="flat"):
        stage.move_to(pose, cancel=cancel)
    assert stage.position() == tilted
    for waypoint in safe_route(tilted, pose):
        stage.move_to(waypoint, cancel=cancel)
    assert near(stage.position(), pose)
