from __future__ import annotations

import math

import pytest
from fakes import FakeInstrument

from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import (
    Cancelled,
    ConnectionLostError,
    HardwareError,
    InterlockError,
    NotSupportedError,
    VacuumError,
)
from fibsem_runtime.hal import GasInjection, Microscope, MillingState, SputterCoater, gas_flow


@pytest.fixture
def gas(guarded: Microscope) -> GasInjection:
    assert guarded.gas_injection is not None
    return guarded.gas_injection


@pytest.fixture
def ready(gas: GasInjection, cancel: CancelToken) -> GasInjection:
    """A warm line whose needle is inserted."""
    gas.prepare("Pt", cancel=cancel)
    gas.insert("Pt", cancel=cancel)
    return gas


@pytest.fixture
def coater(guarded: Microscope) -> SputterCoater:
    assert guarded.sputter_coater is not None
    return guarded.sputter_coater


def test_gas_flows_for_as_long_as_the_block_runs_and_no_longer(fake: FakeInstrument, ready: GasInjection) -> None:
    with gas_flow(ready, "Pt"):
        assert fake.gas.open == {"Pt"}
    assert fake.gas.open == set()
    with pytest.raises(RuntimeError), gas_flow(ready, "Pt"):
        raise RuntimeError("anything")
    assert fake.gas.open == set()


def test_a_valve_whose_opening_was_not_confirmed_is_closed(
    fake: FakeInstrument, ready: GasInjection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opens_and_loses_the_answer(line: str) -> None:
        fake.gas.open.add(line)
        raise ConnectionLostError("no answer")

    monkeypatch.setattr(fake.gas, "open_valve", opens_and_loses_the_answer)
    with pytest.raises(ConnectionLostError, match="no answer"), gas_flow(ready, "Pt"):
        pytest.fail("the block must not run")
    assert fake.gas.open == set()


def test_gas_may_flow_while_a_pattern_of_it_is_milled(fake: FakeInstrument, ready: GasInjection) -> None:
    fake.milling.now = MillingState.RUNNING
    with gas_flow(ready, "Pt"):
        assert fake.gas.open == {"Pt"}


def test_no_valve_opens_without_needle_warmth_and_vacuum(
    fake: FakeInstrument, gas: GasInjection, cancel: CancelToken
) -> None:
    with pytest.raises(InterlockError, match="insert it first"):
        gas.open_valve("Pt")
    gas.insert("Pt", cancel=cancel)
    with pytest.raises(InterlockError, match="prepare it first"):
        gas.open_valve("Pt")
    gas.prepare("Pt", cancel=cancel)
    fake.vacuum.pumped = False
    with pytest.raises(VacuumError, match="open the gas valve Pt"):
        gas.open_valve("Pt")
    assert fake.gas.open == set()


@pytest.mark.parametrize("state", [MillingState.RUNNING, MillingState.PAUSED])
def test_no_needle_is_inserted_unless_milling_is_idle(
    fake: FakeInstrument, gas: GasInjection, cancel: CancelToken, state: MillingState
) -> None:
    fake.milling.now = state
    with pytest.raises(InterlockError, match=state.value):
        gas.insert("Pt", cancel=cancel)
    assert not fake.gas.inserted


def test_no_needle_is_inserted_beside_the_manipulator(
    fake: FakeInstrument, gas: GasInjection, cancel: CancelToken
) -> None:
    fake.manipulator.inserted = True
    with pytest.raises(InterlockError, match="manipulator"):
        gas.insert("Pt", cancel=cancel)
    assert not fake.gas.inserted


def test_unknown_lines_are_refused_with_those_that_are_there(
    fake: FakeInstrument, gas: GasInjection, cancel: CancelToken
) -> None:
    for use in (
        lambda: gas.prepare("Au", cancel=cancel),
        lambda: gas.insert("Au", cancel=cancel),
        lambda: gas.open_valve("Au"),
        lambda: gas.is_ready("Au"),
    ):
        with pytest.raises(NotSupportedError, match=r"'Au' was asked for, this instrument has: Pt, W"):
            use()
    assert fake.gas.calls == []


@pytest.mark.parametrize(("what", "text"), [("prepare", "not ready"), ("retract", "says that it is not")])
def test_an_instrument_that_does_nothing_is_noticed(
    fake: FakeInstrument, ready: GasInjection, cancel: CancelToken, what: str, text: str
) -> None:
    fake.gas.stuck.add(what)
    fake.gas.ready.clear()
    with pytest.raises(HardwareError, match=text):
        if what == "prepare":
            ready.prepare("Pt", cancel=cancel)
        else:
            ready.retract(cancel=cancel)


def test_closing_and_retracting_are_never_refused(
    fake: FakeInstrument, ready: GasInjection, cancel: CancelToken
) -> None:
    fake.milling.now, fake.vacuum.pumped, fake.manipulator.inserted = MillingState.RUNNING, False, True
    ready.close_valve("Pt")
    ready.retract(cancel=cancel)
    assert not ready.is_inserted()


def test_a_cancelled_token_inserts_nothing(fake: FakeInstrument, gas: GasInjection, cancel: CancelToken) -> None:
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        gas.insert("Pt", cancel=cancel)
    assert not fake.gas.inserted


@pytest.mark.parametrize(
    "put", ["milling.now=RUNNING", "milling.now=PAUSED", "manipulator.inserted=True", "gas.inserted=True"]
)
def test_nothing_is_coated_while_something_is_in_the_way(
    fake: FakeInstrument, coater: SputterCoater, cancel: CancelToken, put: str
) -> None:
    place, _, value = put.partition("=")
    device, _, attribute = place.partition(".")
    setattr(getattr(fake, device), attribute, True if value == "True" else MillingState[value])
    with pytest.raises(InterlockError, match="sputter"):
        coater.coat(duration_s=10.0, current_a=0.01, cancel=cancel)
    assert fake.coater.calls == []


@pytest.mark.parametrize(
    ("duration_s", "current_a"), [(0.0, 0.01), (-1.0, 0.01), (10.0, 0.0), (math.nan, 0.01), (10.0, math.inf)]
)
def test_a_coating_that_makes_no_sense_is_refused(
    fake: FakeInstrument, coater: SputterCoater, cancel: CancelToken, duration_s: float, current_a: float
) -> None:
    with pytest.raises(HardwareError, match="both must be above 0"):
        coater.coat(duration_s=duration_s, current_a=current_a, cancel=cancel)
    assert fake.coater.calls == []


def test_a_coating_reaches_the_coater_unless_it_was_cancelled(
    fake: FakeInstrument, coater: SputterCoater, cancel: CancelToken
) -> None:
    coater.coat(duration_s=10.0, current_a=0.01, cancel=cancel)
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        coater.coat(duration_s=10.0, current_a=0.01, cancel=cancel)
    assert fake.coater.calls == ["coat"]


def test_nothing_is_sputtered_in_a_chamber_that_is_not_pumped(
    fake: FakeInstrument, coater: SputterCoater, cancel: CancelToken
) -> None:
    fake.vacuum.pumped = False
    with pytest.raises(VacuumError, match="sputter"):
        coater.coat(duration_s=5.0, current_a=0.01, cancel=cancel)
    assert fake.coater.calls == []
