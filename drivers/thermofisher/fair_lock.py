"""A lock that is given in the order in which it was asked for.

Python's own lock is not: a live view that asks for it again after every frame would keep every other thread out
(vendor-thermofisher.md section 4).
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class FairLock:
    """Use it as a context, or with `acquire` and `release`."""

    def __init__(self) -> None:
        """Begin free."""
        self._guard = threading.Lock()
        self._is_held = False
        self._waiting: deque[threading.Event] = deque()

    @property
    def waiter_count(self) -> int:
        """Return how many threads wait."""
        return len(self._waiting)

    def acquire(self, timeout_s: float | None = None) -> bool:
        """Wait for the lock, at most ``timeout_s``; return whether it was given."""
        with self._guard:
            if not self._is_held:
                self._is_held = True
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        if turn.wait(timeout_s):
            return True
        with self._guard:
            if not turn.is_set():
                self._waiting.remove(turn)
            # The lock may have been handed over in the moment between the end of the wait and now.
            return turn.is_set()

    def release(self) -> None:
        """Hand the lock to the thread that has waited longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._is_held = False

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
