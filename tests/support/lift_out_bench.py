"""A small lift-out: a plain block and one post, a needle that is never quite where it says, ways to mill and move."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simulators

from drivers.simulator.bodies import FIRST_PIECE, Body
from drivers.simulator.body_state import EventKind, NeedleState
from drivers.simulator.joints import place_in_chamber
from drivers.simulator.machine import Machine
from fibsem_runtime.core import CancelToken, ImagePoint, ImageSettings, SpecimenPosition
from fibsem_runtime.core.units import NM, UM
from fibsem_runtime.hal import Kinematics, ManipulatorPose, ManipulatorPosition, Microscope
from fibsem_runtime.hal.shapes import MillingSettings, RectangleShape

PLAIN: dict[str, Any] = {"coating_um": 0, "sputter_nm": 0, "roughness_nm": 0, "crystal_count": 0}
POST_WIDTH_UM, POST_HEIGHT_UM = 65.0, 24.0
SCENE: dict[str, Any] = {
    "kind": "lift-out",
    "block": PLAIN | {"map_width_um": 60, "pitch_um": 0.5, "clump_count": 0, "relief_um": 0, "thickness_um": 20},
    "landing": PLAIN | {"map_width_um": 300, "pitch_um": 1.0, "rib_height_um": 0},
}


def open_bench(folder: Path | None = None, *, scene: dict[str, Any] = SCENE, **needle: Any) -> Microscope:
    """Open the instrument, alone or in a folder, with settings of its needle."""
    found = simulators.settings(scene=scene, needle={"pitch_um": 1.0, "length_um": 80} | needle)
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
    """Send the tip to a place of the chamber, as somebody does who sees how far it is off."""
    needle = needle_of(instrument)
    x_m, y_m, z_m = map(float, np.array([x_um, y_um, z_um]) * UM - needle.bias_m)
    assert instrument.manipulator is not None
    instrument.manipulator.move_to(ManipulatorPosition(x_m=x_m, y_m=y_m, z_m=z_m), cancel=CancelToken())


def needle_of(instrument: Microscope) -> NeedleState:
    """Return the state of the needle."""
    needle = machine_of(instrument).state.world.needle
    assert needle is not None
    return needle


def tip_um(instrument: Microscope) -> np.ndarray:
    """Return where the tip really is."""
    return np.asarray(machine_of(instrument).tip_m() / UM)


def touch(instrument: Microscope, *, until_um: float = -4.0) -> float:
    """Approach the block's left end in steps of half a micrometre and return how far the needle was sent."""
    insert(instrument)
    return approach(instrument, (-9.5, -0.5), until_um=until_um)


def insert(instrument: Microscope) -> None:
    """Bring the needle in."""
    assert instrument.manipulator is not None
    instrument.manipulator.insert(ManipulatorPose.WORKING, cancel=CancelToken())


def retract(instrument: Microscope) -> None:
    """Take the needle out."""
    assert instrument.manipulator is not None
    instrument.manipulator.retract(cancel=CancelToken())


def approach(instrument: Microscope, start_um: tuple[float, float], *, until_um: float) -> float:
    """Go down at x and z of ``start_um``, on in steps of half a micrometre to a contact; return how far it was sent."""
    x_um, z_um = start_um
    tip_to(instrument, x_um, 0, 20)
    tip_to(instrument, x_um, 0, z_um)
    while needle_of(instrument).touches is None and x_um < until_um:
        x_um += 0.5
        tip_to(instrument, x_um, 0, z_um)
    return x_um


def weld(instrument: Microscope, x_um: float) -> None:
    """Mill a weld across the place where the needle touches."""
    mill(instrument, [rectangle(x_um, 0.4, 2, 0.5, 2)], current_a=0.74e-9)


def lift(instrument: Microscope) -> None:
    """Raise the tip with what hangs on it by 20 µm and take it out."""
    tip_to(instrument, *(tip_um(instrument) + np.array([0, 0, 20])))
    retract(instrument)


def go_to_post(instrument: Microscope) -> None:
    """Bring the left wall of the post in the middle to coincidence, flat to the electron beam."""
    wall_m = 6e-3 - POST_WIDTH_UM / 2 * UM
    go_to(instrument, SpecimenPosition(x_m=wall_m, y_m=-60 * UM, z_m=POST_HEIGHT_UM * UM))


def go_to_block(instrument: Microscope) -> None:
    """Bring the place that was trenched to coincidence, flat to the electron beam."""
    go_to(instrument, SpecimenPosition(x_m=0.0, y_m=0.0, z_m=20 * UM))


def go_to(instrument: Microscope, place: SpecimenPosition) -> None:
    """Bring a place to coincidence, flat to the electron beam."""
    kinematics, here = Kinematics(instrument.chain), instrument.stage.position()
    instrument.stage.move_to(kinematics.centre_on(place, kinematics.electron_pose(here)), cancel=CancelToken())


def touch_post(instrument: Microscope, *, until_um: float = -8.0) -> float:
    """Bring the block on the needle to the post's wall, its upper face just below the post's."""
    insert(instrument)
    return approach(instrument, (-14.0, -1.0), until_um=until_um)


def weld_to_post(instrument: Microscope, *, depth_um: float = 3.0) -> None:
    """Mill a weld between the block's right end and the post."""
    mill(instrument, [rectangle(0.3, 2.3, 1, 6, depth_um)], current_a=0.74e-9)


def cut_needle_free(instrument: Microscope) -> None:
    """Cut the block's left end right beside the tip."""
    mill(instrument, [rectangle(-8.3, 2.3, 1.5, 12, 22)])


def deposit_gas(instrument: Microscope, layer_um: float) -> None:
    """Let a layer of platinum grow."""
    gas, machine = instrument.gas_injection, machine_of(instrument)
    assert gas is not None
    (line,) = gas.lines
    gas.prepare(line, cancel=CancelToken())
    gas.insert(line, cancel=CancelToken())
    gas.open_valve(line)
    machine.spend(layer_um * UM / (machine.settings.processes.deposition.gas_nm_per_s * NM))
    gas.close_valve(line)
    gas.retract(cancel=CancelToken())


def the_piece(instrument: Microscope) -> Body:
    """Return the block that was lifted out, the first piece."""
    return machine_of(instrument).world.bodies[FIRST_PIECE]


def place_um(instrument: Microscope) -> np.ndarray:
    """Return where in the chamber the middle of the block's box is."""
    piece = the_piece(instrument)
    return np.asarray(place_in_chamber(machine_of(instrument), piece).outward(piece.extent_m.mean(axis=0)) / UM)


def ion_brightness(instrument: Microscope) -> float:
    """Return the mean gray value of the block's surroundings in the ion image, where no needle is."""
    request = ImageSettings(width_px=96, height_px=64, hfw_m=50e-6, dwell_time_s=20e-6)
    return float(instrument.ion_beam.acquire(request, cancel=CancelToken()).data[:, 64:].mean())


def electron_frame(instrument: Microscope) -> np.ndarray:
    """Return a small electron frame as float64."""
    request = ImageSettings(width_px=96, height_px=64, hfw_m=30e-6, dwell_time_s=20e-6)
    return np.asarray(instrument.electron_beam.acquire(request, cancel=CancelToken()).data, np.float64)
