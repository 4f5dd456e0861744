from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fakes import HOME, FakeInstrument

from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import Cancelled, InterlockError, MotionError, StageLimitError
from fibsem_runtime.hal import GuardSettings, Microscope, MillingState, guard, safe_route


def refused(fake: FakeInstrument) -> bool:
    return fake.stage.moves == [] and fake.stage.here == HOME


@pytest.mark.parametrize(
    ("axis", "value", "named"),
    [
        ("x_m", 0.06, "stage x 60 mm, allowed are -50 mm to 50 mm"),
        ("y_m", -0.06, "stage y"),
        ("z_m", -0.001, "stage z"),
        ("r_rad", 7.0, "stage rotation"),
        ("t_rad", math.radians(120), "stage tilt 120.0°, allowed are -38.0° to 60.0°"),
        ("x_m", math.nan, "stage x"),
        ("t_rad", math.inf, "stage tilt"),
    ],
)
def test_a_target_outside_the_limits_is_refused_before_anything_moves(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken, axis: str, value: float, named: str
) -> None:
    with pytest.raises(StageLimitError, match=named):
        guarded.stage.move_to(replace(HOME, **{axis: value}), cancel=cancel)
    assert refused(fake)


def test_a_target_on_the_limit_is_allowed(guarded: Microscope, cancel: CancelToken) -> None:
    target = replace(HOME, t_rad=math.radians(60))
    assert guarded.stage.move_to(target, cancel=cancel) == target


def test_a_longer_move_than_the_cap_is_refused(fake: FakeInstrument, guarded: Microscope, cancel: CancelToken) -> None:
    with pytest.raises(StageLimitError, match=r"move of 11 mm, allowed are 10 mm.*max_move_mm"):
        guarded.stage.move_to(replace(HOME, x_m=0.011), cancel=cancel)
    assert refused(fake)
    roomier = guard(fake.microscope(), GuardSettings(max_move_mm=12))
    assert roomier.stage.move_to(replace(HOME, x_m=0.011), cancel=cancel).x_m == 0.011


@pytest.mark.parametrize("state", [MillingState.RUNNING, MillingState.PAUSED])
def test_nothing_moves_while_a_pattern_is_being_milled(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken, state: MillingState
) -> None:
    fake.milling.now = state
    with pytest.raises(InterlockError, match=state.value):
        guarded.stage.move_to(replace(HOME, x_m=1e-6), cancel=cancel)
    assert refused(fake)


@pytest.mark.parametrize("needle", ["manipulator", "gas"])
def test_nothing_moves_while_a_needle_is_inserted(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken, needle: str
) -> None:
    getattr(fake, needle).inserted = True
    with pytest.raises(InterlockError, match=needle):
        guarded.stage.move_to(replace(HOME, x_m=1e-6), cancel=cancel)
    assert refused(fake)


@pytest.mark.parametrize(("here_deg", "there_deg"), [(35, 0), (0, 17), (35, 17)])
def test_a_large_rotation_is_refused_unless_the_stage_is_flat(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken, here_deg: float, there_deg: float
) -> None:
    fake.stage.here = replace(HOME, t_rad=math.radians(here_deg))
    with pytest.raises(InterlockError, match="flat tilt"):
        guarded.stage.move_to(replace(HOME, r_rad=math.pi, t_rad=math.radians(there_deg)), cancel=cancel)
    assert fake.stage.moves == []


def test_every_waypoint_of_a_safe_route_is_allowed(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    here = replace(HOME, t_rad=math.radians(35))
    target = replace(HOME, x_m=1e-3, r_rad=math.pi, t_rad=math.radians(17))
    fake.stage.here = here
    route = safe_route(here, target)
    for waypoint in route:
        guarded.stage.move_to(waypoint, cancel=cancel)
    assert fake.stage.here == target
    assert route == [replace(here, t_rad=0.0), replace(here, t_rad=0.0, r_rad=math.pi), target]


def test_a_safe_route_has_no_more_waypoints_than_needed() -> None:
    small = replace(HOME, r_rad=math.radians(90), t_rad=math.radians(20))
    assert safe_route(HOME, small) == [small]
    turned = replace(HOME, r_rad=math.pi)
    assert safe_route(HOME, turned) == [turned]
    assert safe_route(HOME, HOME) == [HOME]


def test_a_stage_that_does_not_arrive_is_noticed(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    fake.stage.miss_m = 5e-6
    with pytest.raises(MotionError, match=r"5 µm and 0.0°.*allowed are 2 µm"):
        guarded.stage.move_to(replace(HOME, x_m=1e-4), cancel=cancel)


def test_a_small_miss_is_returned_as_it_was_read_back(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    fake.stage.miss_m = 0.4e-6
    reached = guarded.stage.move_to(replace(HOME, x_m=1e-4), cancel=cancel)
    assert reached.x_m == pytest.approx(1.004e-4)


def test_a_rotation_read_back_a_whole_turn_away_has_arrived(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrapping(target: object, *, cancel: CancelToken) -> object:
        fake.stage.here = replace(HOME, r_rad=-math.pi)
        return target

    monkeypatch.setattr(fake.stage, "move_to", wrapping)
    assert guarded.stage.move_to(replace(HOME, r_rad=math.pi), cancel=cancel).r_rad == -math.pi


def test_a_cancelled_move_does_not_begin(fake: FakeInstrument, guarded: Microscope, cancel: CancelToken) -> None:
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled, match="stop pressed"):
        guarded.stage.move_to(replace(HOME, x_m=1e-6), cancel=cancel)
    assert refused(fake)
