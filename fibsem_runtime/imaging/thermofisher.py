"""Read the metadata of Thermo Fisher files: the ini text and the XML document (vendor-image-metadata.md sections 2, 3).

The XML is preferred for the time and the beam, because its date does not depend on the locale; the ini text for
everything else, because its ``[Stage]`` section is the true stage pose. Both texts are kept in ``extra``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from xml.etree import ElementTree

from fibsem_runtime.core import BeamSettings, BeamType, DetectorSettings, ImageMetadata, StagePosition
from fibsem_runtime.core.image import InstrumentInfo
from fibsem_runtime.imaging.stated import stated_beam, stated_detector, stated_stage
from fibsem_runtime.imaging.texts import IniText, parse_ini, parse_number, square_pixel_m

INI_KEY: Final = "FEI_INI"
XML_KEY: Final = "FEI_XML"
_DEEPEST_XML: Final = 12
"""Levels of the document that are read; those of section 3 are within four."""

_MANUFACTURER: Final = "Thermo Fisher Scientific"
_BEAMS: Final = {
    "ebeam": BeamType.ELECTRON,
    "ibeam": BeamType.ION,
    "electron": BeamType.ELECTRON,
    "ion": BeamType.ION,
}


def parse_thermofisher(ini_text: str, xml_text: str) -> ImageMetadata:
    """Return what the two texts say; either may be empty. Never fails: what cannot be read stays unknown."""
    ini = parse_ini(ini_text)
    xml = _parse_xml(xml_text)
    stated_beam = xml.get("Acquisition/BeamType") or ini.text("Beam", "Beam")
    beam_section = ini.text("Beam", "Beam")
    return ImageMetadata(
        beam_type=_BEAMS.get(stated_beam.casefold()),
        pixel_size_m=_pixel_size_m(ini, xml, beam_section),
        dwell_time_s=ini.number("Scan", "Dwelltime") or parse_number(xml.get("ScanSettings/DwellTime", "")),
        acquired_at=_time(ini, xml),
        beam=_beam(ini, beam_section) or _beam_from_xml(xml),
        detector=_detector(ini),
        stage_position=_stage(ini),
        instrument=_instrument(ini, xml),
        extra={key: text for key, text in ((INI_KEY, ini_text), (XML_KEY, xml_text)) if text},
    )


def image_rows(ini_text: str) -> int | None:
    """Return the rows that belong to the image; what follows is a data bar, which the file does not declare."""
    rows = parse_ini(ini_text).number("Image", "ResolutionY")
    return int(rows) if rows is not None and rows >= 1 else None


def _parse_xml(text: str) -> dict[str, str]:
    """Return the first text of every element by its path below the root, names without their namespace."""
    if not text.strip() or "<!DOCTYPE" in text:
        return {}
    try:
        root = ElementTree.fromstring(text.strip().strip("\0"))
    except (ElementTree.ParseError, ValueError):
        return {}
    found: dict[str, str] = {}
    _collect(root, (), found)
    return found


def _collect(element: ElementTree.Element, path: tuple[str, ...], found: dict[str, str]) -> None:
    for child in element if len(path) < _DEEPEST_XML else ():
        names = (*path, child.tag.rsplit("}", 1)[-1])
        found.setdefault("/".join(names), (child.text or "").strip())
        _collect(child, names, found)


def _pixel_size_m(ini: IniText, xml: Mapping[str, str], beam_section: str) -> float | None:
    """Return the stated pixel size, else field width over ResolutionX (they agree exactly in every known file)."""
    stated_m = ini.number("Scan", "PixelWidth") or parse_number(xml.get("BinaryResult/PixelSize/X", ""))
    height_m = ini.number("Scan", "PixelHeight") or parse_number(xml.get("BinaryResult/PixelSize/Y", ""))
    if stated_m:
        return square_pixel_m(stated_m, height_m)
    hfw_m, columns = ini.number(beam_section, "HFW"), ini.number("Image", "ResolutionX")
    return square_pixel_m(hfw_m / columns, height_m) if hfw_m and columns else None


def _time(ini: IniText, xml: Mapping[str, str]) -> datetime | None:
    """Return the local time without zone: the XML's ISO date, TimeOfCreation, User.Date (the most ambiguous) last."""
    candidates = (
        (xml.get("Acquisition/AcquisitionDatetime", "")[:19], "%Y-%m-%dT%H:%M:%S"),
        (ini.text("PrivateFei", "TimeOfCreation"), "%d.%m.%Y %H:%M:%S"),
        (f"{ini.text('User', 'Date')} {ini.text('User', 'Time')}", "%m/%d/%Y %I:%M:%S %p"),
    )
    for text, pattern in candidates:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    return None


def _beam(ini: IniText, section: str) -> BeamSettings | None:
    return stated_beam(
        voltage_v=ini.number("Beam", "HV") or ini.number(section, "HV"),
        beam_current_a=ini.number(section, "BeamCurrent"),
        working_distance_m=ini.number(section, "WD"),
        hfw_m=ini.number(section, "HFW"),
        shift_x_m=ini.number("Beam", "BeamShiftX"),
        shift_y_m=ini.number("Beam", "BeamShiftY"),
        stigmation_x=ini.number("Beam", "StigmatorX"),
        stigmation_y=ini.number("Beam", "StigmatorY"),
        scan_rotation_rad=ini.number("Beam", "ScanRotation"),
    )


def _beam_from_xml(xml: Mapping[str, str]) -> BeamSettings | None:
    def number(name: str) -> float | None:
        return parse_number(xml.get(name, ""))

    return stated_beam(
        voltage_v=number("Optics/AccelerationVoltage"),
        beam_current_a=number("Optics/BeamCurrent"),
        working_distance_m=number("Optics/WorkingDistance"),
        hfw_m=number("Optics/FullScanFieldOfView/X"),
        shift_x_m=number("Optics/BeamShift/X"),
        shift_y_m=number("Optics/BeamShift/Y"),
        stigmation_x=number("Optics/StigmatorRaw/X"),
        stigmation_y=number("Optics/StigmatorRaw/Y"),
        scan_rotation_rad=number("ScanSettings/ScanRotation"),
    )


def _detector(ini: IniText) -> DetectorSettings | None:
    """Return the detector named in [Detectors]; its brightness and contrast are per cent in the file."""
    name = ini.text("Detectors", "Name")
    return stated_detector(
        name,
        ini.text("Detectors", "Mode") or ini.text(name, "Signal"),
        brightness_percent=ini.number(name, "Brightness"),
        contrast_percent=ini.number(name, "Contrast"),
    )


def _stage(ini: IniText) -> StagePosition | None:
    """Return the pose of [Stage]; the beam sections hold it corrected for beam shift and are not the pose."""
    return stated_stage(*(ini.number("Stage", f"Stage{axis}") for axis in "XYZRT"))


def _instrument(ini: IniText, xml: Mapping[str, str]) -> InstrumentInfo | None:
    model = ini.text("System", "SystemType") or xml.get("Instrument/InstrumentClass", "")
    if not model:
        return None
    return InstrumentInfo(
        manufacturer=xml.get("Instrument/Manufacturer", "") or _MANUFACTURER,
        model=model,
        serial_number=ini.text("System", "Dnumber") or xml.get("Instrument/InstrumentID", ""),
        software_version=ini.text("System", "Software") or xml.get("Instrument/ControlSoftwareVersion", ""),
    )
