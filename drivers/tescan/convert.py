"""Values of the Automation SDK to ours and back; the only place that knows its units (vendor-tescan.md A3).

SDK calls: mm, degrees, pA, ns, V, %. DrawBeam: m, A, s, m³/A/s, angles in degrees. Image headers: m, degrees, A, s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from drivers.essence.ports import AxisTargets, EngineStatus, Phase
from drivers.essence.values import UNKNOWN_INSTRUMENT, from_mm, to_mm
from fibsem_runtime.core import InstrumentInfo, Pixels
from fibsem_runtime.core.errors import HardwareError
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.manipulator import ManipulatorLimits, ManipulatorPosition

_PHASES: Final = {
    "ProjectNotLoaded": Phase.EMPTY,
    "ProjectLoadedExpositionIdle": Phase.LOADED,
    "ProjectLoadedExpositionInProgress": Phase.RUNNING,
    "ProjectLoadedExpositionPaused": Phase.PAUSED,
}


def to_answer(answer: Any) -> Any:
    """Return an answer that is one; raise `TypeError` for none, which a blocked server gives (vendor-tescan.md B1)."""
    if answer is None:
        raise TypeError("no answer")
    return answer


def to_number(answer: Any) -> int:
    """Return a state as a number, from an ``Enum`` or an integer."""
    return int(getattr(answer, "value", answer))


def to_flag(answer: Any) -> bool:
    """Return a truth value, from a bool, an integer or an ``Enum`` (of which every member would count as true)."""
    return bool(getattr(to_answer(answer), "value", answer))


def to_names(answer: Any) -> list[str]:
    """Return the names in a list."""
    return [str(name) for name in answer]


def to_manipulator_position(read: Sequence[float]) -> ManipulatorPosition:
    """Return where the needle is from x, y, z (mm), rotation (degrees)."""
    x_mm, y_mm, z_mm, rotation_deg = (float(value) for value in read)
    return ManipulatorPosition(
        x_m=from_mm(x_mm), y_m=from_mm(y_mm), z_m=from_mm(z_mm), r_rad=math.radians(rotation_deg)
    )


def to_manipulator_limits(read: Sequence[float]) -> ManipulatorLimits:
    """Return the ranges of x, y and z from min, max pairs (mm); the last pair is the rotation's (degrees)."""
    x_low, x_high, y_low, y_high, z_low, z_high, _, _ = (from_mm(end) for end in read)
    return ManipulatorLimits(
        x_m=AxisLimits(low=x_low, high=x_high),
        y_m=AxisLimits(low=y_low, high=y_high),
        z_m=AxisLimits(low=z_low, high=z_high),
    )


def from_targets(targets: AxisTargets) -> list[float | None]:
    """Return x, y, z (mm), rotation, tilt (degrees) for ``MoveTo``; None keeps an axis."""
    lengths = [None if value is None else to_mm(value) for value in (targets.x_m, targets.y_m, targets.z_m)]
    return lengths + [None if value is None else math.degrees(value) for value in (targets.r_rad, targets.t_rad)]


def to_pixels(document: Any, *, bit_depth: int, section: str) -> Pixels:
    """Return the pixels of a ``Document``; raise `HardwareError` for none, another column or another depth.

    ``section`` is SEM or FIB: the header names the column that the frame really came from.
    """
    if document is None:
        raise HardwareError("TESCAN returned no image; take it again")
    if section not in document.Header:
        raise HardwareError(
            f"asked for a {section} frame, TESCAN returned one with the sections {', '.join(document.Header)}; it is "
            "thrown away"
        )
    data = np.array(document.Image)
    wanted = np.uint8 if bit_depth == 8 else np.uint16
    if data.dtype != wanted or data.ndim != 2:
        raise HardwareError(f"asked for a frame of {bit_depth} bit, TESCAN returned {data.ndim}-D {data.dtype}")
    return np.ascontiguousarray(data)


def to_gray(document: Any) -> Pixels:
    """Return the 8-bit gray pixels of a picture of the chamber; raise `HardwareError` for none."""
    if document is None:
        raise HardwareError("TESCAN returned no picture of the chamber; take it again")
    data = np.array(document.Image)
    if data.dtype != np.uint8 or data.ndim not in (2, 3):
        raise HardwareError(f"asked for a picture of 8 bit, TESCAN returned {data.ndim}-D {data.dtype}")
    gray = data if data.ndim == 2 else data[..., :3].mean(axis=2).round().astype(np.uint8)
    return np.ascontiguousarray(gray)


def to_info(document: Any) -> InstrumentInfo:
    """Return the instrument from an image header, the only place that names it (vendor-tescan.md A2)."""
    if document is None:
        raise HardwareError("TESCAN returned no image, so that the instrument is unknown; is a beam on?")
    main = document.Header["MAIN"]
    return InstrumentInfo(
        manufacturer=UNKNOWN_INSTRUMENT.manufacturer,
        model=main.get("DeviceModel") or main.get("Device") or UNKNOWN_INSTRUMENT.model,
        serial_number=main.get("SerialNumber", ""),
        software_version=main.get("SoftwareVersion", ""),
    )


def to_engine_status(answer: Any) -> EngineStatus:
    """Return DrawBeam's state from ``GetStatus()``; raise `HardwareError` for a state that means nothing to us."""
    status, total_s, elapsed_s = answer
    phase = _PHASES.get(status.name)
    if phase is None:
        raise HardwareError(f"DrawBeam says its state is {status.name}; look at DrawBeam on the instrument")
    return EngineStatus(phase=phase, total_s=float(total_s), elapsed_s=float(elapsed_s))
