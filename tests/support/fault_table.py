"""One session that uses everything of an instrument, for tables of what happens when a call in it goes wrong.

Any driver on any fake: the session runs through guards, `assert_safe` looks at the devices afterwards.
"""

from __future__ import annotations

from dataclasses import replace

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.hal import (
    BitmapShape,
    CircleShape,
    ColumnEquipment,
    CrossSection,
    LineShape,
    ManipulatorPose,
    Microscope,
    MillingSettings,
    MillingState,
    PolygonShape,
    RectangleShape,
    Shape,
    gas_flow,
    milling_conditions,
)

FRAME = ImageSettings(width_px=768, height_px=512, hfw_m=40e-6, dwell_time_s=1e-6)
"""A preset of the vendors, so that it is grabbed at once."""

SHAPES = (
    RectangleShape(centre=ImagePoint(0.0, 1.5e-6), width_m=2e-6, height_m=1e-6, depth_m=1e-6),
    RectangleShape(
        centre=ImagePoint(0.0, -1.5e-6),
        width_m=2e-6,
        height_m=1e-6,
        depth_m=1e-6,
        cross_section=CrossSection.CLEANING,
    ),
)

CONDITIONS = MillingSettings(beam_current_a=0.1e-9, voltage_v=30e3, hfw_m=40e-6, application="ice", dose_c_per_m3=2e8)
"""Eight seconds of beam time."""


OTHER_SHAPES: tuple[Shape, ...] = (
    LineShape(start=ImagePoint(-2e-6, 0.0), end=ImagePoint(2e-6, 1e-6), width_m=0.1e-6, depth_m=1e-6),
    CircleShape(centre=ImagePoint(0.0, 1.5e-6), outer_diameter_m=2e-6, inner_diameter_m=0.5e-6, depth_m=0.5e-6),
    PolygonShape(vertices=(ImagePoint(0.0, 0.0), ImagePoint(2e-6, 0.0), ImagePoint(1e-6, 1e-6)), depth_m=1e-6),
    BitmapShape(
        centre=ImagePoint(0.0, 0.0), width_m=2e-6, height_m=1e-6, depth_m=1e-6, depth_fraction=((0.0, 0.5), (1.0, 0.5))
    ),
)


def use_stage(microscope: Microscope) -> None:
    """Move there and back, tilt included."""
    here = microscope.stage.position()
    there = replace(here, x_m=here.x_m + 5e-6, t_rad=here.t_rad - 0.02)
    microscope.stage.move_to(there, cancel=CancelToken())


def use_beams(microscope: Microscope) -> None:
    """Change every setting of both columns and take a frame."""
    for beam_type in BeamType:
        beam = microscope.beam(beam_type)
        beam.set_shift(beam.settings().shift + ImagePoint(1e-6, 0.0))
        beam.set_working_distance(beam.settings().working_distance_m + 5e-6)
        beam.set_scan_rotation(0.0)
        beam.auto_contrast(cancel=CancelToken())
        beam.acquire(FRAME, cancel=CancelToken())
        beam.set_blanked(blanked=True)
        beam.set_blanked(blanked=False)


def use_milling(microscope: Microscope) -> None:
    """Mill in two parts at another current, and stop."""
    with milling_conditions(microscope, CONDITIONS):
        microscope.milling.draw(SHAPES, CONDITIONS)
        microscope.milling.run(duration_s=3.0, cancel=CancelToken())
        assert microscope.milling.run(cancel=CancelToken()).finished
        microscope.milling.draw(SHAPES, CONDITIONS)
        microscope.milling.run(duration_s=3.0, cancel=CancelToken())
        microscope.milling.stop()


def use_everything(microscope: Microscope) -> None:
    """Use every device of an instrument whose beams are on and unblanked."""
    microscope.state()
    use_stage(microscope)
    use_beams(microscope)
    use_milling(microscope)


