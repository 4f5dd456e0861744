"""Gas lines and the sputter coater."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from fibsem_runtime.core import CancelToken


class GasInjection(Protocol):
    """Gas lines of one instrument, each with a needle, a heater and a valve, known by their names."""

    @property
    def lines(self) -> Sequence[str]:
        """Return the names of the lines that are fitted."""

    def is_inserted(self) -> bool:
        """Read whether any needle is near the sample."""

    def prepare(self, line: str, *, cancel: CancelToken) -> None:
        """Heat a line and wait until it can deliver; raise `HardwareError` when it does not become ready in time."""

    def is_ready(self, line: str) -> bool:
        """Read whether a line is warm enough to deliver."""

    def insert(self, line: str, *, cancel: CancelToken) -> None:
        """Bring the needle of a line to the sample."""

    def open_valve(self, line: str) -> None:
        """Let gas flow; use `gas_flow`, which closes the valve on every exit."""

    def close_valve(self, line: str) -> None:
        """Stop the flow; safe to call twice."""

    def retract(self, *, cancel: CancelToken) -> None:
        """Close every valve, park every needle and let the heaters cool; safe to call twice."""


class SputterCoater(Protocol):
    """Plasma coater in the chamber."""

    def coat(self, *, duration_s: float, current_a: float, cancel: CancelToken) -> None:
        """Prepare the chamber, sputter for ``duration_s`` and bring the chamber back, on every exit."""


@contextmanager
def gas_flow(gas: GasInjection, line: str) -> Iterator[None]:
    """Let gas flow for as long as the block runs and close the valve on every exit (safety.md I13).

    A valve whose opening failed is closed as well: one whose answer was lost or whose read-back differs may be open.
    """
    try:
        gas.open_valve(line)
        yield
    finally:
        gas.close_valve(line)
