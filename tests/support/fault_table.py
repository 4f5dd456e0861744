"""One session that uses everything of an instrument, for tables of what happens when a call in it goes wrong.

Any driver on any fake: the session runs through guards, `assert_safe` looks at the devices afterwards.
"""

from __future__ import annotations

from dataclasses import replace

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.hal import (
    CrossSection,
    Microscope,
    MillingSettings,
    MillingState,
    RectangleShape,
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


def assert_safe(microscope: Microscope) -> None:
    """Assert what a safe state promises, as the devices read it."""
    assert microscope.milling.state() is MillingState.IDLE
    for beam_type in BeamType:
        assert microscope.beam(beam_type).is_blanked()
    for needle in (microscope.manipulator, microscope.gas_injection):
        assert needle is None or not needle.is_inserted()