def use_other_shapes(microscope: Microscope) -> None:
    """Mill every shape that is no rectangle and that the instrument mills."""
    shapes = [shape for shape in OTHER_SHAPES if shape.kind in microscope.milling.shape_kinds]
    if not shapes:
        return
    with milling_conditions(microscope, CONDITIONS):
        microscope.milling.draw(shapes, CONDITIONS)
        microscope.milling.run(duration_s=3.0, cancel=CancelToken())
        microscope.milling.stop()


def use_manipulator(microscope: Microscope) -> None:
    """Insert the needle, move it and retract it."""
    needle, cancel = microscope.manipulator, CancelToken()
    if needle is None:
        return
    here = needle.insert(ManipulatorPose.WORKING, cancel=cancel)
    needle.move_to(replace(here, x_m=here.x_m + 5e-6), cancel=cancel)
    needle.retract(cancel=cancel)


def use_gas(microscope: Microscope) -> None:
    """Let gas flow through the first line, insert every other one, and coat."""
    gas, cancel = microscope.gas_injection, CancelToken()
    if gas is not None:
        gas.retract(cancel=cancel)
        for line in gas.lines:
            gas.prepare(line, cancel=cancel)
            gas.insert(line, cancel=cancel)
            if line == gas.lines[0]:
                with gas_flow(gas, line):
                    microscope.clock.sleep(1.0)
            gas.retract(cancel=cancel)
    if microscope.sputter_coater is not None:
        microscope.sputter_coater.coat(duration_s=5.0, current_a=0.01, cancel=cancel)


def use_chamber(microscope: Microscope) -> None:
    """Look into the chamber; switch the beams off, vent, pump and switch them on again."""
    cancel = CancelToken()
    if microscope.chamber_camera is not None:
        microscope.chamber_camera.acquire(cancel=cancel)
    if microscope.vacuum is not None:
        microscope.vacuum.pressure_pa()
    sources = [microscope.equipment(beam_type).source for beam_type in BeamType]
    for source in sources:
        if source is not None:
            source.turn_off()
    if microscope.pump is not None:
        microscope.pump.vent(cancel=cancel)
        microscope.pump.pump(cancel=cancel)
    for source in sources:
        if source is not None:
            source.turn_on(cancel=cancel)


def use_equipment(equipment: ColumnEquipment) -> None:
    """Use everything that a column has beyond its beam and its source."""
    cancel = CancelToken()
    if equipment.detectors is not None:
        name = equipment.detectors.available()[-2]
        equipment.detectors.select(name)
        modes = equipment.detectors.modes()
        equipment.detectors.select(name, mode=modes[-1] if modes else None)
        equipment.detectors.set_levels(brightness_fraction=0.4, contrast_fraction=0.6)
    if equipment.auto_focus is not None:
        equipment.auto_focus.focus(cancel=cancel)
    if equipment.stigmator is not None:
        equipment.stigmator.set_stigmation(0.01, -0.02)
    if equipment.presets is not None:
        equipment.presets.activate(equipment.presets.available()[0], cancel=cancel)
    if equipment.live_view is not None:
        equipment.live_view.start(FRAME)
        equipment.live_view.frame(cancel=cancel)
        equipment.live_view.stop()
    if equipment.spot is not None:
        equipment.spot.expose(ImagePoint(1e-6, 2e-6), duration_s=0.5, cancel=cancel)
    if equipment.plasma_source is not None:
        gases = equipment.plasma_source.available_gases()
        equipment.plasma_source.switch_gas(gases[-1], cancel=cancel)


def use_the_rest(microscope: Microscope) -> None:
    """Use every device that `use_everything` leaves out, as far as the instrument has it."""
    use_gas(microscope)
    use_manipulator(microscope)
    use_chamber(microscope)
    for beam_type in BeamType:
        use_equipment(microscope.equipment(beam_type))
    use_other_shapes(microscope)


def assert_safe(microscope: Microscope) -> None:
    """Assert what a safe state promises, as the devices read it."""
    assert microscope.milling.state() is MillingState.IDLE
    for beam_type in BeamType:
        assert microscope.beam(beam_type).is_blanked()
    for needle in (microscope.manipulator, microscope.gas_injection):
        assert needle is None or not needle.is_inserted()
