"""The stage: limits that refuse, encoders that do not know the truth, time that passes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import simulators

from fibsem_runtime.core import BeamType, CancelToken
from fibsem_runtime.core.errors import Cancelled, ConnectionLostError, InterlockError, StageLimitError
from fibsem_runtime.hal.microscope import Microscope


@pytest.fixture
def instrument() -> Microscope:
    return simulators.microscope(simulators.settings(everything=True))


def test_it_starts_flat_to_the_electron_beam_at_the_eucentric_height(instrument: Microscope) -> None:
    position = instrument.stage.position()
    assert (position.x_m, position.y_m) == (0.0, 0.0)
    assert position.z_m == instrument.chain.eucentric_z_m
    assert position.t_rad == instrument.chain.pretilt_rad


def test_the_encoders_read_exactly_what_was_asked_and_a_move_takes_its_time(instrument: Microscope) -> None:
    target = replace(instrument.stage.position(), x_m=12e-6, t_rad=0.2)
    before_s = instrument.clock.monotonic_s()
    assert instrument.stage.move_to(target, cancel=CancelToken()) == target
    assert instrument.stage.position() == target
    assert instrument.clock.monotonic_s() - before_s == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x_m": 0.2}, "x = 200.000 mm .* -100.000 mm to 100.000 mm"),
        ({"z_m": -1e-3}, "z = -1.000 mm"),
        ({"t_rad": math.radians(120)}, "t = 120.0° .* -10.0° to 90.0°"),
        ({"r_rad": 7.0}, "r = 401.1°"),
        ({"y_m": math.nan}, "y = nan"),
    ],
)
def test_a_target_outside_the_limits_is_refused_and_nothing_moves(
    instrument: Microscope, change: dict[str, float], words: str
) -> None:
    before, before_s = instrument.stage.position(), instrument.clock.monotonic_s()
    with pytest.raises(StageLimitError, match=words):
        instrument.stage.move_to(replace(before, **change), cancel=CancelToken())
    assert instrument.stage.position() == before
    assert instrument.clock.monotonic_s() == before_s


def test_a_cancelled_move_does_not_begin(instrument: Microscope) -> None:
    cancel = CancelToken()
    cancel.cancel("operator")
    before = instrument.stage.position()
    with pytest.raises(Cancelled, match="operator"):
        instrument.stage.move_to(replace(before, x_m=1e-6), cancel=cancel)
    assert instrument.stage.position() == before


def test_a_paused_pattern_keeps_the_stage_where_it_is(instrument: Microscope) -> None:
    instrument.ion_beam.set_current(simulators.CONDITIONS.beam_current_a)
    instrument.milling.draw(simulators.PATTERN, simulators.CONDITIONS)
    instrument.milling.run(duration_s=1.0, cancel=CancelToken())
    here = instrument.stage.position()
    with pytest.raises(InterlockError, match="paused"):
        instrument.stage.move_to(replace(here, x_m=1e-6), cancel=CancelToken())
    instrument.milling.stop()
    instrument.stage.move_to(replace(here, x_m=1e-6), cancel=CancelToken())


def test_there_and_back_the_sample_is_not_where_it_was_although_the_encoders_say_so() -> None:
    instrument = simulators.microscope(simulators.settings(only="stage_recall"))
    machine, start = instrument.driver.machine, instrument.stage.position()  # type: ignore[attr-defined]
    seen = []
    for x_m in (100e-6, 0.0, 100e-6, 0.0):
        instrument.stage.move_to(replace(start, x_m=x_m), cancel=CancelToken())
        seen.append(machine.view(BeamType.ELECTRON).origin)
    assert instrument.stage.position() == start
    assert 0.05e-6 < math.dist(seen[1], seen[3]) < 3e-6


def test_a_closed_simulator_refuses_to_move(instrument: Microscope) -> None:
    instrument.driver.close()
    with pytest.raises(ConnectionLostError, match="closed"):
        instrument.stage.move_to(instrument.stage.position(), cancel=CancelToken())
