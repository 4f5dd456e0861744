"""Vendor values to ours and back, here and nowhere else.

AutoScript speaks SI (metres, radians, amperes, volts, seconds); image and pattern axes are ours: origin in the field's
centre, x right, y up (vendor-thermofisher.md sections 5 and 13, vendor-geometry.md section 10).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from drivers.thermofisher.sdk import Sdk
from fibsem_runtime.core import BeamSettings, DetectorSettings, ImagePoint, ImageSettings, StagePosition
from fibsem_runtime.core.errors import HardwareError, ImageFileError, RefusedSettingError, StageLimitError
from fibsem_runtime.core.image import Pixels
from fibsem_runtime.core.units import format_angle
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.devices import MillingState, StageLimits
from fibsem_runtime.hal.manipulator import ManipulatorPosition

RAW: Final = "Raw"
SPECIMEN: Final = "Specimen"
NEEDLE_STAGE: Final = "Stage"

READ_ROTATION_LIMITS: Final = AxisLimits(low=-math.tau, high=math.tau)
"""Rotation as far as positions are read back; the limits that the stage reports for it are meaningless (section 10)."""

NO_ROTATION_LIMITS: Final = AxisLimits(low=-1e-9, high=1e-9)
"""A compustage has no rotation; 0 is the only value that means its pose."""

PIXEL_SIZE_RATIO: Final = 1e-3
"""How far the pixel widths of one image may differ: far below what a field is set to, above rounding (assumed)."""

_PATTERNING_STATES: Final = {
    "idle": MillingState.IDLE,
    "running": MillingState.RUNNING,
    "paused": MillingState.PAUSED,
}


def stage_position(found: Any, *, is_compustage: bool) -> StagePosition:
    """Return a position that the stage reads; a compustage's ``a`` is the tilt and its rotation is 0."""
    if is_compustage:
        return StagePosition(
            x_m=float(found.x), y_m=float(found.y), z_m=float(found.z), r_rad=0.0, t_rad=float(found.a)
        )
    return StagePosition(
        x_m=float(found.x), y_m=float(found.y), z_m=float(found.z), r_rad=float(found.r), t_rad=float(found.t)
    )


def vendor_position(sdk: Sdk, target: StagePosition, *, here: StagePosition, is_compustage: bool) -> Any:
    """Return what to send the stage to; axes that stand where they should are None and do not move.

    Raises `StageLimitError` for a rotation of a compustage.
    """
    x, y, z, t = (
        _unless_there(asked, found)
        for asked, found in (
            (target.x_m, here.x_m),
            (target.y_m, here.y_m),
            (target.z_m, here.z_m),
            (target.t_rad, here.t_rad),
        )
    )
    if is_compustage:
        if not NO_ROTATION_LIMITS.contains(target.r_rad):
            raise StageLimitError(
                f"asked for stage rotation {format_angle(target.r_rad)}, a compustage has none; "
                "the stage has not moved, turn the grid over by tilting"
            )
        return sdk.structures.CompustagePosition(x=x, y=y, z=z, a=t, coordinate_system=SPECIMEN)
    r = _unless_there(target.r_rad, here.r_rad)
    return sdk.structures.StagePosition(x=x, y=y, z=z, r=r, t=t, coordinate_system=RAW)


def _unless_there(asked: float, found: float) -> float | None:
    """Return None for an axis within 1 nm (or nrad) of its target, which a stage may ignore anyway (odemis#3055)."""
    return None if abs(asked - found) < 1e-9 else asked


def manipulator_position(found: Any) -> ManipulatorPosition:
    """Return a position that the manipulator reads; raise `HardwareError` when it is not in STAGE coordinates."""
    if str(found.coordinate_system) != NEEDLE_STAGE:
        raise HardwareError(
            f"the manipulator gives its position in {found.coordinate_system} coordinates, asked were {NEEDLE_STAGE}"
        )
    return ManipulatorPosition(x_m=float(found.x), y_m=float(found.y), z_m=float(found.z))


def vendor_manipulator_position(sdk: Sdk, target: ManipulatorPosition) -> Any:
    """Return where to send the manipulator; its rotation must be None (section 11)."""
    return sdk.structures.ManipulatorPosition(
        x=target.x_m, y=target.y_m, z=target.z_m, r=None, coordinate_system=NEEDLE_STAGE
    )


def stage_limits(found: dict[str, Any], *, is_compustage: bool) -> StageLimits:
    """Return the limits per axis from what ``get_axis_limits`` gave for x, y, z and t (or a)."""
    x, y, z, t = (axis_limits(found[axis]) for axis in ("x", "y", "z", "a" if is_compustage else "t"))
    rotation = NO_ROTATION_LIMITS if is_compustage else READ_ROTATION_LIMITS
    return StageLimits(x_m=x, y_m=y, z_m=z, r_rad=rotation, t_rad=t)


def axis_limits(found: Any) -> AxisLimits:
    """Return one vendor ``Limits``."""
    return AxisLimits(low=float(found.min), high=float(found.max))


def shift_limit_m(found: Any) -> float:
    """Return the largest shift that both axes allow in both directions, from a ``Limits2d``."""
    x, y = axis_limits(found.limits_x), axis_limits(found.limits_y)
    return min(-x.low, x.high, -y.low, y.high)


def beam_settings(beam: Any) -> BeamSettings:
    """Read the state of a beam proxy."""
    shift, stigmation = beam.beam_shift.value, beam.stigmator.value
    return BeamSettings(
        voltage_v=float(beam.high_voltage.value),
        beam_current_a=float(beam.beam_current.value),
        working_distance_m=float(beam.working_distance.value),
        hfw_m=float(beam.horizontal_field_width.value),
        shift=ImagePoint(float(shift.x), float(shift.y)),
        stigmation_x=float(stigmation.x),
        stigmation_y=float(stigmation.y),
        scan_rotation_rad=float(beam.scanning.rotation.value),
    )


