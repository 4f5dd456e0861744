"""Stand-in for the vendor's Automation SDK, as vendor-tescan.md part A and vendor-fakes.md section 2 describe it.

``Automation(host)`` connects to one of the instruments on the bench.
"""

from __future__ import annotations

import sys
import types
from enum import Enum
from typing import Any

from tescan.accessories import LIMITS_MM
from tescan.bench import BENCH
from tescan.column import PRESET_NAMES, PRESETS, Area
from tescan.exposure import EngineState

from tescanautomation import DrawBeam as _drawbeam
from tescanautomation.Common import Bpp, Detector, Document

# Importing the real package pulls Qt in (S10).
for _name in ("PySide6.QtCore", "tescanautomation.GUI", "tescanautomation.pyside6gui"):
    sys.modules.setdefault(_name, types.ModuleType(_name))


class _BeamStatus(Enum):
    BeamOff = 0
    BeamOn = 1


class _GisPosition(Enum):
    Home = 0
    Working = 1


class _NeedlePosition(Enum):
    Parking = 0
    Standby = 1
    Working = 2


class _Line:
    def __init__(self, name: str) -> None:
        self.name = name


class _Space:
    """A namespace of functions; every call is recorded, may meet a fault, and must be alone on its socket."""

    def __init__(self, sdk: Automation, path: str, **functions: Any) -> None:
        for name, function in functions.items():
            is_function = callable(function) and not isinstance(function, type)
            setattr(self, name, sdk._wrapped(f"{path}.{name}", function) if is_function else function)


