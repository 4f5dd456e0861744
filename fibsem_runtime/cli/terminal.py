"""What commands that take their time do with the terminal: stop safely on Ctrl-C, and show how far they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fibsem_runtime.core import CancelToken
    from fibsem_runtime.workflow import Progress


@contextmanager
def stoppable() -> Iterator[CancelToken]:
    """Turn the first Ctrl-C or termination into a clean stop; the second one ends the process at once."""
    import signal

    from fibsem_runtime.core import CancelToken

    cancel = CancelToken()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _frame: object) -> None:
        sys.stderr.write("\nstopping safely; press Ctrl-C again to leave at once\n")
        cancel.cancel(f"stopped by {signal.Signals(number).name}")
        signal.signal(number, previous[signal.Signals(number)])

    for number in previous:
        signal.signal(number, stop)
    try:
        yield cancel
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show finished steps of a run."""
    with bar() as show:
        yield lambda lamella, step, done, total: show(f"{lamella} {step}", done, total)


@contextmanager
def bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar of what is done on a terminal; elsewhere show nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with shown:
        task = shown.add_task("starting", total=None)

        def show(text: str, done: int, total: int) -> None:
            shown.update(task, description=text, completed=done, total=total)

        yield show
