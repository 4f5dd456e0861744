"""Fake TESCAN instruments with a small sample, reached through either driver, and sessions that use all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import sharksem_bench
import simulators
import tescan_bench
from sharksem.server import SharkServer
from tescan.instrument import Instrument

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.hal import (
    CrossSection,
    DriverPlugin,
    GuardSettings,
    Microscope,
    MillingSettings,
    RectangleShape,
    guard,
)

NAMES = ("tescan", "sharksem")

FRAME = ImageSettings(width_px=48, height_px=32, hfw_m=40e-6)
CONDITIONS = MillingSettings(beam_current_a=0.1e-9, voltage_v=30e3, hfw_m=40e-6, application="ice", dose_c_per_m3=2e8)
SHAPES = (
    RectangleShape(centre=ImagePoint(0.0, 1.5e-6), width_m=2e-6, height_m=1e-6, depth_m=1e-6),
    RectangleShape(
        centre=ImagePoint(0.0, -1.5e-6), width_m=2e-6, height_m=1e-6, depth_m=1e-6, cross_section=CrossSection.CLEANING
    ),
)
"""Eight seconds of beam time under `CONDITIONS`."""

SMALL: dict[str, Any] = {
    "scene": simulators.SCENE,
    "disturbances": {name: {"enabled": False} for name in simulators.DISTURBANCES},
}


@dataclass(kw_only=True)
class Rig:
    """One fake instrument and the driver that reaches it."""

    name: str
    fake: Instrument
    plugin: DriverPlugin
    settings: dict[str, Any]
    server: SharkServer | None

    def open(self, **changes: Any) -> Microscope:
        """Open the driver, no guards around it; ``changes`` are merged into the settings' sections."""
        values = dict(self.settings)
        for name, change in changes.items():
            values[name] = {**values.get(name, {}), **change} if isinstance(change, dict) else change
        return self.plugin.open(self.plugin.settings_model.model_validate(values), seed=0, state_directory=None)

    @contextmanager
    def opened(self, **changes: Any) -> Iterator[Microscope]:
        """Open the driver and close it afterwards."""
        microscope = self.open(**changes)
        try:
            yield microscope
        finally:
            self.fake.faults.release()
            microscope.driver.close()


@contextmanager
def rig(name: str) -> Iterator[Rig]:
    """Build a fresh instrument and the way to it."""
    fake = Instrument(simulator_settings=SMALL)
    with ExitStack() as stack:
        if name == "tescan":
            plugin: Any = stack.enter_context(tescan_bench.on_the_bench(fake))
            settings, server = tescan_bench.sdk_settings(), None
        else:
            plugin, server = stack.enter_context(sharksem_bench.serving(fake))
            settings = sharksem_bench.shark_settings(server)
        yield Rig(name=name, fake=fake, plugin=plugin, settings=settings, server=server)


def guarded(microscope: Microscope) -> Microscope:
    """Put the guards around it."""
    return guard(microscope, GuardSettings())


def use_beams(microscope: Microscope) -> None:
    """Change every setting that TESCAN has and take frames, whole and in part."""
    for beam_type in BeamType:
        beam = microscope.beam(beam_type)
        beam.set_blanked(blanked=False)
        beam.set_shift(ImagePoint(1e-6, -2e-6))
        beam.set_scan_rotation(0.0)
        beam.set_voltage(beam.settings().voltage_v)
        beam.set_current(beam.available_currents_a[2])
        beam.auto_contrast(cancel=CancelToken())
        beam.acquire(FRAME, cancel=CancelToken())
        beam.set_blanked(blanked=True)
        beam.set_blanked(blanked=False)
    electron = microscope.electron_beam
    electron.set_working_distance(electron.settings().working_distance_m + 5e-6)


def mill(microscope: Microscope) -> None:
    """Mill in two parts, then begin again and stop."""
    microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
    microscope.milling.draw(SHAPES, CONDITIONS)
    microscope.milling.run(duration_s=3.0, cancel=CancelToken())
    assert microscope.milling.run(cancel=CancelToken()).finished
    microscope.milling.draw(SHAPES, CONDITIONS)
    microscope.milling.run(duration_s=3.0, cancel=CancelToken())
    microscope.milling.stop()


def retract(fake: Instrument, microscope: Microscope) -> None:
    """Retract needles that stand near the sample, with a valve left open."""
    fake.manipulator.place_mm = (0.0, 0.0, 5.85)
    fake.gas["Pt"].position = "Working"
    fake.gas["Pt"].valve_is_open = True
    for needle in (microscope.gas_injection, microscope.manipulator):
        if needle is not None:
            needle.retract(cancel=CancelToken())
