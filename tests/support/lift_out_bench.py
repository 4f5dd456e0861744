"""A small lift-out: a plain block and one post, a needle without insertion error, and ways to mill and to move."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simulators

from drivers.simulator.body_state import EventKind
from drivers.simulator.machine import Machine
from fibsem_runtime.core import CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal import Kinematics, ManipulatorPose, ManipulatorPosition, Microscope
from fibsem_runtime.hal.shapes import MillingSettings, RectangleShape

PLAIN: dict[str, Any] = {"coating_um": 0, "sputter_nm": 0, "roughness_nm": 0, "crystal_count": 0}
SCENE: dict[str, Any] = {
    "kind": "lift-out",
    "block": PLAIN | {"map_width_um": 60, "pitch_um": 0.5, "clump_count": 0, "relief_um": 0, "thickness_um": 20},
    "landing": PLAIN | {"map_width_um": 300, "pitch_um": 1.0, "rib_height_um": 0},
}


def open_bench(folder: Path | None = None) -> Microscope:
    """Open the instrument, alone or in a folder."""
    found = simulators.settings(
        scene=SCENE, handling={"insertion_error_um": 0}, needle={"pitch_um": 1.0, "length_um": 80}
    )
    return simulators.microscope(found, state_directory=folder)


def branch(folder: Path, into: Path) -> Microscope:
    """Open a copy of an instrument on the disk."""
    shutil.copytree(folder, into)
    return open_bench(into)


def machine_of(instrument: Microscope) -> Machine:
    """Return what knows the truth."""
    machine: Machine = instrument.driver.machine  # type: ignore[attr-defined]
    return machine


def events_of(instrument: Microscope) -> list[tuple[EventKind, int]]:
    """Return what has happened to which body."""
    return [(event.kind, event.body) for event in machine_of(instrument).state.world.events]


def rectangle(x_um: float, y_um: float, width_um: float, height_um: float, depth_um: float) -> RectangleShape:
    """Return one rectangle in the ion image."""
    return RectangleShape(
        centre=ImagePoint(x_um * UM, y_um * UM), width_m=width_um * UM, height_m=height_um * UM, depth_m=depth_um * UM
    )


def mill(instrument: Microscope, shapes: Sequence[RectangleShape], *, current_a: float = 7e-9) -> None:
    """Mill a whole pattern at the dose of ice."""
    instrument.ion_beam.set_current(current_a)
    conditions = MillingSettings(
        beam_current_a=current_a,
        voltage_v=30e3,
        hfw_m=80 * UM,
        application="",
        dose_c_per_m3=simulators.ICE_DOSE,
    )
    instrument.milling.draw(list(shapes), conditions)
    instrument.milling.run(cancel=CancelToken())
    instrument.milling.stop()


def trench(instrument: Microscope) -> None:
    """Mill around a block of 14 x 5 µm, flat to the ion beam; it stays attached on the right and below."""
    kinematics = Kinematics(instrument.chain)
    instrument.stage.move_to(kinematics.ion_pose(instrument.stage.position()), cancel=CancelToken())
    # Seen from half a turn away: what is on the right here is on the left where the needle comes from.
    around = [rectangle(3, 5.5, 24, 6, 7), rectangle(3, -5.5, 24, 6, 7), rectangle(11, 0, 8, 5, 7)]
    mill(instrument, around)
    instrument.stage.move_to(kinematics.electron_pose(instrument.stage.position()), cancel=CancelToken())


def undercut(instrument: Microscope) -> None:
    """Mill below the block from the other side, where the ion beam meets the surface at 38°."""
    mill(instrument, [rectangle(-3, 3.9, 25, 2.4, 22)])


def sever(instrument: Microscope) -> None:
    """Cut the block's right end."""
    mill(instrument, [rectangle(6, 0, 2, 14, 22)])


def tip_to(instrument: Microscope, x_um: float, y_um: float, z_um: float) -> None:
    """Send the needle to a place of the chamber."""
    assert instrument.manipulator is not None
    target = ManipulatorPosition(x_m=x_um * UM, y_m=y_um * UM, z_m=z_um * UM)
    instrument.manipulator.move_to(target, cancel=CancelToken())


def tip_um(instrument: Microscope) -> np.ndarray:
    """Return where the tip really is."""
    return np.asarray(machine_of(instrument).tip_m() / UM)


def touch(instrument: Microscope, *, until_um: float = -4.0) -> float:
    """Approach the block's left end in steps of half a micrometre and return how far the needle was sent."""
    assert instrument.manipulator is not None
    instrument.manipulator.insert(ManipulatorPose.WORKING, cancel=CancelToken())
    tip_to(instrument, -9.5, 0, 20)
    tip_to(instrument, -9.5, 0, -0.5)
    x_um = -9.5
    while machine_of(instrument).state.world.needle.touches is None and x_um < until_um:  # type: ignore[union-attr]
        x_um += 0.5
        tip_to(instrument, x_um, 0, -0.5)
    return x_um


def weld(instrument: Microscope, x_um: float) -> None:
    """Mill a weld across the place where the needle touches."""
    mill(instrument, [rectangle(x_um, 0.4, 2, 0.5, 2)], current_a=0.74e-9)


def ion_brightness(instrument: Microscope) -> float:
    """Return the mean gray value of the block's surroundings in the ion image, where no needle is."""
    request = ImageSettings(width_px=96, height_px=64, hfw_m=50e-6, dwell_time_s=20e-6)
    return float(instrument.ion_beam.acquire(request, cancel=CancelToken()).data[:, 64:].mean())
