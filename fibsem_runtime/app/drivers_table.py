"""The table of HAL functions, drivers and how each was verified: ``docs/drivers.md``, made from the code."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from fibsem_runtime.hal.coverage import Absent, Carried, complete, hal_functions
from fibsem_runtime.hal.registry import available_drivers, find_driver

_INTRODUCTION = """# What each driver can do, and where it was verified

Made from the code by `python -m fibsem_runtime.app.drivers_table > docs/drivers.md`; a test compares the two. A
function is *absent* where the instrument cannot carry it out or its interface has no public call for it; asked for
nevertheless, the device is not there (`None`) or the call is `NotSupportedError`, never a silent nothing. The contract
suite holds every driver to this table.
"""


def table() -> str:
    """Return the whole page, Markdown."""
    coverages = {name: complete(find_driver(name).coverage) for name in available_drivers()}
    parts = [_INTRODUCTION, _summary(coverages)]
    devices = dict.fromkeys(name.split(".")[0] for name in hal_functions())
    parts.extend(_device(device, coverages) for device in devices)
    return "\n".join(parts)


def _summary(coverages: Mapping[str, Mapping[str, Carried | Absent]]) -> str:
    rows = [
        [name, str(sum(isinstance(entry, Carried) for entry in entries.values())), *_counts(entries)]
        for name, entries in coverages.items()
    ]
    return _rows(["driver", "functions", "verified"], rows)


def _counts(entries: Mapping[str, Carried | Absent]) -> list[str]:
    carried = [entry.verified for entry in entries.values() if isinstance(entry, Carried)]
    return ["; ".join(f"{carried.count(how)} {how.value}" for how in dict.fromkeys(carried))]


def _device(device: str, coverages: Mapping[str, Mapping[str, Carried | Absent]]) -> str:
    functions = [name for name in hal_functions() if name.split(".")[0] == device]
    rows = [
        [f"`{name.split('.', 1)[1]}`", *(_cell(entries[name]) for entries in coverages.values())] for name in functions
    ]
    return f"## {device.replace('_', ' ')}\n\n{_rows(['function', *coverages], rows)}"


def _cell(entry: Carried | Absent) -> str:
    if isinstance(entry, Absent):
        return f"absent: {entry.reason}"
    return f"{entry.call} ({entry.verified.value})"


def _rows(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
