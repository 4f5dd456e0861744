"""Time that can be real or simulated."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tell the time of the instrument and wait in it."""

    def monotonic_s(self) -> float:
        """Return seconds that never run backwards."""

    def now(self) -> datetime:
        """Return the wall time, time zone included."""

    def sleep(self, duration_s: float) -> None:
        """Wait for ``duration_s``."""


class WallClock:
    """Tell real time."""

    def monotonic_s(self) -> float:
        """Return the operating system's monotonic seconds."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the present in UTC."""
        return datetime.now(UTC)

    def sleep(self, duration_s: float) -> None:
        """Block the calling thread."""
        time.sleep(max(0.0, duration_s))


class SimulatedClock:
    """Tell simulated time, which moves only when something takes time."""

    def __init__(self, start: datetime, *, elapsed_s: float = 0.0) -> None:
        """Start at ``start`` with ``elapsed_s`` already gone (a resumed run)."""
        self._start = start
        self._elapsed_s = elapsed_s

    def monotonic_s(self) -> float:
        """Return the simulated seconds since the start."""
        return self._elapsed_s

    def now(self) -> datetime:
        """Return the simulated wall time."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def sleep(self, duration_s: float) -> None:
        """Advance by ``duration_s`` at once."""
        if duration_s < 0:
            raise ValueError(f"time does not run backwards: {duration_s} s")
        self._elapsed_s += duration_s