def detector_settings(detector: Any) -> DetectorSettings:
    """Read the detector of the active device."""
    return DetectorSettings(
        name=str(detector.type.value),
        mode=str(detector.mode.value),
        brightness_fraction=float(detector.brightness.value),
        contrast_fraction=float(detector.contrast.value),
    )


def resolution(settings: ImageSettings) -> str:
    """Return the size of the full frame as AutoScript wants it; a list is rejected (fibsem#117)."""
    return f"{settings.width_px}x{settings.height_px}"


def size_px(found: str) -> tuple[int, int]:
    """Return width and height of a resolution as AutoScript writes it."""
    width, height = str(found).split("x")
    return int(width), int(height)


def texts(setting: Any) -> tuple[str, ...]:
    """Return the values that a setting offers."""
    return tuple(str(value) for value in setting.available_values)


def scanning_mode(sdk: Sdk, found: Any) -> str:
    """Return a scanning mode in lower case without underscores; numbers are constants of ``ScanningMode``."""
    names = {value: name for name, value in vars(sdk.enumerations.ScanningMode).items() if not name.startswith("_")}
    return str(names.get(found, found)).lower().replace("_", "")


def grab_settings(sdk: Sdk, settings: ImageSettings) -> Any:
    """Return the request for one frame; what is not asked for is left out (ranges begin at 2, section 6)."""
    fields: dict[str, Any] = {
        "resolution": resolution(settings),
        "dwell_time": settings.dwell_time_s,
        "bit_depth": settings.bit_depth,
    }
    if settings.line_integration_count > 1:
        fields["line_integration"] = settings.line_integration_count
    if settings.frame_integration_count > 1:
        fields["frame_integration"] = settings.frame_integration_count
    if settings.scan_interlacing_count > 1:
        fields["scan_interlacing"] = settings.scan_interlacing_count
    if settings.is_drift_corrected:
        fields["drift_correction"] = True
    area = settings.reduced_area
    if area is not None:
        fields["reduced_area"] = sdk.structures.Rectangle(
            area.left_fraction, area.top_fraction, area.width_fraction, area.height_fraction
        )
    return sdk.structures.GrabFrameSettings(**fields)


def pixels(adorned: Any, settings: ImageSettings) -> Pixels:
    """Return the pixels of an ``AdornedImage``; raise `RefusedSettingError` for another size or depth than asked."""
    data = np.ascontiguousarray(adorned.data)
    if data.ndim != 2 or data.dtype not in (np.uint8, np.uint16):
        raise ImageFileError(
            f"the instrument gave a frame of shape {data.shape} and type {data.dtype}, not a gray image"
        )
    width_px, height_px = settings.width_px, settings.height_px
    if settings.reduced_area is not None:
        _, _, width_px, height_px = settings.reduced_area.to_pixels(width_px, height_px)
    found = (data.shape[1], data.shape[0], 8 * data.dtype.itemsize)
    # A reduced area is rounded to whole pixels by the instrument, ours may round the other way.
    margin_px = 0 if settings.reduced_area is None else 1
    if max(abs(found[0] - width_px), abs(found[1] - height_px)) > margin_px or found[2] != settings.bit_depth:
        raise RefusedSettingError(
            f"asked for a frame of {width_px} x {height_px} px and {settings.bit_depth} bit, the instrument gave "
            f"{found[0]} x {found[1]} px and {found[2]} bit; choose a resolution that it offers"
        )
    return data


def at_depth(adorned: Any, bit_depth: int) -> Any:
    """Return a buffered ``AdornedImage``, which may hold 16 bit where 8 are scanned (section 6), at that depth."""
    if bit_depth != 8 or adorned.data.dtype != np.uint16:
        return adorned
    return type(adorned)(data=(adorned.data >> 8).astype(np.uint8), metadata=adorned.metadata)


def gray(adorned: Any) -> Pixels:
    """Return the picture of a camera, (height, width); colours are averaged as luminance (ITU-R BT.601)."""
    data = np.asarray(adorned.data)
    if data.ndim == 3 and data.shape[2] >= 3:
        data = (data[..., :3] @ np.array([0.299, 0.587, 0.114])).round().astype(data.dtype)
    if data.ndim != 2 or data.dtype not in (np.uint8, np.uint16):
        raise ImageFileError(f"the camera gave a picture of shape {data.shape} and type {data.dtype}")
    return np.ascontiguousarray(data)


def pixel_size_m(adorned: Any) -> float:
    """Return the pixel size of an ``AdornedImage``; raise `RefusedSettingError` when pixels are not square."""
    size = adorned.metadata.binary_result.pixel_size
    x_m, y_m = float(size.x), float(size.y)
    if not (x_m > 0 and math.isclose(x_m, y_m, rel_tol=PIXEL_SIZE_RATIO)):
        raise RefusedSettingError(
            f"the instrument gave pixels of {x_m * 1e9:.3f} x {y_m * 1e9:.3f} nm, needed are square ones; "
            "switch tilt correction and dynamic focus off"
        )
    return x_m


def dwell_time_s(adorned: Any) -> float:
    """Return the dwell time that an ``AdornedImage`` was really taken with."""
    return float(adorned.metadata.scan_settings.dwell_time)


def milling_state(found: str) -> MillingState | None:
    """Return what the patterning state means: None for its error state, running for those between two states."""
    if found.lower() == "error":
        return None
    return _PATTERNING_STATES.get(found.lower(), MillingState.RUNNING)


def currents_a(found: Sequence[Any]) -> tuple[float, ...]:
    """Return a list of currents, ascending."""
    return tuple(sorted(float(current) for current in found))
