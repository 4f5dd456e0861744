"""What the server answers: name, kinds of arguments, and what is done (vendor-tescan.md B4, B5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from tescan.column import PRESET_NAMES
from tescan.exposure import Refused
from tescan.instrument import Instrument

from fibsem_runtime.core import ImagePoint
from fibsem_runtime.hal import CrossSection, RectangleShape, ScanDirection

Function = tuple[str, Callable[..., tuple[Any, ...] | None]]
"""Kinds of arguments, and a function that returns the values of the reply, or None for a setter."""

KINDS = {
    "RectangleFilled": CrossSection.RECTANGLE,
    "RectanglePolish": CrossSection.CLEANING,
    "RectangleStairs": CrossSection.REGULAR,
}

VERSION = "3.2.20USB\\VID_1234&PID_5678"
"""Old servers append junk (K10)."""


def functions(found: Instrument) -> dict[str, Function]:
    """Return everything but scanning, which needs the data channel."""
    return {**_information(found), **_electron(found), **_ion(found), **_stage(found), **_drawbeam(found)}


def _does(function: Callable[..., Any]) -> Callable[..., None]:
    def call(*args: Any) -> None:
        function(*args)

    return call


def _information(found: Instrument) -> dict[str, Function]:
    return {
        "TcpGetVersion": ("", lambda: (VERSION,)),
        "TcpGetModel": ("", lambda: ("S8252X",)),
        "TcpGetDevice": ("", lambda: ("121-0169",)),
        "TcpGetSWVersion": ("", lambda: ("TESCAN Essence Version 1.2.5.0, build 6389",)),
        "VacGetStatus": ("", lambda: (found.chamber.status,)),
        "VacGetPressure": ("I", lambda gauge: (float(found.chamber.pressure_pa()),)),
        "VacPump": ("", _does(found.chamber.pump)),
        "VacVent": ("", _does(found.chamber.vent)),
        "CameraDisable": ("", lambda: None),
        "IsBusy": ("U", lambda flags: (int(bool(flags & busy_bits(found))),)),
    }


def busy_bits(found: Instrument) -> int:
    """Return the wait flags of everything that is at work."""
    bits = 0x0100 * found.electron.gui_scans | 0x1000 * found.ion.gui_scans
    bits |= 0x0200 * found.stage.is_busy()
    bits |= 0x0C00 * found.electron.is_working()
    return bits | 0x6000 * found.ion.is_working()


def _electron(found: Instrument) -> dict[str, Function]:
    column = found.electron
    return {
        "GetViewField": ("", lambda: (float(column.field_mm),)),
        "SetViewField": ("F", _does(column.set_field)),
        "GetImageRot": ("", lambda: (float(column.rotation()),)),
        "SetImageRot": ("F", _does(column.set_rotation)),
        "GetImageShift": ("", lambda: tuple(map(float, column.shift_mm))),
        "SetImageShift": ("FF", _does(column.set_shift)),
        "GetWD": ("", lambda: (float(column.get_wd()),)),
        "SetWD": ("F", _does(column.set_wd)),
        "GetBeamCurrent": ("", lambda: (float(column.get_current()),)),
        "SetBeamCurrent": ("F", _does(column.set_current)),
        "HVGetBeam": ("", lambda: (int(column.is_on),)),
        "HVGetVoltage": ("", lambda: (float(column.voltage_v),)),
        "HVSetVoltage": ("FI", lambda volts, asynchronous=0: column.set_voltage(volts)),
        "ScGetBlanker": ("I", lambda blanker: (column.blanker_mode,)),
        "ScSetBlanker": ("II", _does(column.set_blanker)),
        "ScStopScan": ("", _does(column.stop_scan)),
        "GUISetScanning": ("I", lambda on: _scan_live(column, on)),
        "GUIGetScanning": ("", lambda: (int(column.gui_scans),)),
        "DtEnumDetectors": ("", lambda: (_detector_map(column),)),
        "DtSelect": ("II", lambda channel, detector: column.choose_detector(detector)),
        "DtGetSelected": ("I", lambda channel: (column.detector_index,)),
        "DtEnable": ("III", lambda channel, on, bits=8: _enable(column, bits)),
        "DtAutoSignal": ("I", lambda channel: column.auto_signal()),
        "HVBeamOn": ("", lambda: column.switch(True)),
        "HVBeamOff": ("", lambda: column.switch(False)),
        "AutoWDFine": ("IFFF", lambda channel, *limits: column.auto_focus()),
        "PresetEnum": ("", lambda: ("\n".join(PRESET_NAMES),)),
        "PresetSetEx": ("S", _does(column.activate)),
        "DtSetGainBlack": ("IFF", lambda detector, gain, black: column.set_gain_black(gain, black)),
        "DtGetGainBlack": ("I", lambda detector: tuple(map(float, column.gain_black()))),
    }


def _ion(found: Instrument) -> dict[str, Function]:
    column = found.ion
    return {
        "FibGetViewField": ("", lambda: (float(column.field_mm),)),
        "FibSetViewField": ("F", _does(column.set_field)),
        "FibGetImageRot": ("", lambda: (float(column.rotation()),)),
        "FibSetImageRot": ("F", _does(column.set_rotation)),
        "FibEnumGeom": ("", lambda: ("geom.0.name=Image Shift\ngeom.0.unit=mm\ngeom.1.name=Rotation",)),
        "FibGetGeom": ("I", lambda index: tuple(map(float, column.shift_mm)) if index == 0 else (0.0, 0.0)),
        "FibSetGeom": ("IFF", lambda index, x, y: column.set_shift(x, y) if index == 0 else None),
        "FibHVGetBeam": ("", lambda: (int(column.is_on),)),
        "FibHVGetVoltage": ("", lambda: (float(column.voltage_v),)),
        "FibReadFCCurr": ("", lambda: (float(column.probe_current_pa()),)),
        "FibEnumPresets": ("", lambda: ("\n".join(PRESET_NAMES),)),
        "FibSetPreset": ("S", _does(column.activate)),
        "FibScStopScan": ("", _does(column.stop_scan)),
        "FibGUISetScan": ("I", lambda on: _scan_live(column, on)),
        "FibGUIGetScan": ("", lambda: (int(column.gui_scans),)),
        "FibDtEnumDetec": ("", lambda: (_detector_map(column),)),
        "FibDtSelect": ("II", lambda channel, detector: column.choose_detector(detector)),
        "FibDtGetSelect": ("I", lambda channel: (column.detector_index,)),
        "FibDtEnable": ("III", lambda channel, on, bits=8: _enable(column, bits)),
        "FibDtAutoSig": ("I", lambda channel: column.auto_signal()),
        "FibHVBeamOn": ("", lambda: column.switch(True)),
        "FibHVBeamOff": ("", lambda: column.switch(False)),
        "FibDtSetGainBl": ("IFF", lambda detector, gain, black: column.set_gain_black(gain, black)),
        "FibDtGetGainBl": ("I", lambda detector: tuple(map(float, column.gain_black()))),
    }


def _scan_live(column: Any, on: int) -> None:
    column.gui_scans = bool(on)


def _enable(column: Any, bits: int) -> None:
    column.bits = bits


def _detector_map(column: Any) -> str:
    return "\n".join(f"det.{i}.name={name}\ndet.{i}.detector={i}" for i, name in enumerate(column.detectors))


def _stage(found: Instrument) -> dict[str, Function]:
    stage = found.stage
    return {
        "StgGetPosition": ("", lambda: tuple(map(float, stage.position()))),
        "StgMoveTo": ("FFFFF", lambda *axes: stage.begin([*axes, *[None] * (5 - len(axes))])),
        "StgStop": ("", _does(stage.stop)),
        "StgIsBusy": ("", lambda: (int(stage.is_busy()),)),
        "StgIsCalibrated": ("", lambda: (int(stage.is_calibrated),)),
        "StgGetLimits": ("I", lambda kind: tuple(float(end) for ends in stage.limits for end in ends)),
    }


def _code(function: Callable[..., Any]) -> Callable[..., tuple[int]]:
    """Return a function that answers with DrawBeam's error codes instead of raising."""

    def call(*args: Any) -> tuple[int]:
        try:
            function(*args)
        except Refused:
            return (-1,)
        return (0,)

    return call


