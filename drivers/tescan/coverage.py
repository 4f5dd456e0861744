"""Which function of the HAL is carried out with which call of the Automation SDK; nothing ran on an instrument yet."""

from __future__ import annotations

from typing import Final

from drivers.essence.coverage import SHARED
from fibsem_runtime.hal.coverage import Absent, Carried, Coverage

_PRESETS_ONLY: Final = "`FIB.Preset.Activate`, field, rotation and shift put back, current measured"
_HELD: Final = "kept by the driver, which no call tells; a new connection must be told again"

COVERAGE: Final[Coverage] = {
    **SHARED,
    "driver.safe_state": Carried(
        "`milling.stop`, `GIS.CloseValve`, `set_blanked`, `gas_injection.retract`, `manipulator.retract`; all are tried"
    ),
    "driver.close": Carried("`Disconnect`"),
    "stage.limits": Carried("settings `stage`: the SDK has no query"),
    "stage.position": Carried("`Stage.GetPosition`"),
    "stage.move_to": Carried("`Stage.MoveTo` with the axes that change; end read back for 5 s"),
    "electron_beam": Carried("`SEM.Optics`, `SEM.Beam`"),
    "electron_beam.is_on": Carried("`SEM.Beam.GetStatus`"),
    "electron_beam.is_blanked": Carried("`SEM.Scan.GetBlanker`"),
    "electron_beam.settings": Carried(
        "`GetVoltage`, `GetCurrent`, `GetWD`, `GetViewfield`, `GetImageShift`, `GetImageRotation`"
    ),
    "electron_beam.detector": Carried("`SEM.Detector.GetGainBlack`"),
    "electron_beam.set_current": Carried("`SEM.Beam.SetCurrent`, waits up to 10 s to settle"),
    "electron_beam.set_voltage": Carried("`SEM.Beam.SetVoltage` (blocks up to 20 s)"),
    "electron_beam.set_working_distance": Carried("`SEM.Optics.SetWD`"),
    "electron_beam.set_shift": Carried("`SEM.Optics.SetImageShift`, turned by the scan rotation"),
    "electron_beam.set_scan_rotation": Carried("`SEM.Optics.SetImageRotation`"),
    "electron_beam.set_blanked": Carried("`SEM.Scan.SetBlanker`: on, or automatic"),
    "electron_beam.auto_contrast": Carried("`SEM.Detector.AutoSignal`"),
    "electron_beam.acquire": Carried("`SEM.Scan.AcquireImageFromChannel`, `AcquireROIFromChannel`"),
    "ion_beam": Carried("`FIB.Optics`, `FIB.Beam`"),
    "ion_beam.is_on": Carried("`FIB.Beam.GetStatus`"),
    "ion_beam.is_blanked": Carried("held back by the driver, and `FIB.IsBusy`"),
    "ion_beam.settings": Carried(
        "preset in use; `FIB.Beam.GetVoltage` compared each time; working distance from the settings"
    ),
    "ion_beam.detector": Carried("`FIB.Detector.GetGainBlack`"),
    "ion_beam.set_current": Carried(_PRESETS_ONLY),
    "ion_beam.set_voltage": Carried(_PRESETS_ONLY),
    "ion_beam.set_shift": Carried("`FIB.Optics.SetImageShift`, turned by the scan rotation"),
    "ion_beam.set_scan_rotation": Carried("`FIB.Optics.SetImageRotation`"),
    "ion_beam.set_blanked": Carried("`FIB.Scan.Stop`; frames and milling are refused (no ion blanker exists)"),
    "ion_beam.auto_contrast": Carried("`FIB.Detector.AutoSignal`"),
    "ion_beam.acquire": Carried("`FIB.Scan.AcquireImageFromChannel`, `AcquireROIFromChannel`"),
    "milling.draw rectangle": Carried(
        "`addRectangleFilled`, `addRectanglePolish`, `addRectangleStairs`, `LoadLayer`, `EstimateTime`"
    ),
    "milling.draw line": Carried("`addLine`, as wide as the layer's spot; the rest is made up for in depth"),
    "milling.draw circle": Carried("`addAnnulusFilled`"),
    "milling.draw polygon": Absent("no public code has exercised the SDK's polygons"),
    "milling.run": Carried(
        "`Start`, `Resume`, `Pause`, `GetStatus`; what is left of an interrupted pattern is drawn anew"
    ),
    "milling.stop": Carried(
        "`Stop`, state read back, `UnloadLayer`; over a second connection when the first is held up"
    ),
    "milling.state": Carried("`DrawBeam.GetStatus`"),
    "electron_source": Carried("`SEM.Beam.On`, `SEM.Beam.Off`"),
    "electron_detectors": Carried("`SEM.Detector.Enum`, `Set`, `Get`, `SetGainBlack`"),
    "electron_auto_focus": Carried("`SEM.AutoWDFine`"),
    "electron_stigmator": Absent("the SDK has no stigmator"),
    "electron_presets": Carried("`SEM.Preset.Enum`, `Activate`; field, rotation and shift put back"),
    "electron_spot": Absent("the unit of `SEM.Scan.SetBeamPosition` is not public"),
    "ion_source": Carried("`FIB.Beam.On`, `FIB.Beam.Off`"),
    "ion_detectors": Carried("`FIB.Detector.Enum`, `Set`, `Get`, `SetGainBlack`"),
    "ion_presets": Carried(_PRESETS_ONLY),
    "ion_spot": Carried("`addDot` with a depth in seconds, milled by DrawBeam"),
    "manipulator": Carried("`Nanomanipulator.MoveToPosition`, positions from the settings"),
    "manipulator.chain": Carried("None: how its axes lie to the columns is not public"),
    "manipulator.limits": Carried("`Nanomanipulator.GetLimits`"),
    "manipulator.is_held": Carried(_HELD),
    "manipulator.hold": Carried(_HELD),
    "manipulator.is_inserted": Carried("distance from the parking position of the settings"),
    "manipulator.position": Carried("`Nanomanipulator.GetPosition`"),
    "manipulator.saved_position": Carried("settings `manipulator`: the SDK goes there but does not tell"),
    "manipulator.move_to": Carried("`Nanomanipulator.MoveTo`"),
    "gas_injection": Carried("`GIS.Enum`"),
    "gas_injection.is_inserted": Carried("`GIS.GetPosition`"),
    "gas_injection.prepare": Carried("`GIS.PrepareTemperature`, `GetTemperatureReady` polled"),
    "gas_injection.is_ready": Carried("`GIS.GetTemperatureReady`"),
    "gas_injection.insert": Carried("`GIS.MoveTo(Working)`, read back"),
    "gas_injection.open_valve": Carried(
        "`GIS.OpenValve` at the working position, after `Outgas` where required; read back"
    ),
    "gas_injection.close_valve": Carried("`GIS.CloseValve`, read back"),
    "gas_injection.retract": Carried("`GIS.CloseValve`, `MoveTo(Home)`, heating off; every line is tried"),
    "vacuum.is_pumped": Carried("`Chamber.GetStatus` = 0"),
    "vacuum.pressure_pa": Carried("`Chamber.GetPressure(0)`"),
    "pump": Absent("not in the SDK; SharkSEM has it"),
    "chamber_camera": Carried("`Camera.AcquireImage`"),
}
