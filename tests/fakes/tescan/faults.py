"""What goes wrong on purpose, and a record of every call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Fault = Callable[[], Any]
"""Called instead of the function; raises, blocks, or returns what the function should return."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the instrument received it."""

    name: str
    args: tuple[Any, ...]


@dataclass
class Faults:
    """Faults by function name or by call number (the first call is 1), and the log of all calls."""

    log: list[Call] = field(default_factory=list)
    by_name: dict[str, Fault] = field(default_factory=dict)
    by_number: dict[int, Fault] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)

    def meet(self, name: str, args: tuple[Any, ...]) -> tuple[bool, Any]:
        """Record a call; return True and an answer when a fault answers instead of the function."""
        self.log.append(Call(name, args))
        fault = self.by_number.get(len(self.log)) or self.by_name.get(name)
        return (False, None) if fault is None else (True, fault())

    def names(self) -> list[str]:
        """Return the names of all calls so far."""
        return [call.name for call in self.log]

    def fail(self, name: str, error: Exception) -> None:
        """Let every call of ``name`` raise ``error``."""
        self.by_name[name] = lambda: _raise(error)

    def fail_at(self, number: int, error: Exception) -> None:
        """Let the call with this number raise ``error``, once."""
        self.by_number[number] = lambda: _raise(error)

    def answer(self, name: str, value: Any) -> None:
        """Let every call of ``name`` do nothing and return ``value``."""
        self.by_name[name] = lambda: value

    def hang(self, name: str) -> None:
        """Let every call of ``name`` block until `release`."""
        self.by_name[name] = lambda: self.released.wait(60)

    def hang_once(self, name: str) -> None:
        """Let the next call of ``name`` block until `release`."""

        def hang() -> None:
            del self.by_name[name]
            self.released.wait(60)
            raise OSError("the connection was given up meanwhile")

        self.by_name[name] = hang

    def clear(self) -> None:
        """End all faults."""
        self.by_name.clear()
        self.by_number.clear()

    def release(self) -> None:
        """Let hanging calls return."""
        self.released.set()


def _raise(error: Exception) -> None:
    raise error
