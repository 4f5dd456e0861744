"""Read the metadata of TESCAN files: the records in tag 50431 and the header file beside an image.

Both hold the same ``key=value`` texts in SI units with angles in degrees (vendor-image-metadata.md section 4); the tag
has them in binary records, the side-car under section names. The text is kept in ``extra``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from fibsem_runtime.core import BeamSettings, BeamType, DetectorSettings, ImageMetadata, StagePosition
from fibsem_runtime.core.image import InstrumentInfo
from fibsem_runtime.imaging.stated import stated_beam, stated_detector, stated_stage
from fibsem_runtime.imaging.texts import IniText, decode_text, parse_angle_rad, parse_ini, square_pixel_m

TEXT_KEY: Final = "TESCAN"
"""Where the whole text is kept in ``ImageMetadata.extra``."""

_MANUFACTURER: Final = "TESCAN"
_RECORD: Final = struct.Struct("<IH")
"""Length of what follows it, the two bytes of the type included, and type."""

_LENGTH_BYTES: Final = 4
_SECTIONS: Final = {2: "MAIN", 3: "SEM", 5: "FIB"}
_END: Final = 0
_MAX_SIDE_CAR_BYTES: Final = 2**20
"""Headers have some kilobytes; other programs use the name .hdr for images of many megabytes."""


def header_text(blob: bytes) -> str:
    """Return the text records of tag 50431 under their section names; of a tag without records the text itself."""
    parts = [f"[{_SECTIONS[kind]}]\r\n{decode_text(payload)}" for kind, payload in _records(blob) if kind in _SECTIONS]
    return "\r\n".join(parts) or _bare_text(blob)


def _records(blob: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and payload of every record that is whole; nothing after the first that is not."""
    at = 0
    while at + _RECORD.size <= len(blob):
        length, kind = _RECORD.unpack_from(blob, at)
        end = at + _LENGTH_BYTES + length
        if kind == _END or end > len(blob) or length < _RECORD.size - _LENGTH_BYTES:
            return
        yield kind, blob[at + _RECORD.size : end]
        at = end


def _bare_text(blob: bytes) -> str:
    """Return the text from its first section name on; some programs write the header as it is into the tag."""
    start = blob.upper().find(b"[MAIN]")
    return decode_text(blob[start:]) if start >= 0 else ""


def read_side_car(image: Path) -> str:
    """Return the text of the TESCAN header that lies beside ``image``; empty when there is none.

    ``name.tif`` has ``name-tif.hdr``; ``name.hdr`` and the header of the PNG of the same name are taken as well.
    """
    kinds = dict.fromkeys((image.suffix.lstrip(".").lower(), "tif", "png"))
    endings = [f"-{kind}.hdr" for kind in kinds] + [".hdr", f"{image.suffix}.hdr"]
    for spelling in (*endings, *map(str.upper, endings)):
        text = _read_header(image.with_name(image.stem + spelling))
        if "MAIN" in parse_ini(text):
            return text
    return ""


def _read_header(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_SIDE_CAR_BYTES:
            return ""
        return decode_text(path.read_bytes())
    except OSError:
        return ""


def image_rows(text: str, height_px: int) -> int | None:
    """Return the rows above the data bar, whose height the header states; None when it states none that can be."""
    strip = parse_ini(text).number("MAIN", "ImageStripSize")
    return height_px - int(strip) if strip is not None and 1 <= strip < height_px else None


def parse_tescan(text: str, width_px: int) -> ImageMetadata:
    """Return what the header of an image of ``width_px`` says. Never fails: what cannot be read stays unknown."""
    ini = parse_ini(text)
    beam_type, column = _column(ini)
    pixel_size_m = square_pixel_m(ini.si("m", "MAIN", "PixelSizeX"), ini.si("m", "MAIN", "PixelSizeY"))
    views = ini.number("MAIN", "ViewFieldsCountX") or 1.0
    hfw_m = pixel_size_m * width_px / views if pixel_size_m and views >= 1 else None
    return ImageMetadata(
        beam_type=beam_type,
        pixel_size_m=pixel_size_m,
        dwell_time_s=ini.si("s", column, "DwellTime") or None,
        acquired_at=_time(ini),
        beam=_beam(ini, column, hfw_m),
        detector=_detector(ini, column),
        stage_position=_stage(ini, column),
        instrument=_instrument(ini),
        extra={TEXT_KEY: text},
    )


def _column(ini: IniText) -> tuple[BeamType | None, str]:
    """Return the beam and the name of its section; a header with both sections does not say which made the image."""
    if "SEM" in ini and "FIB" in ini:
        return None, ""
    return (BeamType.ION, "FIB") if "FIB" in ini else (BeamType.ELECTRON if "SEM" in ini else None, "SEM")


def _angle_rad(ini: IniText, section: str, key: str) -> float | None:
    return parse_angle_rad(ini.text(section, key), bare_deg=True)


def _time(ini: IniText) -> datetime | None:
    """Return the local time without zone."""
    date, time = ini.text("MAIN", "Date"), ini.text("MAIN", "Time")
    try:
        return datetime.strptime(f"{date} {time.split('.')[0]}", "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None


def _beam(ini: IniText, section: str, hfw_m: float | None) -> BeamSettings | None:
    return stated_beam(
        voltage_v=ini.si("V", section, "HV", "AcceleratorVoltage"),
        beam_current_a=ini.si("A", section, "PredictedBeamCurrent"),
        working_distance_m=ini.si("m", section, "WD"),
        hfw_m=hfw_m,
        shift_x_m=ini.si("m", section, "ImageShiftX"),
        shift_y_m=ini.si("m", section, "ImageShiftY"),
        stigmation_x=ini.number(section, "StigmatorX"),
        stigmation_y=ini.number(section, "StigmatorY"),
        scan_rotation_rad=_angle_rad(ini, section, "ScanRotation"),
    )


def _detector(ini: IniText, section: str) -> DetectorSettings | None:
    """Return the first detector; gain is the contrast and offset the brightness."""
    return stated_detector(
        ini.text(section, "Detector0", "Detector"),
        "",
        brightness_percent=ini.si("%", section, "Detector0Offset", "PrimaryDetectorOffset"),
        contrast_percent=ini.si("%", section, "Detector0Gain", "PrimaryDetectorGain"),
    )


def _stage(ini: IniText, section: str) -> StagePosition | None:
    x_m, y_m, z_m = (ini.si("m", section, f"Stage{axis}") for axis in "XYZ")
    r_rad, t_rad = (_angle_rad(ini, section, f"Stage{axis}") for axis in ("Rotation", "Tilt"))
    return stated_stage(x_m, y_m, z_m, r_rad, t_rad)


def _instrument(ini: IniText) -> InstrumentInfo | None:
    model = ini.text("MAIN", "Device", "DeviceModel")
    if not model:
        return None
    return InstrumentInfo(
        manufacturer=_MANUFACTURER,
        model=model,
        serial_number=ini.text("MAIN", "SerialNumber"),
        software_version=ini.text("MAIN", "SoftwareVersion", "Version"),
    )
