"""Gas lines and sputter coater behind their guards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import HardwareError, InterlockError, NotSupportedError
from fibsem_runtime.hal.gas import GasInjection, SputterCoater
from fibsem_runtime.hal.guards.interlocks import Interlocks


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedGasInjection:
    """Refuse needles while milling or beside an inserted manipulator, and gas in a bad vacuum or from a cold line.

    Safety.md I13. A valve may open while milling: that is how a pattern is deposited.
    """

    gas: GasInjection
    interlocks: Interlocks

    @property
    def lines(self) -> Sequence[str]:
        """Return the names of the lines that are fitted."""
        return self.gas.lines

    def is_inserted(self) -> bool:
        """Read whether any needle is near the sample."""
        return self.gas.is_inserted()

    def prepare(self, line: str, *, cancel: CancelToken) -> None:
        """Heat a line and confirm that it is ready."""
        self._require_line(line)
        self.gas.prepare(line, cancel=cancel)
        if not self.gas.is_ready(line):
            raise HardwareError(f"the gas line {line} was heated, the instrument says that it is not ready; look at it")

    def is_ready(self, line: str) -> bool:
        """Read whether a line is warm enough to deliver."""
        self._require_line(line)
        return self.gas.is_ready(line)

    def insert(self, line: str, *, cancel: CancelToken) -> None:
        """Bring a needle to the sample; raise `InterlockError` when something forbids it."""
        self._require_line(line)
        action = f"insert the gas needle {line}"
        self.interlocks.refuse_unless_idle(action)
        self.interlocks.refuse_with_manipulator(action)
        cancel.raise_if_cancelled()
        self.gas.insert(line, cancel=cancel)

    def open_valve(self, line: str) -> None:
        """Let gas flow when vacuum, needle and temperature allow it."""
        self._require_line(line)
        self.interlocks.require_vacuum(f"open the gas valve {line}")
        if not self.gas.is_inserted():
            raise InterlockError(f"asked to open the gas valve {line} while no needle is inserted; insert it first")
        if not self.gas.is_ready(line):
            raise InterlockError(f"asked to open the gas valve {line} while the line is not ready; prepare it first")
        self.gas.open_valve(line)

    def close_valve(self, line: str) -> None:
        """Stop the flow; never refused."""
        self.gas.close_valve(line)

    def retract(self, *, cancel: CancelToken) -> None:
        """Close every valve, park every needle and confirm it."""
        self.gas.retract(cancel=cancel)
        if self.gas.is_inserted():
            raise HardwareError("the gas needle was retracted, the instrument says that it is not; look at it")

    def _require_line(self, line: str) -> None:
        if line not in self.lines:
            raise NotSupportedError(
                f"the gas line {line!r} was asked for, this instrument has: {', '.join(self.lines) or 'none'}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedSputterCoater:
    """Refuse to sputter while milling, in a bad vacuum or with anything inserted over the sample."""

    coater: SputterCoater
    interlocks: Interlocks

    def coat(self, *, duration_s: float, current_a: float, cancel: CancelToken) -> None:
        """Sputter; raise `InterlockError` when something forbids it, `HardwareError` for an impossible request.

        Raises `VacuumError` in a chamber that is not pumped: the coater is high voltage too (safety.md I15).
        """
        self.interlocks.refuse_unless_idle("sputter")
        self.interlocks.refuse_with_needles("sputter")
        self.interlocks.require_vacuum("sputter")
        if not (0 < duration_s < math.inf and 0 < current_a < math.inf):
            raise HardwareError(f"asked to sputter for {duration_s:g} s at {current_a:g} A; both must be above 0")
        cancel.raise_if_cancelled()
        self.coater.coat(duration_s=duration_s, current_a=current_a, cancel=cancel)
