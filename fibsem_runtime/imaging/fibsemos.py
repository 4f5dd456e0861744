"""Read the JSON that fibsemOS writes into TIFF files, versions v0 to v8 (interop.md section 1).

Fields are detected by their presence, as the version is informative only. Whatever cannot be read stays unknown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from fibsem_runtime.core import (
    BeamSettings,
    BeamType,
    DetectorSettings,
    ImageMetadata,
    InstrumentInfo,
    RelativeArea,
    StagePosition,
)
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.imaging.description import OWN_KEY, parse_own
from fibsem_runtime.imaging.stated import stated_beam, stated_stage

Block: TypeAlias = Mapping[str, Any]

TEXT_KEY: Final = "fibsemOS"
"""Where the whole JSON text is kept in ``ImageMetadata.extra``, so that no key of a newer version is lost."""

_MARKS: Final = ("image", "microscope_state", "pixel_size", "beam_type", OWN_KEY)
_THERMO_TIME_FORMAT: Final = "%m/%d/%Y %H:%M:%S"


def parse_description(text: str, shape: tuple[int, int]) -> ImageMetadata | None:
    """Return the metadata in the JSON ``text`` of an image of ``shape``; None when it is not fibsemOS JSON."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(tree, dict) or not any(mark in tree for mark in _MARKS):
        return None
    own = parse_own(tree.get(OWN_KEY))
    return own if own is not None else _parse_tree(tree, text, shape)


def _parse_tree(tree: Block, text: str, shape: tuple[int, int]) -> ImageMetadata:
    request = _block(tree, "image") or tree
    state = _block(tree, "microscope_state")
    beam_type = _beam_type(request)
    beam_block, detector_block = _observed(tree, state, beam_type)
    hfw_m = _number(request, "hfw") or _number(beam_block, "hfw")
    return ImageMetadata(
        beam_type=beam_type,
        pixel_size_m=_pixel_size_m(tree, request, hfw_m, shape),
        dwell_time_s=_positive(_number(request, "dwell_time")) or _positive(_number(beam_block, "dwell_time")),
        acquired_at=_time(state.get("timestamp")),
        beam=_beam(beam_block, hfw_m),
        detector=_detector(detector_block),
        stage_position=_stage(_block(state, "stage_position") or _block(state, "absolute_position")),
        reduced_area=_area(_block(request, "reduced_area")),
        instrument=_instrument(_block(tree, "system_info") or _block(_block(tree, "system"), "info")),
        extra={TEXT_KEY: text},
    )


def _block(tree: Block, name: str) -> Block:
    """Return a sub-tree; empty for null, absent and the string "Not defined" of v1."""
    value = tree.get(name)
    return value if isinstance(value, dict) else {}


def _number(block: Block, *names: str) -> float | None:
    """Return the first finite number under ``names``; numbers written as text count."""
    for name in names:
        value = block.get(name)
        if isinstance(value, bool) or value is None:
            continue
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            continue
        if math.isfinite(number):
            return number
    return None


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _text(block: Block, name: str) -> str:
    value = block.get(name)
    return "" if value is None else str(value)


def _beam_type(request: Block) -> BeamType | None:
    try:
        return BeamType(_text(request, "beam_type").upper())
    except ValueError:
        return None


def _observed(tree: Block, state: Block, beam_type: BeamType | None) -> tuple[Block, Block]:
    """Return the acquiring beam's settings and detector under their names of v3 to v8, v1 and v2."""
    if beam_type is None:
        return {}, {}
    long, short = ("electron", "eb") if beam_type is BeamType.ELECTRON else ("ion", "ib")
    beam = _block(state, f"{long}_beam") or _block(state, f"{short}_settings")
    detector = _block(state, f"{long}_detector") or _block(state, f"{short}_detector")
    return beam, detector or _block(tree, "detector_settings")


def _pixel_size_m(tree: Block, request: Block, hfw_m: float | None, shape: tuple[int, int]) -> float | None:
    """Return the stated pixel size, else the field width over the width of the full frame."""
    stated = _positive(_number(_block(tree, "pixel_size"), "x"))
    if stated is not None or hfw_m is None or hfw_m <= 0:
        return stated
    full_width_px = _full_width_px(request, shape[1])
    return hfw_m / full_width_px if full_width_px else None


def _full_width_px(request: Block, width_px: int) -> float | None:
    """Return the full frame's width; unknown for a reduced area whose frame is not stated."""
    if not _block(request, "reduced_area"):
        return width_px
    resolution = request.get("resolution")
    if isinstance(resolution, list) and resolution:
        return _positive(_number({"width": resolution[0]}, "width"))
    return None


def _time(value: object) -> datetime | None:
    """Return the time: epoch seconds become UTC, the text of Thermo files has no time zone and stays naive."""
    if isinstance(value, str):
        try:
            return datetime.strptime(value.strip(), _THERMO_TIME_FORMAT)
        except ValueError:
            return _time(_number({"t": value}, "t"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _beam(block: Block, hfw_m: float | None) -> BeamSettings | None:
    shift, stigmation = _block(block, "shift"), _block(block, "stigmation")
    return stated_beam(
        voltage_v=_number(block, "voltage"),
        beam_current_a=_number(block, "beam_current", "current"),
        working_distance_m=_number(block, "working_distance", "eucentric_height"),
        hfw_m=_number(block, "hfw") or hfw_m,
        shift_x_m=_number(shift, "x"),
        shift_y_m=_number(shift, "y"),
        stigmation_x=_number(stigmation, "x"),
        stigmation_y=_number(stigmation, "y"),
        scan_rotation_rad=_number(block, "scan_rotation"),
    )


def _detector(block: Block) -> DetectorSettings | None:
    brightness, contrast = _number(block, "brightness"), _number(block, "contrast")
    if brightness is None or contrast is None:
        return None
    return DetectorSettings(
        name=_text(block, "type"), mode=_text(block, "mode"), brightness_fraction=brightness, contrast_fraction=contrast
    )


def _stage(block: Block) -> StagePosition | None:
    return stated_stage(*(_number(block, axis) for axis in "xyzrt"))


def _area(block: Block) -> RelativeArea | None:
    left, top = _number(block, "left"), _number(block, "top")
    width, height = _number(block, "width"), _number(block, "height")
    if left is None or top is None or width is None or height is None:
        return None
    try:
        return RelativeArea(left_fraction=left, top_fraction=top, width_fraction=width, height_fraction=height)
    except ConfigError:
        return None


def _instrument(block: Block) -> InstrumentInfo | None:
    if not block:
        return None
    return InstrumentInfo(
        manufacturer=_text(block, "manufacturer"),
        model=_text(block, "model"),
        serial_number=_text(block, "serial_number"),
        software_version=_text(block, "software_version"),
    )
