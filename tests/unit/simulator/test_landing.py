"""Landing a lifted block in the simulator: carried to the post, joined to it, cut free of the needle; and mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lift_out_bench as bench
import numpy as np
import pytest
from simulators import no_cancel

from drivers.simulator.bodies import FIRST_PIECE, NEEDLE, Carrier
from drivers.simulator.body_state import EventKind, JointKind
from drivers.simulator.contact import stands
from drivers.simulator.region import region_of
from drivers.simulator.scenery import Layer, look_through
from fibsem_runtime.core import BeamType, ImageSettings
from fibsem_runtime.core.errors import InterlockError
from fibsem_runtime.hal import Microscope

POST = 1


def holders(instrument: Microscope) -> set[int]:
    return bench.machine_of(instrument).world.joined_to(FIRST_PIECE)


def joints(instrument: Microscope) -> list[tuple[JointKind, frozenset[int]]]:
    return [(joint.kind, frozenset(joint.bodies)) for joint in bench.machine_of(instrument).state.world.joints]


def test_a_retracted_needle_takes_the_block_along_and_brings_it_back_as_it_hung(
    welded_folder: Path, tmp_path: Path
) -> None:
    instrument = bench.branch(welded_folder, tmp_path / "one")
    bench.sever(instrument)
    before, error = bench.place_um(instrument) - bench.tip_um(instrument), bench.needle_of(instrument).bias_m
    bench.lift(instrument)
    machine = bench.machine_of(instrument)
    assert all(sight.body.number < NEEDLE for sight in machine.sights(BeamType.ELECTRON))
    bench.go_to_post(instrument)
    bench.insert(instrument)
    assert bench.needle_of(instrument).bias_m != error
    assert bench.place_um(instrument) - bench.tip_um(instrument) == pytest.approx(before, abs=1e-6)
    assert {sight.body.number for sight in machine.sights(BeamType.ELECTRON)} == {POST, NEEDLE, FIRST_PIECE}


def test_the_block_stops_at_the_post_and_is_held_by_both(touching_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(touching_folder, tmp_path / "one")
    machine, needle = bench.machine_of(instrument), bench.needle_of(instrument)
    assert needle.touches == POST
    assert machine.state.world.events[-2].kind is EventKind.CONTACT
    assert machine.state.world.events[-2].other == FIRST_PIECE
    assert holders(instrument) == {POST, NEEDLE}
    # What hangs between them would be torn by a stage that moves, so it does not.
    with pytest.raises(InterlockError, match="manipulator"):
        instrument.stage.move_to(replace(instrument.stage.position(), x_m=0.0), cancel=no_cancel())


def test_a_block_that_only_touches_the_post_leaves_with_the_needle(touching_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(touching_folder, tmp_path / "one")
    bench.retract(instrument)
    assert holders(instrument) == {NEEDLE}
    assert bench.the_piece(instrument).carrier is Carrier.MANIPULATOR
    assert not bench.the_piece(instrument).is_lost


@pytest.mark.parametrize(("depth_um", "stays"), [(0.6, False), (3.0, True)])
def test_a_needle_that_is_pulled_before_it_is_cut_free_leaves_at_the_weaker_weld(
    touching_folder: Path, tmp_path: Path, depth_um: float, stays: bool
) -> None:
    instrument = bench.branch(touching_folder, tmp_path / "one")
    before, from_tip = bench.place_um(instrument), bench.place_um(instrument) - bench.tip_um(instrument)
    bench.weld_to_post(instrument, depth_um=depth_um)
    bench.tip_to(instrument, *(bench.tip_um(instrument) + np.array([-20, 0, 20])))
    assert holders(instrument) == ({POST} if stays else {NEEDLE})
    if stays:
        assert bench.place_um(instrument) == pytest.approx(before, abs=1e-6)
    else:
        assert bench.place_um(instrument) - bench.tip_um(instrument) == pytest.approx(from_tip, abs=0.2)


def test_a_welded_block_that_is_cut_free_stays_on_the_post_and_moves_with_the_stage(
    landed_folder: Path, tmp_path: Path
) -> None:
    instrument = bench.branch(landed_folder, tmp_path / "one")
    piece, machine = bench.the_piece(instrument), bench.machine_of(instrument)
    assert (holders(instrument), piece.carrier, piece.is_lost) == ({POST}, Carrier.STAGE, False)
    assert all(NEEDLE not in bodies for _, bodies in joints(instrument) if FIRST_PIECE in bodies)
    before = piece.pose.outward(np.zeros(3))
    here = instrument.stage.position()
    instrument.stage.move_to(replace(here, x_m=here.x_m + 20e-6, t_rad=here.t_rad + 0.1), cancel=no_cancel())
    assert piece.pose.outward(np.zeros(3)) == pytest.approx(before, abs=1e-15)
    bench.insert(instrument)
    bench.retract(instrument)
    assert holders(instrument) == {POST}
    again = bench.branch(tmp_path / "one", tmp_path / "two")
    assert bench.machine_of(again).state.world == machine.state.world
    assert bench.place_um(again) == pytest.approx(bench.place_um(instrument), abs=1e-9)


def test_a_cut_along_the_weld_lets_the_block_fall(landed_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(landed_folder, tmp_path / "one")
    # Block and post still stand within half a micrometre of where the weld was, a micrometre apart.
    bench.mill(instrument, [bench.rectangle(0.2, 2.3, 1.0, 12, 60)], current_a=0.74e-9)
    assert holders(instrument) == set()
    assert bench.the_piece(instrument).is_lost
    assert (EventKind.LOST, FIRST_PIECE) in bench.events_of(instrument)


def test_a_block_that_is_cut_off_before_it_touches_is_lost(lifted_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(lifted_folder, tmp_path / "one")
    bench.touch_post(instrument, until_um=-12)
    assert holders(instrument) == {NEEDLE}
    bench.mill(instrument, [bench.rectangle(-10.3, 2.3, 1.5, 12, 22)])
    assert bench.the_piece(instrument).is_lost


@pytest.mark.parametrize(("layer_um", "joins"), [(0.5, False), (2.0, True)])
def test_gas_joins_what_its_layer_bridges(lifted_folder: Path, tmp_path: Path, layer_um: float, joins: bool) -> None:
    instrument = bench.branch(lifted_folder, tmp_path / "one")
    bench.insert(instrument)
    # One micrometre before the wall, where `touch_post` makes contact at -10.2 µm.
    for z_um in (20.0, -1.0):
        bench.tip_to(instrument, -11.2, 0, z_um)
    assert holders(instrument) == {NEEDLE}
    bench.deposit_gas(instrument, layer_um)
    assert (POST in holders(instrument)) is joins
    if joins:
        bench.cut_needle_free(instrument)
        bench.retract(instrument)
        assert (holders(instrument), bench.the_piece(instrument).is_lost) == ({POST}, False)


def test_a_piece_is_drawn_as_it_stands(landed_folder: Path, tmp_path: Path) -> None:
    machine = bench.machine_of(bench.branch(landed_folder, tmp_path / "one"))
    for beam_type in BeamType:
        (sight,) = (s for s in machine.sights(beam_type) if s.body.number == FIRST_PIECE)
        layer = Layer(number=FIRST_PIECE, sample=sight.body.sample, view=sight.view)
        seen = look_through([layer], region_of(ImageSettings(width_px=144, height_px=96, hfw_m=30e-6)))
        shown = seen.places[seen.numbers == FIRST_PIECE]
        assert len(shown) > 200
        # Just behind what a pixel shows there is material: no face is drawn that was milled away.
        behind = shown + 0.02e-6 * sight.view.direction
        assert stands(sight.body.sample, behind).mean() > 0.97
