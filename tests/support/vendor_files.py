"""Files as the vendors' programs write them, with the values of vendor-image-metadata.md sections 4 and 5."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

TESCAN_TAG = 50431
ZEISS_TAG = 34118
ZEISS_UTF16_TAG = 34119
THERMO_TAG = 34682

MIRA3_MAIN = {
    **{"AccFrames": "1", "Date": "2016-05-16", "Device": "MIRA3 XMU", "ImageStripSize": "120"},
    **{"Magnification": "108.08", "PixelSizeX": "2.5012e-6", "PixelSizeY": "2.5012e-6", "SerialNumber": "MI3261471CZ"},
    **{"Time": "16:03:27", "Version": "4.2.13.0", "ViewFieldsCountX": "1", "ViewFieldsCountY": "1"},
}
MIRA3_SEM = {
    **{"AcceleratorVoltage": "10.0000e3", "ChamberPressure": "33.2e-3", "Detector": "SE", "DwellTime": "3.2000e-6"},
    **{"EmissionCurrent": "186.09e-6", "HV": "10.0000e3", "ImageShiftX": "0.0", "ImageShiftY": "0.0"},
    **{"PredictedBeamCurrent": "264.366e-12", "PrimaryDetectorGain": "48.828", "PrimaryDetectorOffset": "92.5"},
    **{"ScanMode": "WIDE FIELD", "ScanRotation": "0.0", "SpotSize": "83.5e-9", "StageRotation": "0", "StageTilt": "0"},
    **{"StageX": "5.1572e-3", "StageY": "6.0938e-3", "StageZ": "83.566e-3", "StigmatorX": "-290e-3"},
    **{"StigmatorY": "-290e-3", "WD": "13.250e-3"},
}
"""`tescan_example_sem1.tif`, MIRA3 4.2.13; 1024 x 888 pixels of 16 bit with a data bar of 120 rows."""

AMBER_MAIN = {
    **{"AccFrames": "12", "AccType": "Line", "Date": "2023-10-25", "Device": "TESCAN AMBER X", "DeviceModel": "S8252X"},
    **{"ImageStripSize": "358", "Magnification": "20957.5", "MagnificationReference": "0.4188"},
    **{"PixelSizeX": "0.000000013009943", "PixelSizeY": "0.000000013009943", "SerialNumber": "121-0169"},
    **{"SoftwareVersion": "TESCAN Essence Version 1.2.5.0, build 6389", "Time": "16:31:07", "ViewFieldsCountX": "1"},
}
AMBER_SEM = {
    **{"AcceleratorVoltage": "30000.0", "ChamberPressure": "3.923e-5", "Detector": "E-T", "Detector0": "E-T"},
    **{"Detector0Gain": "50.454", "Detector0Offset": "74.6", "DwellTime": "3.2e-7", "HV": "30000.0"},
    **{"ImageShiftX": "0.0", "ImageShiftY": "0.0", "LastPreset": "", "PotentialMode": "BrightBeam"},
    **{"PredictedBeamCurrent": "5.01e-11", "ScanMode": "UH-RESOLUTION", "ScanRotation": "0.0", "StageRotation": "30.0"},
    **{"StageTilt": "0.0", "StageX": "-0.00224061", "StageY": "0.000690594", "StageZ": "0.03917549"},
    **{"StigmatorX": "2.02", "StigmatorY": "0.405", "TiltCorrection": "35.0", "WD": "0.005544941"},
}
"""AMBER X S8252X, Essence 1.2.5.0, as in its header file."""

CROSSBEAM = (
    *(("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 593.3 nm"), ("AP_WIDTH", "Width = 607.5 µm")),
    *(("AP_HEIGHT", "Height = 455.6 µm"), ("AP_MAG", "Mag =   188 X"), ("AP_FRAME_TIME", "Cycle Time = 752.76 ms")),
    *(("DP_DWELL_TIME", "Dwell Time = 50 ns"), ("DP_SCANRATE", "Scan Speed = 4"), ("AP_WD", "WD = 5.2 mm")),
    *(("AP_ACTUALKV", "EHT =  5.00 kV"), ("AP_IPROBE", "I Probe = 200 pA"), ("AP_STIG_X", "Stigmation X = 3.8 %")),
    *(("AP_STIG_Y", "Stigmation Y = -1.6 %"), ("AP_BEAMSHIFT_X", "Beam Shift X = 0.0 %")),
    *(("AP_BEAMSHIFT_Y", "Beam Shift Y = 0.0 %"), ("AP_SCANROTATION", "Scan Rotation = 0.0 °")),
    *(("DP_SCAN_ROT", "Scan Rot = Off"), ("AP_STAGE_AT_X", "Stage at X = 48.509 mm")),
    *(("AP_STAGE_AT_Y", "Stage at Y = 48.6715 mm"), ("AP_STAGE_AT_Z", "Stage at Z = 10.000 mm")),
    *(("AP_STAGE_AT_T", "Stage at T = 2.0 °"), ("AP_STAGE_AT_R", "Stage at R = 233.5 °")),
    *(("AP_STAGE_AT_M", "Stage at M = 4.475 mm"), ("AP_TILT_ANGLE", "Tilt Angle = 45.0 °")),
    *(("AP_BRIGHTNESS", "Brightness = 49.7 %"), ("AP_CONTRAST", "Contrast = 35.1 %")),
    *(("AP_FIB_BEAM_SHIFT_X", "FIB Beam Shift X = 7.352 µm"), ("AP_FIB_BEAM_SHIFT_Y", "FIB Beam Shift Y = -76.4 nm")),
    *(("AP_FIB_SCAN_ROTATION", "FIB Scan Rot. = 27.0 °"), ("AP_FIB_PROBE_CURRENT_ACTUAL", "FIB Current = 58 pA")),
    *(("AP_FIB_EHT_ACTUAL", "FIB EHT = 29.99 kV"), ("AP_FIB_WORKING_DISTANCE", "FIB WD = 13.5 mm")),
    *(("AP_FIB_PIXEL_SIZE", "FIB Pixel Size = 624.9 nm"), ("DP_FIB_PROBE", "FIB Probe = 30kV:50pA ref")),
    *(("DP_DETECTOR_CHANNEL", "Signal A = InLens"), ("DP_FIB_MODE", "FIB Mode = Imaging")),
    *(("DP_FIB_IMAGING", "FIB Imaging = SEM"), ("DP_SEM", "Sem = Crossbeam 550")),
    *(("AP_DATE", "Date :11 Apr 2023"), ("AP_TIME", "Time :8:40:47"), ("SV_SERIAL_NUMBER", "Serial No. = 4770")),
    *(("SV_VERSION", "Version = V07.03.00.00 : 04-Nov-21"), ("SV_FILE_NAME", "File Name = grid_01.tif")),
)
"""Crossbeam 550, SmartSEM V07.03; pairs of a key line and a value line. Labels, brightness and contrast are ours."""

_NUMERIC_BLOCK = ("0", "0", "0", "5.933e-007", "188", "829")


def ramp(height_px: int = 12, width_px: int = 16, dtype: Any = np.uint8) -> np.ndarray:
    """Return gray levels that are all different within the range of a byte."""
    return np.arange(height_px * width_px, dtype=dtype).reshape(height_px, width_px)


def ini(sections: Mapping[str, Mapping[str, str]], newline: str = "\r\n") -> str:
    """Return the text of a header file."""
    blocks = (f"[{name}]{newline}" + _lines(values, newline) for name, values in sections.items())
    return newline.join(blocks)


def _lines(values: Mapping[str, str], newline: str = "\r\n") -> str:
    return "".join(f"{key}={value}{newline}" for key, value in values.items())


def tescan_blob(main: Mapping[str, str], column: Mapping[str, str], *, is_ion: bool = False) -> bytes:
    """Return tag 50431: a thumbnail, the two texts, the end."""
    thumbnail = b"\0\0\0\x0cjP  \r\n\x87\nPixelSizeX=9\r\n\xff\xd9"
    payloads = (
        (1, thumbnail),
        (2, _lines(main).encode(errors="replace") + b"\0"),
        (5 if is_ion else 3, _lines(column).encode(errors="replace") + b"\0"),
    )
    return b"".join(record(kind, payload) for kind, payload in (*payloads, (0, b"")))


def record(kind: int, payload: bytes) -> bytes:
    return struct.pack("<IH", 2 + len(payload), kind) + payload


def zeiss_text(pairs: tuple[tuple[str, str], ...] = CROSSBEAM, newline: str = "\r\n") -> str:
    """Return the text of tag 34118."""
    return newline.join((*_NUMERIC_BLOCK, *(line for pair in pairs for line in pair))) + newline


def with_value(pairs: tuple[tuple[str, str], ...], key: str, line: str | None) -> tuple[tuple[str, str], ...]:
    """Return the pairs with another value line for ``key``, or without it."""
    kept = tuple(pair for pair in pairs if pair[0] != key)
    return kept if line is None else (*kept, (key, line))


def write_tiff(path: Path, pixels: np.ndarray, tags: Mapping[int, bytes | str] = {}, **options: Any) -> Path:
    """Write gray pixels with raw vendor tags, texts as ASCII and bytes as they are."""
    extra = [(code, "B" if isinstance(value, bytes) else "s", len(value), value, True) for code, value in tags.items()]
    options = {"photometric": "minisblack"} | options
    tifffile.imwrite(path, pixels, metadata=None, extratags=extra, **options)
    return path


def write_tescan(path: Path, main: Mapping[str, str], column: Mapping[str, str], *, is_ion: bool = False) -> Path:
    """Write an image of 32 rows and a white data bar under it as high as the header says."""
    strip = int(main.get("ImageStripSize") or 0)
    pixels = np.vstack([ramp(32, 48, np.uint16) * 3, np.full((strip, 48), 65535, np.uint16)])
    return write_tiff(path, pixels, {TESCAN_TAG: tescan_blob(main, column, is_ion=is_ion)})


def write_zeiss(path: Path, raw: bytes, *, tag: int = ZEISS_TAG, pixels: np.ndarray | None = None) -> Path:
    """Write a palette of grays, as SmartSEM does."""
    grays = np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, axis=0)
    return write_tiff(path, ramp() if pixels is None else pixels, {tag: raw}, photometric="palette", colormap=grays)