def _drawbeam(found: Instrument) -> dict[str, Function]:
    engine = found.engine

    def load(layer: int, xml: str) -> None:
        settings, shapes = parse_layer(xml)
        engine.load(shapes, field_m=settings["WriteFieldSize"], rate_m3_per_c=settings["Rate"])

    def estimate(layer: int) -> tuple[int, float]:
        try:
            return (0, float(engine.estimate_s()))
        except Refused:
            return (-1, 0.0)

    def status() -> tuple[int, float, float]:
        state, total_s, elapsed_s = engine.status()
        return (state.value, float(total_s), float(elapsed_s))

    return {
        "DrwGetConfig": ("", lambda: (3,)),
        "DrwLoadLayer": ("IS", _code(load)),
        "DrwUnloadLayer": ("I", _code(lambda layer: engine.unload())),
        "DrwStart": ("I", _code(lambda layer: engine.start())),
        "DrwStop": ("", _code(engine.stop)),
        "DrwPause": ("", _code(engine.pause)),
        "DrwResume": ("", _code(engine.resume)),
        "DrwEstimateTime": ("I", estimate),
        "DrwGetStatus": ("", status),
    }


def parse_layer(xml: str) -> tuple[dict[str, float], list[RectangleShape]]:
    """Return settings and shapes of a layer; objects with angle 0 advance upwards."""
    root = ElementTree.fromstring(xml)
    settings = root.find("Settings")
    assert settings is not None
    numbers = {key: float(settings.attrib[key]) for key in ("WriteFieldSize", "Rate", "BeamCurrent", "SpotSize")}
    shapes = []
    for each in root.findall("Object"):
        x, y = (float(value) for value in each.attrib["Center"].split())
        assert each.attrib["DepthUnit"] == "m"
        shapes.append(
            RectangleShape(
                centre=ImagePoint(x, y),
                width_m=float(each.attrib["Width"]),
                height_m=float(each.attrib["Height"]),
                depth_m=float(each.attrib["Depth"]),
                rotation_rad=math.radians(float(each.attrib["Angle"])),
                scan_direction=ScanDirection.BOTTOM_TO_TOP,
                cross_section=KINDS[each.attrib["Type"]],
            )
        )
    return numbers, shapes