class Automation:
    """One connection: one control socket, not safe from two threads (S4)."""

    class FIB:
        class Beam:
            Status = _BeamStatus

    class SEM:
        class Beam:
            Status = _BeamStatus

    class GIS:
        Position = _GisPosition

    def __init__(self, host: str, port: int = 8300) -> None:
        if host not in BENCH:
            raise Exception(f"cannot connect to {host}:{port}")
        self._instrument = BENCH[host]
        self._in_call = False
        self._is_open = True
        self._build()

    def Disconnect(self) -> None:
        self._is_open = False

    def _wrapped(self, name: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._in_call:
                raise ValueError("could not convert string to float: ''")
            if not self._is_open:
                raise OSError("connection closed")
            self._in_call = True
            try:
                answered, answer = self._instrument.faults.meet(name, args)
                if answered:
                    return answer
                with self._instrument.lock:
                    return function(*args, **kwargs)
            finally:
                self._in_call = False

        return call

    def _build(self) -> None:
        found = self._instrument
        self.SEM = self._column("SEM", found.electron)
        self.FIB = self._column("FIB", found.ion)
        electron, ion = found.electron, found.ion
        _extend(
            self,
            self.SEM.Beam,
            "SEM.Beam",
            GetCurrent=electron.get_current,
            SetCurrent=electron.set_current,
            SetVoltage=electron.set_voltage,
        )
        _extend(self, self.SEM.Optics, "SEM.Optics", GetWD=electron.get_wd, SetWD=electron.set_wd)
        _extend(
            self,
            self.SEM.Scan,
            "SEM.Scan",
            SetBlanker=electron.set_blanker,
            GetBlanker=lambda blanker: electron.blanker_mode,
        )
        _extend(self, self.FIB.Beam, "FIB.Beam", ReadProbeCurrent=ion.probe_current_pa)
        _extend(self, self.FIB.Preset, "FIB.Preset", Activate=ion.activate)
        _extend(self, self.SEM.Preset, "SEM.Preset", Activate=electron.activate)
        self.SEM.AutoWDFine = self._wrapped("SEM.AutoWDFine", lambda detector: electron.auto_focus())
        stage = found.stage
        self.Stage = _Space(
            self, "Stage", GetPosition=stage.position, MoveTo=self._move, IsCalibrated=lambda: int(stage.is_calibrated)
        )
        engine = found.engine
        self.DrawBeam = _Space(
            self,
            "DrawBeam",
            Layer=_drawbeam.Layer,
            Status=_drawbeam.Status,
            LoadLayer=self._load,
            UnloadLayer=engine.unload,
            EstimateTime=engine.estimate_s,
            GetStatus=self._status,
            Start=engine.start,
            Pause=engine.pause,
            Resume=engine.resume,
            Stop=engine.stop,
        )
        self.Chamber = _Space(
            self,
            "Chamber",
            GetStatus=lambda: found.chamber.status,
            GetPressure=lambda gauge: found.chamber.pressure_pa(),
        )
        self.Camera = _Space(self, "Camera", AcquireImage=lambda: Document(found.chamber.picture(), {"MAIN": {}}))
        self._lines = [_Line(name) for name in found.gas]
        self.GIS = _Space(
            self,
            "GIS",
            Position=_GisPosition,
            Enum=lambda: list(self._lines),
            MoveTo=self._move_gas,
            GetPosition=lambda line: _GisPosition[found.gas[line.name].position],
            PrepareTemperature=lambda line, on: found.gas[line.name].heat(on),
            GetTemperatureReady=lambda line: found.gas[line.name].is_ready(),
            GetValveStatus=lambda line: found.gas[line.name].valve_is_open,
            OpenValve=lambda line: found.gas[line.name].open_valve(),
            CloseValve=self._close_valve,
            Outgas=lambda line: found.gas[line.name].outgas(),
        )
        self.Nanomanipulator = _Space(
            self,
            "Nanomanipulator",
            Position=_NeedlePosition,
            GetPosition=lambda index: found.manipulator.position(),
            GetLimits=lambda index, kind: LIMITS_MM,
            IsCalibrated=lambda index: found.manipulator.is_calibrated,
            MoveTo=lambda index, x, y, z, rotation: found.manipulator.move(x, y, z, rotation),
            MoveToPosition=lambda index, position: found.manipulator.go(position.name),
        )

    def _column(self, path: str, column: Any) -> Any:
        space = types.SimpleNamespace()
        space.IsBusy = self._wrapped(f"{path}.IsBusy", column.is_busy)
        space.Beam = _Space(
            self,
            f"{path}.Beam",
            Status=_BeamStatus,
            GetStatus=lambda: _BeamStatus(int(column.is_on)),
            On=lambda: column.switch(True),
            Off=lambda: column.switch(False),
            GetVoltage=lambda: column.voltage_v,
        )
        space.Optics = _Space(
            self,
            f"{path}.Optics",
            GetViewfield=lambda: column.field_mm,
            SetViewfield=column.set_field,
            GetImageRotation=column.rotation,
            SetImageRotation=column.set_rotation,
            GetImageShift=lambda: column.shift_mm,
            SetImageShift=column.set_shift,
        )
        space.Preset = _Space(
            self, f"{path}.Preset", Enum=lambda: list(PRESET_NAMES), IsAvailable=lambda name: name in PRESETS
        )
        detectors = [Detector(index, name) for index, name in enumerate(column.detectors)]
        depths: dict[int, Bpp] = {0: Bpp.Grayscale_8_bit}

        def choose(channel: int, detector: Detector, bpp: Bpp = Bpp.Grayscale_8_bit) -> None:
            column.choose_detector(detector.index)
            depths[channel] = bpp

        space.Detector = _Space(
            self,
            f"{path}.Detector",
            Enum=lambda: list(detectors),
            Set=choose,
            Get=lambda channel: detectors[column.detector_index],
            AutoSignal=lambda detector: column.auto_signal(),
            GetGainBlack=lambda detector: column.gain_black(),
            SetGainBlack=lambda detector, gain, black: column.set_gain_black(gain, black),
        )

        def document(width: int, height: int, dwell_ns: int, bpp: Bpp, area: Area | None) -> Document:
            pixels = column.frame(width, height, dwell_ns, bpp.value, area)
            return Document(pixels, self._header(path, column, width, dwell_ns))

        space.Scan = _Space(
            self,
            f"{path}.Scan",
            Stop=column.stop_scan,
            AcquireImageFromChannel=lambda ch, w, h, dwell: document(w, h, dwell, depths[ch], None),
            AcquireROIFromChannel=lambda ch, w, h, left, top, right, bottom, dwell: document(
                w, h, dwell, depths[ch], Area(left, top, right, bottom)
            ),
        )
        return space

    def _header(self, path: str, column: Any, width: int, dwell_ns: int) -> dict[str, dict[str, str]]:
        x, y, z, rotation, tilt = self._instrument.stage.axes
        return {
            "MAIN": {
                "Device": "TESCAN AMBER X",
                "DeviceModel": "S8252X",
                "SerialNumber": "121-0169",
                "SoftwareVersion": "TESCAN Essence Version 1.2.5.0, build 6389",
                "PixelSizeX": f"{column.field_mm / 1e3 / width:.15f}",
            },
            path: {
                "DwellTime": f"{dwell_ns * 1e-9:.9f}",
                "ScanRotation": f"{column.rotation_deg}",
                "StageX": f"{x / 1e3}",
                "StageY": f"{y / 1e3}",
                "StageZ": f"{z / 1e3}",
                "StageRotation": f"{rotation}",
                "StageTilt": f"{tilt}",
            },
        }

    def _move(
        self,
        x: float | None = None,
        y: float | None = None,
        z: float | None = None,
        rot: float | None = None,
        tiltx: float | None = None,
        tilty: float | None = None,
    ) -> None:
        self._instrument.stage.begin([x, y, z, rot, tiltx])
        self._instrument.stage.finish()

    def _load(self, layer: Any) -> None:
        if layer.dot is not None:
            self._instrument.engine.load_dot(layer.dot[1])
            return
        self._instrument.engine.load(
            layer.shapes, field_m=layer.settings.writeFieldSize, rate_m3_per_c=layer.settings.rate
        )

    def _status(self) -> tuple[Any, float, float]:
        state, total_s, elapsed_s = self._instrument.engine.status()
        names = {
            EngineState.NONE: "ProjectNotLoaded",
            EngineState.IDLE: "ProjectLoadedExpositionIdle",
            EngineState.RUNNING: "ProjectLoadedExpositionInProgress",
            EngineState.PAUSED: "ProjectLoadedExpositionPaused",
        }
        return _drawbeam.Status[names[state]], total_s, elapsed_s

    def _close_valve(self, line: _Line) -> None:
        self._instrument.gas[line.name].valve_is_open = False

    def _move_gas(self, line: _Line, position: _GisPosition) -> None:
        self._instrument.gas[line.name].position = position.name


def _extend(sdk: Automation, space: _Space, path: str, **functions: Any) -> None:
    for name, function in functions.items():
        setattr(space, name, sdk._wrapped(f"{path}.{name}", function))
