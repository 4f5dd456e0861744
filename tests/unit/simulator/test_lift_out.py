"""A lift-out in the simulator: contact, weld, sever, carry; and what each mistake on the way leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lift_out_bench as bench
import numpy as np
import pytest
from simulators import no_cancel

from drivers.simulator.bodies import Carrier
from drivers.simulator.body_state import EventKind, JointKind
from drivers.simulator.contact import stands
from fibsem_runtime.hal import Microscope


def block_stands(instrument: Microscope) -> np.ndarray:
    """Tell where the block's material stands in its first body, on a fine line across and along it."""
    sample = bench.machine_of(instrument).world.bodies[0].sample
    x, y, z = (a.ravel() for a in np.meshgrid(np.linspace(-8e-6, 8e-6, 81), [0.0, 1e-6], [19e-6, 19.5e-6]))
    return stands(sample, np.stack([x, y, z], axis=1))


def block_end_stands(instrument: Microscope) -> np.ndarray:
    """Tell where the block's left end stands, on a raster of 0.2 µm."""
    axes = [np.arange(low, high, 0.2) * 1e-6 for low, high in ((-8, -2), (-3, 3), (14, 20))]
    points = np.stack([a.ravel() for a in np.meshgrid(*axes)], axis=1)
    return stands(bench.machine_of(instrument).world.bodies[0].sample, points)


def test_the_tip_stops_where_it_touches_follows_less_than_half_and_the_image_brightens(
    undercut_folder: Path, tmp_path: Path
) -> None:
    instrument = bench.branch(undercut_folder, tmp_path / "one")
    before = bench.ion_brightness(instrument)
    sent_um = bench.touch(instrument)
    assert bench.ion_brightness(instrument) > 1.2 * before
    needle = bench.needle_of(instrument)
    assert needle.contact_m is not None
    beyond_um = sent_um - needle.contact_m[0] * 1e6
    assert 0 < beyond_um < 0.6
    assert bench.tip_um(instrument)[0] - needle.contact_m[0] * 1e6 == pytest.approx(0.3 * beyond_um, abs=0.01)
    assert bench.events_of(instrument)[0] == (EventKind.CONTACT, 0)
    assert not needle.is_damaged


def test_pushing_on_is_a_crash_that_leaves_its_mark(undercut_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(undercut_folder, tmp_path / "one")
    sent_um = bench.touch(instrument)
    contact_um = bench.tip_um(instrument)
    whole = block_end_stands(instrument)
    bench.tip_to(instrument, sent_um + 4, 0, -0.5)
    assert bench.needle_of(instrument).is_damaged
    assert (EventKind.CRASH, 0) in bench.events_of(instrument)
    pushed_um = float(bench.tip_um(instrument)[0] - contact_um[0])
    assert pushed_um > 1
    # The ball of the tip stands in the block; it is wider than what it took from the block's end.
    lost_um3 = (whole & ~block_end_stands(instrument)).sum() * 0.2**3
    assert 1 < lost_um3 < 4 * pushed_um * 5
    bench.retract(instrument)
    again = bench.branch(tmp_path / "one", tmp_path / "two")
    assert np.array_equal(block_end_stands(again), block_end_stands(instrument))
    careful = bench.branch(undercut_folder, tmp_path / "three")
    bench.touch(careful)
    bench.retract(careful)
    # The same frame number has the same noise: what differs is the dent and the light in it.
    changed = np.abs(bench.electron_frame(instrument) - bench.electron_frame(careful)) > 20
    assert 10 < changed.sum() < 300


def test_a_needle_that_is_inserted_into_the_sample_dents_it(undercut_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(undercut_folder, tmp_path / "one")
    here = instrument.stage.position()
    # The surface up to where the working position is: 25 µm to the left of coincidence and 25 µm above it.
    higher = replace(here, z_m=here.z_m + 26e-6 * np.cos(here.t_rad), y_m=here.y_m + 26e-6 * np.sin(here.t_rad))
    instrument.stage.move_to(higher, cancel=no_cancel())
    machine = bench.machine_of(instrument)
    count = len(machine.sample.cuts)
    bench.insert(instrument)
    assert EventKind.CRASH in [kind for kind, _ in bench.events_of(instrument)]
    assert len(machine.sample.cuts) == count + 1


def test_retracting_before_the_sever_tears_nothing_and_frees_nothing(welded_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(welded_folder, tmp_path / "one")
    machine = bench.machine_of(instrument)
    assert JointKind.WELD in [joint.kind for joint in machine.state.world.joints]
    before = block_stands(instrument)
    assert before.any()
    bench.retract(instrument)
    assert np.array_equal(block_stands(instrument), before)
    assert machine.state.world.pieces == []
    assert machine.state.world.joints == []
    kinds = [kind for kind, _ in bench.events_of(instrument)]
    assert EventKind.FREED not in kinds
    assert EventKind.LOST not in kinds


def test_after_the_sever_the_needle_carries_the_block_away(welded_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(welded_folder, tmp_path / "one")
    machine = bench.machine_of(instrument)
    bench.sever(instrument)
    (piece,) = machine.state.world.pieces
    body = machine.world.bodies[piece.number]
    assert (body.carrier, body.is_lost) == (Carrier.MANIPULATOR, False)
    there = machine.world.place_of(body, machine.chamber(), machine.tip_m()).outward(np.zeros(3))
    tip_um = bench.tip_um(instrument)
    bench.tip_to(instrument, *(tip_um + np.array([0, 0, 20])))
    moved = machine.world.place_of(body, machine.chamber(), machine.tip_m()).outward(np.zeros(3))
    assert (moved - there) * 1e6 == pytest.approx(bench.tip_um(instrument) - tip_um, abs=0.05)
    assert not body.is_lost
    again = bench.machine_of(bench.branch(tmp_path / "one", tmp_path / "two"))
    assert again.world.bodies[piece.number].carrier is Carrier.MANIPULATOR
    assert again.state.world == machine.state.world


def test_severing_before_the_weld_loses_the_block(undercut_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(undercut_folder, tmp_path / "one")
    bench.sever(instrument)
    assert [kind for kind, _ in bench.events_of(instrument)] == [EventKind.FREED, EventKind.LOST]
    assert not block_stands(instrument)[81:].all()
