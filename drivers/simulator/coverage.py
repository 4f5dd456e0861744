"""Which functions of the HAL the simulator carries out, and with what."""

from __future__ import annotations

from typing import Final

from fibsem_runtime.hal.coverage import Absent, Carried, Coverage, Verification

_COLUMN: Final = {
    "source": "SimulatedSource",
    "detectors": "SimulatedDetectors",
    "auto_focus": "SimulatedAutoFocus",
    "stigmator": "SimulatedStigmator",
    "live_view": "SimulatedLiveView",
    "spot": "SimulatedSpot",
}

_DEVICES: Final = {
    "driver": "SimulatorDriver",
    "stage": "SimulatedStage",
    "electron_beam": "SimulatedBeam",
    "ion_beam": "SimulatedBeam",
    "milling": "MillingEngine",
    **{f"{column}_{name}": found for column in ("electron", "ion") for name, found in _COLUMN.items()},
    "manipulator": "SimulatedManipulator",
    "gas_injection": "SimulatedGas",
    "sputter_coater": "SimulatedCoater",
    "vacuum": "SimulatedVacuum",
    "pump": "SimulatedPump",
}

COVERAGE: Final[Coverage] = {
    **{name: Carried(found, Verification.SIMULATION) for name, found in _DEVICES.items()},
    "electron_presets": Absent("an Aquilos keeps no presets of a column"),
    "ion_presets": Absent("an Aquilos keeps no presets of a column"),
    "ion_plasma_source": Absent("the ion column has a gallium source"),
    "chamber_camera": Absent("the inside of the chamber is not modelled"),
}
"""By device; where one is carried out, all of its functions are."""
