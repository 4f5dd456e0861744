"""Every HAL function, the call of AutoScript that carries it out, or why there is none; ``docs/drivers.md`` shows it.

Nothing has run on an instrument yet: every entry is verified on the fake of ``tests/fakes/thermofisher`` only.
"""

from __future__ import annotations

from typing import Final

from fibsem_runtime.hal.coverage import Absent, Carried, Coverage

_HELD: Final = "kept by the driver, which no call tells; a new connection must be told again"


def _beam(name: str) -> dict[str, Carried | Absent]:
    beam = f"beams.{name}"
    return {
        f"{name}.beam_type": Carried("the name of the column"),
        f"{name}.available_currents_a": Carried(
            f"{beam}.beam_current.available_values"
            if name == "ion_beam"
            else f"{beam}.beam_current.limits, electron_currents_pa of the settings within them"
        ),
        f"{name}.shift_limit_m": Carried(f"{beam}.beam_shift.limits"),
        f"{name}.is_on": Carried(f"{beam}.is_on"),
        f"{name}.is_blanked": Carried(f"{beam}.is_blanked"),
        f"{name}.settings": Carried(f"{beam}.*.value"),
        f"{name}.detector": Carried("detector.*.value"),
        f"{name}.set_current": Carried(f"{beam}.beam_current"),
        f"{name}.set_voltage": Carried(f"{beam}.high_voltage"),
        f"{name}.set_working_distance": Carried(f"{beam}.working_distance"),
        f"{name}.set_shift": Carried(f"{beam}.beam_shift"),
        f"{name}.set_scan_rotation": Carried(f"{beam}.scanning.rotation"),
        f"{name}.set_blanked": Carried(f"{beam}.blank, unblank"),
        f"{name}.auto_contrast": Carried("auto_functions.run_auto_cb"),
        f"{name}.acquire": Carried(
            "imaging.grab_frame; grab_frame_to_disk for sizes that are no preset; line_integration, frame_integration, "
            "scan_interlacing, drift_correction"
        ),
    }


def _equipment(column: str) -> dict[str, Carried | Absent]:
    beam = f"beams.{column}_beam"
    return {
        f"{column}_source.turn_on": Carried(f"{beam}.turn_on"),
        f"{column}_source.turn_off": Carried(f"{beam}.turn_off"),
        f"{column}_detectors.available": Carried("detector.type.available_values"),
        f"{column}_detectors.modes": Carried("detector.mode.available_values"),
        f"{column}_detectors.select": Carried("detector.type, then mode; detector.state"),
        f"{column}_detectors.set_levels": Carried("detector.contrast, brightness"),
        f"{column}_stigmator": Carried(f"{beam}.stigmator"),
        f"{column}_live_view.is_running": Carried("kept by the driver"),
        f"{column}_live_view.start": Carried("imaging.start_acquisition"),
        f"{column}_live_view.frame": Carried("imaging.get_image"),
        f"{column}_live_view.stop": Carried("imaging.stop_acquisition"),
        f"{column}_presets": Absent("AutoScript has no named conditions; set voltage, then current"),
        f"{column}_spot": Carried(f"{beam}.scanning.mode.set_spot, unblank, blank, set_full_frame"),
    }


COVERAGE: Final[Coverage] = {
    "driver.safe_state": Carried("patterning.stop, blank, retract, on a new connection where the old one is lost"),
    "driver.close": Carried("disconnect"),
    "stage.limits": Carried("specimen.stage.get_axis_limits, compustage.get_axis_limits"),
    "stage.position": Carried("specimen.stage.current_position, compustage.current_position"),
    "stage.move_to": Carried("specimen.stage.absolute_move, compustage.absolute_move"),
    **_beam("electron_beam"),
    **_beam("ion_beam"),
    "milling.shape_kinds": Carried("service.autoscript.server.version: polygons from 4.12 on"),
    "milling.draw rectangle": Carried(
        "patterning.create_rectangle, create_regular_cross_section, create_cleaning_cross_section"
    ),
    "milling.draw line": Carried("patterning.create_line"),
    "milling.draw circle": Carried("patterning.create_circle"),
    "milling.draw polygon": Carried("patterning.create_polygon (AutoScript 4.12)"),
    "milling.draw bitmap": Carried("patterning.create_bitmap"),
    "milling.run": Carried("patterning.start, pause, resume, run"),
    "milling.stop": Carried("patterning.stop, clear_patterns"),
    "milling.state": Carried("patterning.state"),
    **_equipment("electron"),
    **_equipment("ion"),
    "electron_auto_focus": Carried("auto_functions.run_auto_focus"),
    "ion_auto_focus": Absent("users avoid it, it damages the sample (SerialFIB); set the working distance"),
    "ion_plasma_source.available_gases": Carried("beams.ion_beam.source.plasma_gas.available_values"),
    "ion_plasma_source.gas": Carried("beams.ion_beam.source.plasma_gas; absent on a gallium column"),
    "ion_plasma_source.switch_gas": Carried("beams.ion_beam.source.plasma_gas"),
    "manipulator.chain": Carried("y_axis_sign of the settings, which the site measures"),
    "manipulator.limits": Carried("ranges of the settings"),
    "manipulator.is_held": Carried(_HELD),
    "manipulator.hold": Carried(_HELD),
    "manipulator.is_inserted": Carried("specimen.manipulator.state"),
    "manipulator.position": Carried("specimen.manipulator.current_position (STAGE)"),
    "manipulator.saved_position": Carried("specimen.manipulator.get_saved_position: parked and working"),
    "manipulator.insert": Carried("specimen.manipulator.insert"),
    "manipulator.move_to": Carried("specimen.manipulator.absolute_move"),
    "manipulator.retract": Carried("specimen.manipulator.absolute_move to PARK, then retract"),
    "gas_injection.lines": Carried("gas.list_all_gis_ports, get_multichem().list_all_gases, within the settings"),
    "gas_injection.is_inserted": Carried("the driver's own account, no read-back: inserted until retracted"),
    "gas_injection.prepare": Carried("turn_heater_on, get_temperature"),
    "gas_injection.is_ready": Carried("get_temperature"),
    "gas_injection.insert": Carried("insert"),
    "gas_injection.open_valve": Carried("open; a multichem has no valve and delivers while its pattern runs"),
    "gas_injection.close_valve": Carried("close"),
    "gas_injection.retract": Carried("close, retract, turn_heater_off"),
    "sputter_coater.coat": Carried("specimen.sputter_coater.prepare, current, run, recover"),
    "vacuum.is_pumped": Carried("vacuum.chamber_state"),
    "vacuum.pressure_pa": Carried("vacuum.chamber_pressure"),
    "pump.pump": Carried("vacuum.pump"),
    "pump.vent": Carried("vacuum.vent"),
    "chamber_camera.acquire": Carried("imaging.set_active_view, set_active_device, grab_frame"),
}
