"""Read the metadata of Zeiss SmartSEM files, tags 34118 and 34119 (vendor-image-metadata.md section 5).

Lines come in pairs: a key (``AP_`` analog, ``DP_`` state, ``SV_`` text) and ``Label = value unit``, where the unit is
scaled to the value. tifffile's own reading of the tag loses the unit of every value of three words and all of the
UTF-16 tag, so that the text is read here. It is kept in ``extra``.

Keys of both columns stand in one file. That ``DP_FIB_IMAGING`` names the column which made the image is inferred from
one electron image (section 5); the file is taken as an electron image otherwise only when it knows no ion column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fibsem_runtime.core import BeamSettings, BeamType, DetectorSettings, ImageMetadata, StagePosition
from fibsem_runtime.core.image import InstrumentInfo
from fibsem_runtime.imaging.stated import stated_beam, stated_detector, stated_stage
from fibsem_runtime.imaging.texts import parse_angle_rad, parse_quantity, plain, square_pixel_m

TEXT_KEY: Final = "CZ_SEM"
"""Where the whole text is kept in ``ImageMetadata.extra``."""

_MANUFACTURER: Final = "Carl Zeiss"
_KEY: Final = re.compile(r"(AP|DP|SV)_\w+", re.IGNORECASE)
_COLUMNS: Final = {"SEM": BeamType.ELECTRON, "FIB": BeamType.ION}
_DATE_FORMATS: Final = ("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%Y-%m-%d")
_DISPLAY_WIDTH_PX: Final = 1024
"""Width that ``AP_PIXEL_SIZE`` of old files is about: the display, which scans of other widths do not share."""


@dataclass(frozen=True, slots=True)
class Values:
    """The values by key in capitals."""

    by_key: Mapping[str, str]

    def text(self, *keys: str) -> str:
        """Return the first value that is there, else an empty text."""
        return next((self.by_key[key] for key in keys if self.by_key.get(key)), "")

    def si(self, unit: str, *keys: str) -> float | None:
        """Return the first of the values in the SI unit ``unit``; a number without a unit is none, units are scaled."""
        numbers = (parse_quantity(self.text(key), unit) for key in keys)
        return next((number for number in numbers if number is not None), None)

    def angle_rad(self, key: str) -> float | None:
        """Return an angle in radians."""
        return parse_angle_rad(self.text(key))


def parse_values(text: str) -> Values:
    """Pair every key line with the line after it, without the label; the numbers at the beginning have no keys.

    Of a key that comes twice the first value that is not empty counts.
    """
    found: dict[str, str] = {}
    key = ""
    for line in plain(text).splitlines():
        stripped = line.strip()
        if _KEY.fullmatch(stripped):
            key = stripped.upper()
        elif key and stripped:
            found[key] = found.get(key) or _without_label(stripped)
            key = ""
    return Values(found)


def _without_label(line: str) -> str:
    """Return what follows ``=``; dates and times have a colon instead."""
    label, separator, value = line.partition("=")
    return value.strip() if separator else label.partition(":")[2].strip()


def parse_zeiss(text: str, width_px: int) -> ImageMetadata:
    """Return what the text of an image of ``width_px`` says. Never fails: what cannot be read stays unknown."""
    values = parse_values(text)
    beam_type = _beam_type(values)
    pixel_size_m = _pixel_size_m(values, width_px)
    hfw_m = values.si("m", "AP_WIDTH") or (pixel_size_m * width_px if pixel_size_m else None)
    return ImageMetadata(
        beam_type=beam_type,
        pixel_size_m=pixel_size_m,
        dwell_time_s=values.si("s", "DP_DWELL_TIME") or None,
        acquired_at=_time(values),
        beam=_beam(values, beam_type, hfw_m),
        detector=_detector(values),
        stage_position=_stage(values),
        instrument=_instrument(values),
        extra={TEXT_KEY: text},
    )


def _beam_type(values: Values) -> BeamType | None:
    if not any(key.startswith(("AP_FIB_", "DP_FIB_")) for key in values.by_key):
        return BeamType.ELECTRON if values.text("AP_ACTUALKV", "AP_MANUALKV") else None
    return _COLUMNS.get(values.text("DP_FIB_IMAGING").upper())


def _pixel_size_m(values: Values, width_px: int) -> float | None:
    """Return the image's pixel size; of files that do not know it the display's, where the image is as wide.

    Files of the LEO era state ``AP_PIXEL_SIZE`` only (HyperSpy's RosettaSciIO has such a file). ``AP_FIB_PIXEL_SIZE``
    is not read, because what it is about is unverified.
    """
    key = "AP_IMAGE_PIXEL_SIZE"
    if key not in values.by_key and width_px == _DISPLAY_WIDTH_PX:
        key = "AP_PIXEL_SIZE"
    return square_pixel_m(values.si("m", key), None)


def _time(values: Values) -> datetime | None:
    """Return the local time without zone."""
    date, time = values.text("AP_DATE"), values.text("AP_TIME")
    for pattern in _DATE_FORMATS:
        try:
            return datetime.strptime(f"{date} {time}", f"{pattern} %H:%M:%S")
        except ValueError:
            continue
    return None


def _beam(values: Values, beam_type: BeamType | None, hfw_m: float | None) -> BeamSettings | None:
    """Return the acquiring beam; a shift of the electron beam is per cent of its range, which is no length."""
    if beam_type is None:
        return None
    if beam_type is BeamType.ION:
        return stated_beam(
            voltage_v=values.si("V", "AP_FIB_EHT_ACTUAL"),
            beam_current_a=values.si("A", "AP_FIB_PROBE_CURRENT_ACTUAL"),
            working_distance_m=values.si("m", "AP_FIB_WORKING_DISTANCE"),
            hfw_m=hfw_m,
            shift_x_m=values.si("m", "AP_FIB_BEAM_SHIFT_X"),
            shift_y_m=values.si("m", "AP_FIB_BEAM_SHIFT_Y"),
            stigmation_x=None,
            stigmation_y=None,
            scan_rotation_rad=values.angle_rad("AP_FIB_SCAN_ROTATION"),
        )
    is_turned = values.text("DP_SCAN_ROT").upper() != "OFF"
    return stated_beam(
        voltage_v=values.si("V", "AP_ACTUALKV", "AP_MANUALKV"),
        beam_current_a=values.si("A", "AP_IPROBE"),
        working_distance_m=values.si("m", "AP_WD"),
        hfw_m=hfw_m,
        shift_x_m=None,
        shift_y_m=None,
        stigmation_x=values.si("%", "AP_STIG_X"),
        stigmation_y=values.si("%", "AP_STIG_Y"),
        scan_rotation_rad=values.angle_rad("AP_SCANROTATION") if is_turned else None,
    )


def _detector(values: Values) -> DetectorSettings | None:
    return stated_detector(
        values.text("DP_DETECTOR_CHANNEL", "DP_DETECTOR_TYPE"),
        "",
        brightness_percent=values.si("%", "AP_BRIGHTNESS"),
        contrast_percent=values.si("%", "AP_CONTRAST"),
    )


def _stage(values: Values) -> StagePosition | None:
    x_m, y_m, z_m = (values.si("m", f"AP_STAGE_AT_{axis}") for axis in "XYZ")
    r_rad, t_rad = (values.angle_rad(f"AP_STAGE_AT_{axis}") for axis in "RT")
    return stated_stage(x_m, y_m, z_m, r_rad, t_rad)


def _instrument(values: Values) -> InstrumentInfo | None:
    model = values.text("DP_SEM")
    if not model:
        return None
    return InstrumentInfo(
        manufacturer=_MANUFACTURER,
        model=model,
        serial_number=values.text("SV_SERIAL_NUMBER"),
        software_version=values.text("SV_VERSION"),
    )
