"""One table as text."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table


def text_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, title: str) -> str:
    """Return rows under headings, no wider than the terminal and at least 100 characters."""
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    screen = io.StringIO()
    Console(file=screen, width=max(100, shutil.get_terminal_size((120, 40)).columns)).print(table)
    return screen.getvalue().rstrip()
