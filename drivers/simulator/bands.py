"""Work on bands of rows on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

BAND: Final = 32


def in_bands(work: Callable[[int, int], None], row_count: int, *, band: int = BAND) -> None:
    """Call ``work(first, last)`` for all rows, in bands of ``band`` rows on all cores.

    The bands must not share results, so that their order does not matter. Threads serve because the compiled kernels
    release the interpreter; they live for one call, so that several frames may be drawn at once.
    """
    bands = [(first, min(first + band, row_count)) for first in range(0, row_count, band)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for done in [pool.submit(work, *band) for band in bands]:
            done.result()
