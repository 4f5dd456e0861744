"""Everything that is the vendor's becomes ours here and nowhere else: units, names, errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from acme_fibsem.memory import AcmeError
from fibsem_runtime.core import StagePosition
from fibsem_runtime.core.errors import HardwareError

PA_PER_MBAR = 100.0


@contextmanager
def vendor_errors(what: str, family: type[HardwareError] = HardwareError) -> Iterator[None]:
    """Raise the vendor's errors as ``family`` with the vendor's text; ``what`` reads after 'could not'."""
    try:
        yield
    except AcmeError as error:
        raise family(f"could not {what}: the instrument says {error}; nothing further was done") from error


def to_position(axes: dict[str, float]) -> StagePosition:
    """Convert mm and degrees."""
    return StagePosition(
        x_m=axes["x"] * 1e-3,
        y_m=axes["y"] * 1e-3,
        z_m=axes["z"] * 1e-3,
        r_rad=math.radians(axes["r"]),
        t_rad=math.radians(axes["t"]),
    )


def to_axes(position: StagePosition) -> dict[str, float]:
    """Convert to mm and degrees."""
    return {
        "x": position.x_m * 1e3,
        "y": position.y_m * 1e3,
        "z": position.z_m * 1e3,
        "r": math.degrees(position.r_rad),
        "t": math.degrees(position.t_rad),
    }
