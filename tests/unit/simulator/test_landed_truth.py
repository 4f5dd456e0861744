"""The truth of a lifted block: on the needle, on the post, and polished there."""

from __future__ import annotations

import math
from pathlib import Path

import lift_out_bench as bench
import numpy as np
import pytest
from simulators import no_cancel

from drivers.simulator.truth import SimulatorTruth
from fibsem_runtime.core import BeamType, ImageSettings, PixelPoint, SpecimenPosition
from fibsem_runtime.hal import Microscope
from fibsem_runtime.hal.truth import FrameTruth, LamellaTruth, ObjectClass, ObjectTruth

UM = 1e-6
FRAME = ImageSettings(width_px=192, height_px=128, hfw_m=50 * UM)
MIDDLE_UM = 2.3
"""Height of the landed block's middle in the ion image."""


def truth_of(instrument: Microscope) -> SimulatorTruth:
    return SimulatorTruth(machine=bench.machine_of(instrument))


def frame_of(instrument: Microscope, beam_type: BeamType) -> FrameTruth:
    image = instrument.beam(beam_type).acquire(FRAME, cancel=no_cancel())
    return truth_of(instrument).frame(image.metadata.frame_id)


def lamella_of(frame: FrameTruth) -> ObjectTruth:
    (lamella,) = [one for one in frame.objects if one.object_class is ObjectClass.LAMELLA]
    return lamella


def middle(instrument: Microscope) -> SpecimenPosition:
    piece = bench.the_piece(instrument)
    x_m, y_m, z_m = map(float, piece.pose.outward(piece.extent_m.mean(axis=0)))
    return SpecimenPosition(x_m=x_m, y_m=y_m, z_m=z_m)


def measured(instrument: Microscope) -> LamellaTruth:
    return truth_of(instrument).lamella(middle(instrument))


def polish(instrument: Microscope, spacing_um: float, height_um: float, current_a: float) -> None:
    """Mill from both sides up to the free end of the landed block."""
    shift_um = (spacing_um + height_um) / 2
    shapes = [bench.rectangle(-4.25, MIDDLE_UM + side * shift_um, 5.5, height_um, 14) for side in (1, -1)]
    bench.mill(instrument, shapes, current_a=current_a)


def test_a_block_in_contact_is_seen_held_by_needle_and_post(touching_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(touching_folder, tmp_path / "one")
    frame = frame_of(instrument, BeamType.ELECTRON)
    lamella = lamella_of(frame)
    assert lamella.attached_to == ("posts", "needle")
    assert {one.object_class for one in frame.objects} == {
        ObjectClass.LAMELLA,
        ObjectClass.MANIPULATOR,
        ObjectClass.LANDING_POST,
    }
    pixel_um = FRAME.pixel_size_m / UM
    left, right = (lamella.key_points[f"Lamella{side}Edge"].point.x_px for side in ("Left", "Right"))
    tip = frame.key_points["NeedleTip"].point.x_px
    # The tip covers the block's left end; the right one is at the wall of the post, in the middle of the image.
    assert left == pytest.approx(tip, abs=1.5)
    assert (right - FRAME.width_px / 2) * pixel_um == pytest.approx(0.3, abs=0.4)
    assert all(lamella.key_points[f"Lamella{place}"].is_visible for place in ("Centre", "LeftEdge", "RightEdge"))


def test_a_frame_keeps_what_held_the_block_when_it_was_taken(touching_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(touching_folder, tmp_path / "one")
    image = instrument.electron_beam.acquire(FRAME, cancel=no_cancel())
    bench.retract(instrument)
    assert lamella_of(truth_of(instrument).frame(image.metadata.frame_id)).attached_to == ("posts", "needle")
    bench.insert(instrument)
    again = bench.branch(tmp_path / "one", tmp_path / "two")
    assert lamella_of(frame_of(again, BeamType.ELECTRON)).attached_to == ("needle",)


def test_a_pixel_of_the_block_on_the_needle_is_a_place_on_the_block(touching_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(touching_folder, tmp_path / "one")
    image = instrument.electron_beam.acquire(FRAME, cancel=no_cancel())
    truth = truth_of(instrument)
    centre = truth.frame(image.metadata.frame_id).key_points["LamellaCentre"].point
    seen = truth.specimen_point(image.metadata.frame_id, centre)
    piece = bench.the_piece(instrument)
    at = piece.pose.inward(np.array([seen.x_m, seen.y_m, seen.z_m]))
    assert at[2] == pytest.approx(float(piece.extent_m[1, 2]), abs=0.2 * UM)


def test_a_landed_block_that_is_polished_is_as_thin_as_it_was_milled(landed_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(landed_folder, tmp_path / "one")
    assert measured(instrument).attached_to == ("posts",)
    polish(instrument, 1.2, 3.0, 0.3e-9)
    polish(instrument, 0.5, 0.6, 60e-12)
    truth = measured(instrument)
    # Milled to 500 nm; the probe of 60 pA takes some 20 nm of each face (test_protocol_mistakes.py).
    assert truth.thickness_m == pytest.approx(0.46 * UM, abs=0.02 * UM)
    assert truth.thickness_min_m is not None and truth.thickness_min_m > 0.4 * UM
    assert truth.attached_to == ("posts",)
    assert truth.offset is not None
    lamella = lamella_of(frame_of(instrument, BeamType.ION))
    assert lamella.thickness_m == pytest.approx(truth.thickness_m, abs=1e-9)
    assert lamella.attached_to == ("posts",)
    centre = lamella.key_points["LamellaCentre"].point
    assert (FRAME.height_px / 2 - centre.y_px) * FRAME.pixel_size_m == pytest.approx(MIDDLE_UM * UM, abs=0.15 * UM)
    undamaged_m = truth_of(instrument).undamaged_thickness_m(middle(instrument))
    assert undamaged_m is not None and not math.isclose(undamaged_m, truth.thickness_m or 0.0)


def test_where_the_block_was_there_is_no_lamella_any_more(lifted_folder: Path, tmp_path: Path) -> None:
    instrument = bench.branch(lifted_folder, tmp_path / "one")
    bench.go_to_block(instrument)
    image = instrument.electron_beam.acquire(FRAME, cancel=no_cancel())
    truth, middle = truth_of(instrument), PixelPoint(FRAME.width_px / 2, FRAME.height_px / 2)
    assert truth.specimen_point(image.metadata.frame_id, middle).z_m < 15 * UM
    assert truth.frame(image.metadata.frame_id).objects == ()
