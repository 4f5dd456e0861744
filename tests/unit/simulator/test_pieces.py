"""Milling divides a sample into pieces: what hangs together with nothing is found, taken out and hidden, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from ice_blocks import ice_block, mill_all, milling_view, rectangle, trenches, view_from_above

from drivers.simulator.columns import lay_out_terrain
from drivers.simulator.lamella import measure_lamella
from drivers.simulator.pieces import Piece, find_pieces
from drivers.simulator.rays import lay_out_cuts
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.survey import standing
from fibsem_runtime.core import SpecimenPosition

TARGET = SpecimenPosition(x_m=0.0, y_m=0.0, z_m=2.5e-6)
VIEW = milling_view((0.0, 0.0, 2.5e-6))


def stands(sample: Sample, points: np.ndarray) -> np.ndarray:
    everywhere = Cut(
        origin=np.zeros(3),
        axes=np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]]),
        u0_m=-1e-4,
        du_m=2e-4,
        v0_m=-1e-4,
        dv_m=2e-4,
        front_m=np.full((2, 2), -np.inf, np.float32),
    )
    terrain = lay_out_terrain(sample)
    return np.asarray(standing(points, terrain, lay_out_cuts(sample.cuts, everywhere, terrain)))


def roughed() -> Sample:
    block = ice_block(2.5e-6, film_m=12e-9)
    mill_all(block, trenches(spacing_um=1.6, height_um=3.0, depth_um=24), VIEW, current_a=0.3e-9)
    return block


def cut_side(block: Sample, x_m: float, *, height_m: float = 4e-6, depth_m: float = 24e-6) -> None:
    side = rectangle(x_m=x_m, width_m=1e-6, height_m=height_m, depth_m=depth_m)
    mill_all(block, [side], VIEW, current_a=0.3e-9)


def severed() -> tuple[Sample, Piece]:
    block = roughed()
    cut_side(block, -2.5e-6)
    cut_side(block, 2.5e-6)
    (piece,) = find_pieces(block, block.cuts)
    return block, piece


def test_a_slab_that_is_held_is_no_piece() -> None:
    block = roughed()
    assert find_pieces(block, block.cuts) == []
    cut_side(block, -2.5e-6)
    assert find_pieces(block, block.cuts) == []


def test_one_bridge_is_enough_to_hold_it() -> None:
    block = roughed()
    cut_side(block, -2.5e-6)
    cut_side(block, 2.5e-6, height_m=1.3e-6)
    assert find_pieces(block, block.cuts) == []


def test_a_bridge_that_is_not_milled_through_holds_it() -> None:
    block = roughed()
    cut_side(block, -2.5e-6)
    cut_side(block, 2.5e-6, depth_m=5e-6)
    assert find_pieces(block, block.cuts) == []
    cut_side(block, 2.5e-6, depth_m=20e-6)
    assert len(find_pieces(block, block.cuts)) == 1


def test_every_point_stands_in_exactly_one_of_piece_and_rest() -> None:
    block, piece = severed()
    points = np.random.default_rng(1).uniform((-4e-6, -4e-6, 0), (4e-6, 14e-6, 2.5e-6), (20_000, 3))
    before = stands(block, points)
    block.cuts.append(piece.hiding)
    rest, own = stands(block, points), stands(piece.sample, points)
    assert not (rest & own).any()
    assert (rest | own)[before].mean() > 0.9999
    assert not (rest | own)[~before].any()
    assert own.sum() > 500


def test_the_piece_has_the_faces_that_it_was_milled_to_have() -> None:
    block, piece = severed()
    z = np.linspace(0.5e-6, 2.4e-6, 7)
    down = np.linspace(-1e-6, 1e-6, 4001)
    for height_m in z:
        line = np.stack([np.zeros_like(down), down + 5e-6, np.full_like(down, height_m)], axis=1)
        assert np.array_equal(stands(block, line), stands(piece.sample, line))


def test_where_the_piece_was_no_lamella_is_left_and_nothing_is_loose() -> None:
    block, piece = severed()
    assert measure_lamella(block, TARGET, VIEW).attached_to == ()
    block.cuts.append(piece.hiding)
    assert measure_lamella(block, TARGET, VIEW).offset is None
    assert find_pieces(block, block.cuts) == []


def test_trenches_alone_do_not_free_a_block_that_has_no_undercut() -> None:
    block = ice_block(10e-6)
    around = [
        rectangle(y_m=4e-6, width_m=10e-6, height_m=3e-6, depth_m=5e-6),
        rectangle(y_m=-4e-6, width_m=10e-6, height_m=3e-6, depth_m=5e-6),
        rectangle(x_m=-4e-6, width_m=2e-6, height_m=8e-6, depth_m=5e-6),
        rectangle(x_m=4e-6, width_m=2e-6, height_m=8e-6, depth_m=5e-6),
    ]
    mill_all(block, around, view_from_above(), current_a=1e-9)
    assert find_pieces(block, block.cuts) == []
    undercut = milling_view((0.0, -2.5e-6, 7.8e-6), angle_deg=30)
    mill_all(block, [rectangle(width_m=10e-6, height_m=1.5e-6, depth_m=14e-6)], undercut, current_a=1e-9)
    (piece,) = find_pieces(block, block.cuts)
    assert piece.box_m[1] - piece.box_m[0] == pytest.approx((6e-6, 5e-6, 4e-6), abs=1.2e-6)
