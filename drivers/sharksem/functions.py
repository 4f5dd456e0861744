"""Names of the functions of both columns (vendor-tescan.md B4); those of the ion column are cut to 15 characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFunctions:
    """What one column calls its functions, and its bits of ``IsBusy`` (B2)."""

    get_beam: str
    beam_on: str
    beam_off: str
    get_voltage: str
    get_field: str
    set_field: str
    get_rotation: str
    set_rotation: str
    enumerate_detectors: str
    select_detector: str
    get_selected_detector: str
    enable_channel: str
    auto_signal: str
    get_gain_black: str
    set_gain_black: str
    scan: str
    stop_scan: str
    data: str
    set_window_scanning: str
    scan_bit: int
    work_bits: int


ELECTRON: Final = ColumnFunctions(
    get_beam="HVGetBeam",
    beam_on="HVBeamOn",
    beam_off="HVBeamOff",
    get_voltage="HVGetVoltage",
    get_field="GetViewField",
    set_field="SetViewField",
    get_rotation="GetImageRot",
    set_rotation="SetImageRot",
    enumerate_detectors="DtEnumDetectors",
    select_detector="DtSelect",
    get_selected_detector="DtGetSelected",
    enable_channel="DtEnable",
    auto_signal="DtAutoSignal",
    get_gain_black="DtGetGainBlack",
    set_gain_black="DtSetGainBlack",
    scan="ScScanXY",
    stop_scan="ScStopScan",
    data="ScData",
    set_window_scanning="GUISetScanning",
    scan_bit=1 << 8,
    work_bits=1 << 10 | 1 << 11,
)

ION: Final = ColumnFunctions(
    get_beam="FibHVGetBeam",
    beam_on="FibHVBeamOn",
    beam_off="FibHVBeamOff",
    get_voltage="FibHVGetVoltage",
    get_field="FibGetViewField",
    set_field="FibSetViewField",
    get_rotation="FibGetImageRot",
    set_rotation="FibSetImageRot",
    enumerate_detectors="FibDtEnumDetec",
    select_detector="FibDtSelect",
    get_selected_detector="FibDtGetSelect",
    enable_channel="FibDtEnable",
    auto_signal="FibDtAutoSig",
    get_gain_black="FibDtGetGainBl",
    set_gain_black="FibDtSetGainBl",
    scan="FibScScanXY",
    stop_scan="FibScStopScan",
    data="FibScData",
    set_window_scanning="FibGUISetScan",
    scan_bit=1 << 12,
    work_bits=1 << 13 | 1 << 14,
)
