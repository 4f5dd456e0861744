"""Serial lift-out in the simulator: a block on the adaptor is landed at a mesh again and again, leaving sections.

Sections are welded to one bar only, which methods.md section 9 calls single-sided attachment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import lift_out_bench as bench
import pytest
from simulators import no_cancel

from drivers.simulator.bodies import ADAPTOR, FIRST_PIECE, Body, BodyKind, Carrier
from drivers.simulator.truth import SimulatorTruth
from fibsem_runtime.core import ImageSettings, SpecimenPosition
from fibsem_runtime.core.errors import InterlockError
from fibsem_runtime.hal import Microscope
from fibsem_runtime.hal.truth import ObjectClass

UM = 1e-6
MESH = 1
SCENE = bench.SCENE | {
    "kind": "serial-lift-out",
    "landing": bench.PLAIN | {"map_width_um": 150, "pitch_um": 1.0, "pitch_x_um": 62, "bar_width_um": 22},
}
WALL_UM = 31 - 11
"""Where the wall of the bar on the right of the middle window is."""


def sections(instrument: Microscope) -> list[Body]:
    """Return what was cut off the first piece and is still there, more than the remains beside a cut."""
    machine = bench.machine_of(instrument)
    pieces = [b for b in machine.world.present() if b.kind is BodyKind.PIECE and b.number > FIRST_PIECE]
    return [body for body in pieces if (body.extent_m[1] - body.extent_m[0]).min() > 1 * UM]


def holders(instrument: Microscope, body: Body) -> set[int]:
    return bench.machine_of(instrument).world.joined_to(body.number)


def land(instrument: Microscope, y_um: float, start_um: float) -> None:
    """Bring the block's free end to the bar and weld it there."""
    wall = SpecimenPosition(x_m=6e-3 + WALL_UM * UM, y_m=y_um * UM, z_m=20 * UM)
    bench.go_to(instrument, wall)
    bench.insert(instrument)
    bench.approach(instrument, (start_um, -1.0), until_um=start_um + 8)
    assert bench.needle_of(instrument).touches == MESH
    bench.weld_to_post(instrument)


def cut_section(instrument: Microscope) -> None:
    """Cut the last two micrometres before the bar off the block, less than what is left of it each time."""
    bench.mill(instrument, [bench.rectangle(-2.5, 2.3, 1.2, 12, 22)])


@pytest.fixture(scope="module")
def lifted() -> Iterator[Microscope]:
    """A block on the adaptor of a needle that is out."""
    instrument = bench.open_bench(scene=SCENE, has_adaptor=True, adaptor_um=(4, 5, 4))
    bench.trench(instrument)
    bench.undercut(instrument)
    bench.insert(instrument)
    bench.approach(instrument, (-10.7, -0.5), until_um=-7.0)
    bench.mill(instrument, [bench.rectangle(-7.0, 2.0, 1, 4, 3)], current_a=0.74e-9)
    bench.sever(instrument)
    bench.lift(instrument)
    yield instrument
    instrument.driver.close()


def test_sections_stay_on_the_mesh_and_the_rest_of_the_block_on_the_needle(lifted: Microscope) -> None:
    block = bench.the_piece(lifted)
    assert ADAPTOR in holders(lifted, block)
    for number, (y_um, start_um) in enumerate(((0.0, -18.0), (20.0, -14.0)), start=1):
        land(lifted, y_um, start_um)
        assert {MESH, ADAPTOR} <= holders(lifted, block)
        with pytest.raises(InterlockError, match="manipulator"):
            lifted.stage.move_to(replace(lifted.stage.position(), x_m=0.0), cancel=no_cancel())
        cut_section(lifted)
        image = lifted.electron_beam.acquire(
            ImageSettings(width_px=192, height_px=128, hfw_m=50 * UM), cancel=no_cancel()
        )
        bench.lift(lifted)
        here = sections(lifted)
        assert len(here) == number
        assert all((holders(lifted, one), one.carrier) == ({MESH}, Carrier.STAGE) for one in here)
        assert not block.is_lost
        assert (block.carrier, holders(lifted, block)) == (Carrier.MANIPULATOR, {ADAPTOR})
    shown = {
        one.object_class: one
        for one in SimulatorTruth(machine=bench.machine_of(lifted)).frame(image.metadata.frame_id).objects
    }
    assert shown[ObjectClass.VOLUME_BLOCK].attached_to == ("adaptor",)
    assert shown[ObjectClass.LAMELLA].attached_to == ("receiver",)
    assert {ObjectClass.COPPER_ADAPTOR, ObjectClass.MANIPULATOR, ObjectClass.LANDING_POST} <= set(shown)
