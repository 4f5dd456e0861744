"""What no interface to a TESCAN instrument can do, and what both drivers know without asking."""

from __future__ import annotations

from typing import Final

from fibsem_runtime.hal.coverage import Absent, Carried, Coverage

SHARED: Final[Coverage] = {
    "electron_beam.beam_type": Carried("known"),
    "electron_beam.available_currents_a": Carried("settings `electron_beam.currents_pa`: the column is continuous"),
    "electron_beam.shift_limit_m": Carried("settings `electron_beam.shift_limit_um`: no query"),
    "ion_beam.beam_type": Carried("known"),
    "ion_beam.available_currents_a": Carried("settings `ion_beam.presets` at the present voltage"),
    "ion_beam.shift_limit_m": Carried("settings `ion_beam.shift_limit_um`: no query"),
    "ion_beam.set_working_distance": Absent("neither readable nor settable; focus belongs to the preset"),
    "milling.shape_kinds": Carried("known"),
    "milling.draw bitmap": Absent("DrawBeam has no bitmaps"),
    "electron_live_view": Carried("repeated frames: no interface streams"),
    "ion_live_view": Carried("repeated frames: no interface streams"),
    "ion_auto_focus": Absent("no interface focuses the ion beam"),
    "ion_stigmator": Absent("no interface has an ion stigmator"),
    "ion_plasma_source": Absent("no public function changes the gas of the source"),
    "sputter_coater": Absent("no public function of a coater"),
}
