"""The whole fake instrument, shared by the fake SDK and the fake SharkSEM server."""

from __future__ import annotations

import math
import threading
from typing import Any

from drivers.simulator.driver import SimulatorPlugin
from drivers.simulator.settings import SimulatorSettings
from fibsem_runtime.core import BeamType
from fibsem_runtime.hal import Microscope
from fibsem_runtime.hal.truth import Truth
from tescan.accessories import Chamber, GasLine, Needle
from tescan.column import PRESETS, ElectronColumn, IonColumn
from tescan.exposure import Engine
from tescan.faults import Faults
from tescan.stage import Stage
from tescan.timing import LazyClock

PRETILT_DEG = 40.0
ROTATION_REFERENCE_DEG = 180.0
EUCENTRIC_Z_MM = 39.0
LIMITS = ((-60.0, 60.0), (-60.0, 60.0), (0.0, 90.0), (-360.0, 720.0), (-60.0, 90.0))
"""An AMBER with a METEOR shuttle (vendor-geometry.md section 1); limits invented."""

GEOMETRY: dict[str, Any] = {
    "ion_column_tilt_deg": 55,
    "pretilt_deg": PRETILT_DEG,
    "rotation_reference_deg": ROTATION_REFERENCE_DEG,
    "eucentric_working_distance_electron_mm": 7,
    "eucentric_working_distance_ion_mm": 16.5,
}

NO_TIME = {"stage_move_s": 0, "current_change_s": 0, "voltage_change_s": 0, "setting_s": 0}
"""What these cost, the fake says itself."""


class Instrument:
    """One TESCAN instrument: stage, columns, DrawBeam, needles, chamber, with the simulator's sample."""

    def __init__(self, *, seed: int = 11, simulator_settings: dict[str, Any] | None = None) -> None:
        sections = {
            "geometry": GEOMETRY,
            "timing": NO_TIME,
            "stage": {"r_range_deg": (-720, 720), "t_range_deg": (-60, 90)},
        }
        for name, section in (simulator_settings or {}).items():
            known = sections.get(name)
            sections[name] = {**known, **section} if isinstance(known, dict) else section
        self._plugin = SimulatorPlugin()
        self.simulator: Microscope = self._plugin.open(
            SimulatorSettings.model_validate(sections), seed=seed, state_directory=None
        )
        self.lock = threading.RLock()
        self.faults = Faults()
        self.clock = LazyClock(self.simulator.clock)
        self.engine = Engine(simulator=self.simulator, clock=self.clock, beam_off=self._trip)
        self.stage = Stage(
            simulator=self.simulator,
            engine=self.engine,
            limits=LIMITS,
            eucentric_z_mm=EUCENTRIC_Z_MM,
            axes=(0.0, 0.0, EUCENTRIC_Z_MM, ROTATION_REFERENCE_DEG, PRETILT_DEG),
        )
        common: dict[str, Any] = {"simulator": self.simulator, "engine": self.engine}
        self.electron = ElectronColumn(
            beam_type=BeamType.ELECTRON, detectors=("E-T", "BSE"), field_range_mm=(0.001, 2.58), **common
        )
        self.ion = IonColumn(beam_type=BeamType.ION, detectors=("SE", "SI"), field_range_mm=(0.001, 0.45), **common)
        self.chamber = Chamber(self.clock)
        self.manipulator = Needle()
        self.gas = {name: GasLine(self.clock) for name in ("Pt", "H2O")}

    def truth(self) -> Truth:
        """Return what the simulator behind the instrument knows."""
        self.engine.settle()
        found = self._plugin.truth(self.simulator)
        assert found is not None
        return found

    def _trip(self) -> None:
        self.ion.is_on = False


def driver_settings(**changes: Any) -> dict[str, Any]:
    """Return the sections that both drivers share for this instrument."""
    sections: dict[str, Any] = {
        "geometry": {
            "eucentric_z_mm": EUCENTRIC_Z_MM,
            "pretilt_deg": PRETILT_DEG,
            "rotation_reference_deg": ROTATION_REFERENCE_DEG,
        },
        "ion_beam": {
            "presets": [
                {"name": name, "voltage_kv": preset.voltage_v / 1e3, "current_pa": preset.current_pa}
                for name, preset in PRESETS.items()
            ]
        },
    }
    return {**sections, **changes}


def degrees(value_rad: float) -> float:
    """Return degrees, as the instrument rounds them."""
    return round(math.degrees(value_rad), 6)
