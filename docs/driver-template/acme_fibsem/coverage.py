"""What of the HAL this driver carries out with which call, where that was verified, and what is absent and why."""

from __future__ import annotations

from fibsem_runtime.hal import ShapeKind
from fibsem_runtime.hal.coverage import DEVICES, Absent, Carried, Coverage

_CARRIED = {
    "driver": Carried("see safe_state in driver.py"),
    "stage": Carried("stage_move, stage_position"),
    "electron_beam": Carried("get, set, grab, auto_signal"),
    "ion_beam": Carried("get, set, grab, auto_signal"),
    "milling": Carried("pattern_load, pattern_run, pattern_clear"),
    "vacuum": Carried("pressure_mbar"),
}

COVERAGE: Coverage = {
    **{device: Absent("the template does not show it") for device in DEVICES if device not in _CARRIED},
    **{
        f"milling.draw {kind.value.lower()}": Absent("the engine mills rectangles only")
        for kind in ShapeKind
        if kind is not ShapeKind.RECTANGLE
    },
    **_CARRIED,
}
