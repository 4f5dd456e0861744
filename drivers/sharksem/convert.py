"""SharkSEM's units to ours and back: mm, degrees, pA, ns, percent (vendor-tescan.md B4)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from drivers.essence.ports import AxisTargets, Phase
from drivers.essence.values import from_mm, to_mm
from fibsem_runtime.core import StagePosition
from fibsem_runtime.core.errors import HardwareError, MillingError
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.devices import StageLimits

_PHASES: Final = {0: Phase.EMPTY, 1: Phase.LOADED, 2: Phase.RUNNING, 3: Phase.PAUSED}

_DRAWBEAM_ERRORS: Final[Mapping[int, str]] = {
    -1: "invalid request",
    -2: "the gas injection is not ready",
    -3: "out of memory",
    -4: "the object is not visible",
    -5: "no licence",
    -6: "no emission",
    -7: "the view field does not fit",
    -100: "unknown error",
}
"""Error codes of DrawBeam (B5)."""


def to_axes(targets: AxisTargets, here: StagePosition) -> list[float]:
    """Return the leading axes up to the last that changes; older servers take no gaps, so that kept ones repeat."""
    lengths = [(targets.x_m, here.x_m), (targets.y_m, here.y_m), (targets.z_m, here.z_m)]
    angles = [(targets.r_rad, here.r_rad), (targets.t_rad, here.t_rad)]
    last = max(index for index, (target, _) in enumerate([*lengths, *angles]) if target is not None)
    axes = [to_mm(kept if target is None else target) for target, kept in lengths]
    axes += [math.degrees(kept if target is None else target) for target, kept in angles]
    return axes[: last + 1]


def to_limits(read: Sequence[float]) -> StageLimits:
    """Return limits from min, max pairs in the order of the axes (mm, degrees).

    Raises `HardwareError` for an axis without a range, which is what an axis without a motor reports.
    """
    pairs = [(read[2 * index], read[2 * index + 1]) for index in range(5)]
    for name, (low, high) in zip("xyzrt", pairs, strict=True):
        if not low < high:
            raise HardwareError(f"stage axis {name} reports limits of {low:g} to {high:g}; it has no motor")
    lengths = [AxisLimits(low=from_mm(low), high=from_mm(high)) for low, high in pairs[:3]]
    angles = [AxisLimits(low=math.radians(low), high=math.radians(high)) for low, high in pairs[3:]]
    return StageLimits(x_m=lengths[0], y_m=lengths[1], z_m=lengths[2], r_rad=angles[0], t_rad=angles[1])


def to_phase(status: int) -> Phase:
    """Return DrawBeam's state; raise `HardwareError` for a number that means nothing to us."""
    phase = _PHASES.get(status)
    if phase is None:
        raise HardwareError(f"DrawBeam says its state is {status}; look at DrawBeam on the instrument")
    return phase


def check_drawbeam(function: str, code: int) -> None:
    """Raise `MillingError` with the meaning of a negative code."""
    if code < 0:
        raise MillingError(f"{function}: DrawBeam refuses with {code} ({_DRAWBEAM_ERRORS.get(code, 'not documented')})")
