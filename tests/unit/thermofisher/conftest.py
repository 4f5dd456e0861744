from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from thermofisher_fake import opened, small_instrument

from drivers.thermofisher import connection
from fibsem_runtime.hal import GuardSettings, Microscope, guard


@pytest.fixture
def instrument() -> Iterator[Any]:
    """What stands behind the fake of the vendor's package: a small scene without disturbances."""
    with small_instrument() as found:
        yield found


@pytest.fixture
def raw(instrument: Any) -> Iterator[Microscope]:
    """The driver, opened, without guards."""
    with opened(instrument) as microscope:
        yield microscope


@pytest.fixture
def guarded(raw: Microscope) -> Microscope:
    return guard(raw, GuardSettings())


@pytest.fixture
def fault(instrument: Any) -> Callable[..., None]:
    """Order a fault of the virtual instrument; occurrences count from the order on."""

    def order(kind: str, name: str, *, occurrence: int = 1) -> None:
        fault_type = type(instrument).__init__.__globals__["Fault"]
        occurrence += instrument.counts[name]
        instrument.faults.append(fault_type(kind=kind, name=name, occurrence=occurrence))

    return order


@pytest.fixture
def hangs_at_once(instrument: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time limit of a call pass as soon as the call hangs, so that no test waits for it."""

    def wait(futures: list[Any], timeout: float | None = None) -> None:
        over = threading.Event()
        instrument.on_hang = over.set
        futures[0].add_done_callback(lambda _: over.set())
        assert over.wait(60), "the call neither ended nor hung"

    monkeypatch.setattr(connection, "wait", wait)
