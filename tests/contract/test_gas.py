"""Gas lines and the sputter coater: heated, inserted, opened and closed in order, and everything out afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fibsem_runtime.contract.instruments import Instrument
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import Cancelled, HardwareError, InterlockError, NotSupportedError
from fibsem_runtime.hal import GasInjection, Microscope, SputterCoater, gas_flow


@pytest.fixture
def gas(microscope: Microscope) -> GasInjection:
    if microscope.gas_injection is None:
        pytest.skip("the instrument has no gas injection")
    return microscope.gas_injection


@pytest.fixture
def coater(instrument: Instrument) -> SputterCoater:
    if instrument.microscope.sputter_coater is None:
        pytest.skip("the instrument has no sputter coater")
    if not instrument.is_rehearsed:
        pytest.skip("an instrument is not coated by a test: let a person run sputter_coater.coat once")
    return instrument.microscope.sputter_coater


def test_lines_have_names_and_no_needle_is_in(gas: GasInjection) -> None:
    assert gas.lines
    assert len(set(gas.lines)) == len(gas.lines)
    assert all(gas.lines)
    assert not gas.is_inserted()


def test_a_line_is_heated_until_it_is_ready(gas: GasInjection, cancel: CancelToken) -> None:
    for line in gas.lines:
        gas.prepare(line, cancel=cancel)
        assert gas.is_ready(line)


def test_gas_flows_through_an_inserted_warm_line_and_stops(
    gas: GasInjection, microscope: Microscope, cancel: CancelToken
) -> None:
    """A line that lets gas in by itself has no valve to open and says so."""
    for line in gas.lines:
        gas.prepare(line, cancel=cancel)
        gas.insert(line, cancel=cancel)
        assert gas.is_inserted()
        try:
            with gas_flow(gas, line):
                microscope.clock.sleep(1.0)
        except NotSupportedError as refusal:
            assert line in str(refusal)
        for _ in range(2):
            gas.close_valve(line)
        for _ in range(2):
            gas.retract(cancel=cancel)
            assert not gas.is_inserted()


def test_the_stage_stands_still_while_a_gas_needle_is_inserted(
    gas: GasInjection, microscope: Microscope, cancel: CancelToken
) -> None:
    gas.insert(gas.lines[0], cancel=cancel)
    here = microscope.stage.position()
    with pytest.raises(InterlockError, match="gas needle"):
        microscope.stage.move_to(replace(here, x_m=here.x_m + 5e-6), cancel=cancel)
    assert microscope.stage.position() == here
    gas.retract(cancel=cancel)
    microscope.stage.move_to(replace(here, x_m=here.x_m + 5e-6), cancel=cancel)


def test_no_valve_opens_before_its_needle_is_in(gas: GasInjection, cancel: CancelToken) -> None:
    gas.prepare(gas.lines[0], cancel=cancel)
    with pytest.raises(InterlockError, match="insert it first"):
        gas.open_valve(gas.lines[0])


def test_an_unknown_line_is_refused_with_those_that_are_there(gas: GasInjection, cancel: CancelToken) -> None:
    for use in (
        lambda: gas.prepare("no such gas", cancel=cancel),
        lambda: gas.insert("no such gas", cancel=cancel),
        lambda: gas.open_valve("no such gas"),
        lambda: gas.is_ready("no such gas"),
    ):
        with pytest.raises(NotSupportedError, match=gas.lines[0]):
            use()
    assert not gas.is_inserted()


def test_a_cancelled_token_inserts_nothing(gas: GasInjection, cancel: CancelToken) -> None:
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        gas.insert(gas.lines[0], cancel=cancel)
    assert not gas.is_inserted()


def test_the_safe_state_takes_the_gas_needle_out(
    gas: GasInjection, microscope: Microscope, cancel: CancelToken
) -> None:
    gas.prepare(gas.lines[0], cancel=cancel)
    gas.insert(gas.lines[0], cancel=cancel)
    microscope.driver.safe_state()
    assert not gas.is_inserted()


def test_coating_takes_its_time_and_leaves_the_chamber_pumped(
    coater: SputterCoater, microscope: Microscope, cancel: CancelToken
) -> None:
    started_s = microscope.clock.monotonic_s()
    coater.coat(duration_s=10.0, current_a=0.01, cancel=cancel)
    assert microscope.clock.monotonic_s() - started_s >= 10.0
    assert microscope.vacuum is None or microscope.vacuum.is_pumped()


@pytest.mark.parametrize(("duration_s", "current_a"), [(0.0, 0.01), (10.0, 0.0), (float("nan"), 0.01)])
def test_coating_that_makes_no_sense_is_refused(
    coater: SputterCoater, cancel: CancelToken, duration_s: float, current_a: float
) -> None:
    with pytest.raises(HardwareError, match="above 0"):
        coater.coat(duration_s=duration_s, current_a=current_a, cancel=cancel)


def test_a_cancelled_token_coats_nothing(coater: SputterCoater, microscope: Microscope, cancel: CancelToken) -> None:
    started_s = microscope.clock.monotonic_s()
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        coater.coat(duration_s=10.0, current_a=0.01, cancel=cancel)
    assert microscope.clock.monotonic_s() - started_s < 1
