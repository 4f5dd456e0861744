"""Which function of the HAL is carried out with which SharkSEM function; nothing ran on an instrument yet."""

from __future__ import annotations

from typing import Final

from drivers.essence.coverage import SHARED
from fibsem_runtime.hal.coverage import Absent, Carried, Coverage

_PRESETS_ONLY: Final = "`FibSetPreset`, field, rotation and shift put back, `FibReadFCCurr`"
_XML: Final = Absent("the attributes of other objects in a layer's XML are not public")

COVERAGE: Final[Coverage] = {
    **SHARED,
    "driver.safe_state": Carried("`milling.stop`, `set_blanked` of both beams; all are tried"),
    "driver.close": Carried("both sockets closed"),
    "stage.limits": Carried("`StgGetLimits(1)`, soft limits"),
    "stage.position": Carried("`StgGetPosition`"),
    "stage.move_to": Carried("`StgMoveTo` (leading axes), `StgIsBusy` twice idle, `StgStop` on a cancel"),
    "electron_beam.is_on": Carried("`HVGetBeam`"),
    "electron_beam.is_blanked": Carried("`ScGetBlanker`"),
    "electron_beam.settings": Carried(
        "`HVGetVoltage`, `GetBeamCurrent`, `GetWD`, `GetViewField`, `GetImageShift`, `GetImageRot`"
    ),
    "electron_beam.detector": Carried("`DtGetGainBlack`"),
    "electron_beam.set_current": Carried("`SetBeamCurrent`, read back"),
    "electron_beam.set_voltage": Carried("`HVSetVoltage`, read back"),
    "electron_beam.set_working_distance": Carried("`SetWD`, read back"),
    "electron_beam.set_shift": Carried("`SetImageShift`, turned by the scan rotation, read back"),
    "electron_beam.set_scan_rotation": Carried("`SetImageRot`, read back"),
    "electron_beam.set_blanked": Carried("`ScSetBlanker`: on, or automatic"),
    "electron_beam.auto_contrast": Carried("`DtAutoSignal`"),
    "electron_beam.acquire": Carried("`ScScanXY` of the centred part of a square field, `ScData`"),
    "ion_beam.is_on": Carried("`FibHVGetBeam`"),
    "ion_beam.is_blanked": Carried("held back by the driver, and `IsBusy`"),
    "ion_beam.settings": Carried(
        "preset in use; `FibHVGetVoltage` compared each time; working distance from the settings"
    ),
    "ion_beam.detector": Carried("`FibDtGetGainBl`"),
    "ion_beam.set_current": Carried(_PRESETS_ONLY),
    "ion_beam.set_voltage": Carried(_PRESETS_ONLY),
    "ion_beam.set_shift": Carried("`FibSetGeom` of the correction named `ion_shift_name`"),
    "ion_beam.set_scan_rotation": Carried("`FibSetImageRot`, read back"),
    "ion_beam.set_blanked": Carried("`FibScStopScan`; frames and milling are refused (no ion blanker exists)"),
    "ion_beam.auto_contrast": Carried("`FibDtAutoSig`"),
    "ion_beam.acquire": Carried("`FibScScanXY` of the centred part of a square field, `FibScData`"),
    "milling.draw rectangle": Carried("`DrwLoadLayer` with XML, `DrwEstimateTime`"),
    "milling.draw line": _XML,
    "milling.draw circle": _XML,
    "milling.draw polygon": _XML,
    "milling.run": Carried("`DrwStart`, `DrwResume`, `DrwPause`, `DrwGetStatus`"),
    "milling.stop": Carried(
        "`DrwStop`, state read back, `DrwUnloadLayer`; over a second connection when the first is held up"
    ),
    "milling.state": Carried("`DrwGetStatus`"),
    "electron_source": Carried("`HVBeamOn`, `HVBeamOff`"),
    "electron_detectors": Carried("`DtEnumDetectors`, `DtSelect`, `DtGetSelected`, `DtSetGainBlack`"),
    "electron_auto_focus": Carried("`AutoWDFine`, `IsBusy` until it ends"),
    "electron_stigmator": Absent("only `AutoStigmators`: values are neither read nor set"),
    "electron_presets": Carried("`PresetEnum`, `PresetSetEx`; field, rotation and shift put back"),
    "electron_spot": Absent("the unit of `ScSetBeamPos` is not public"),
    "ion_source": Carried("`FibHVBeamOn`, `FibHVBeamOff`"),
    "ion_detectors": Carried("`FibDtEnumDetec`, `FibDtSelect`, `FibDtGetSelect`, `FibDtSetGainBl`"),
    "ion_presets": Carried(_PRESETS_ONLY),
    "ion_spot": Absent("the depth unit of a timed dot in a layer's XML is not public"),
    "manipulator": Absent("no public function moves it; make sure that it is out before a run"),
    "gas_injection": Absent("no public function moves it; make sure that it is out before a run"),
    "vacuum.is_pumped": Carried("`VacGetStatus` = 0"),
    "vacuum.pressure_pa": Carried("`VacGetPressure(0)`"),
    "pump": Carried("`VacPump`, `VacVent` with both beams off, `VacGetStatus` polled"),
    "chamber_camera": Carried("`CameraEnable`, `CameraData`, `CameraDisable`"),
}
