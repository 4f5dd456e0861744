"""Do everything of a list even when parts of it fail: what safe states and restorations need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from fibsem_runtime.core.errors import Cancelled, FibsemError, HardwareError

Attempt = tuple[str, Callable[[], object]]
"""What is done, as it reads after 'could not', and the call that does it."""


def attempt_all(attempts: Iterable[Attempt]) -> list[str]:
    """Make every call in order, each on its own, and return one line for each that failed.

    Catches the errors that the runtime raises on purpose; a driver turns its vendor's into those.
    """
    failures: list[str] = []
    for what, action in attempts:
        try:
            action()
        except FibsemError as error:
            failures.append(f"could not {what}: {error}")
    return failures


@contextmanager
def restored(restore: Callable[[], list[str]], message: str) -> Iterator[None]:
    """Run ``restore`` on every exit; it returns what failed, one line each.

    When something failed, raises as `raise_unrestored` does; ``{failures}`` in ``message`` stands for the lines.
    """
    first: BaseException | None = None
    try:
        yield
    except BaseException as error:
        first = error
        raise
    finally:
        failures = restore()
        if failures:
            raise_unrestored(message.format(failures="; ".join(failures)), first)


def raise_unrestored(message: str, first: BaseException | None) -> NoReturn:
    """Raise `HardwareError` for what could not be restored, naming the error that came before; a stop stays a stop."""
    if isinstance(first, Cancelled):
        raise Cancelled(f"{first} ({message})") from first
    if isinstance(first, FibsemError):
        raise HardwareError(f"{message}; before that: {first}") from first
    raise HardwareError(message) from first
