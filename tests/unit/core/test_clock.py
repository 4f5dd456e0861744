from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fibsem_runtime.core import SimulatedClock, WallClock

START = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)


def test_simulated_time_passes_only_when_something_takes_time() -> None:
    clock = SimulatedClock(START)
    assert (clock.monotonic_s(), clock.now()) == (0.0, START)
    clock.sleep(90.5)
    assert (clock.monotonic_s(), clock.now()) == (90.5, START + timedelta(seconds=90.5))


def test_a_resumed_run_goes_on_at_its_own_time() -> None:
    clock = SimulatedClock(START, elapsed_s=3600)
    assert clock.now() == START + timedelta(hours=1)


def test_simulated_time_does_not_run_backwards() -> None:
    clock = SimulatedClock(START)
    with pytest.raises(ValueError, match="backwards"):
        clock.sleep(-1)
    assert clock.monotonic_s() == 0


def test_wall_time_carries_its_zone_and_does_not_run_backwards() -> None:
    clock = WallClock()
    before_s = clock.monotonic_s()
    clock.sleep(-1)
    assert clock.monotonic_s() >= before_s
    assert clock.now().tzinfo is UTC
