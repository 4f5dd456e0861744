"""Time of the fake: simulated, and passed on to the physics only when somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from fibsem_runtime.core import Clock


class LazyClock:
    """Simulated time that collects what has passed, so that a poll every second costs no physics every second."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self.pending_s = 0.0

    def monotonic_s(self) -> float:
        """Return the simulated seconds."""
        return self._base.monotonic_s() + self.pending_s

    def now(self) -> datetime:
        """Return the simulated wall time."""
        return self._base.now() + timedelta(seconds=self.pending_s)

    def sleep(self, duration_s: float) -> None:
        """Let time pass."""
        self.pending_s += max(0.0, duration_s)

    def settle(self, spend: Callable[[float], None]) -> None:
        """Give all time that has passed to ``spend``, which lets the base clock advance."""
        pending_s, self.pending_s = self.pending_s, 0.0
        if pending_s > 0:
            spend(pending_s)
