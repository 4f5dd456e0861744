"""What the declared chain promises, compared with what the images show."""

from __future__ import annotations

import math

import pytest

from fibsem_runtime.contract.instruments import Instrument
from fibsem_runtime.contract.shifts import content_shift
from fibsem_runtime.core import BeamType, CancelToken, Image, ImagePoint, ImageSettings, StagePosition
from fibsem_runtime.hal import safe_route

STAGE_TOLERANCE_M = 1.5e-6
"""Three times the recall error of a good stage (physics.md section 10) and the drift of a minute."""
OFFSET = ImagePoint(12e-6, -8e-6)


def images(instrument: Instrument, frame: ImageSettings) -> dict[BeamType, Image]:
    cancel = CancelToken()
    return {beam: instrument.microscope.beam(beam).acquire(frame, cancel=cancel) for beam in BeamType}


def go_to(instrument: Instrument, target: StagePosition) -> StagePosition:
    reached = instrument.microscope.stage.position()
    for waypoint in safe_route(reached, target):
        reached = instrument.microscope.stage.move_to(waypoint, cancel=CancelToken())
    return reached


def predicted_shift(
    instrument: Instrument, here: StagePosition, there: StagePosition, beam_type: BeamType, scan_rotation_rad: float
) -> ImagePoint:
    """Return how far the chain says that the content moves in an image."""
    point = instrument.kinematics.specimen_point(here)
    before, after = (
        instrument.kinematics.project(point, position, beam_type, scan_rotation_rad=scan_rotation_rad)
        for position in (here, there)
    )
    return after - before


def use_pose(instrument: Instrument, pose: str) -> StagePosition:
    here = instrument.microscope.stage.position()
    if pose == "electron":
        return go_to(instrument, instrument.kinematics.electron_pose(here))
    return go_to(instrument, instrument.kinematics.milling_pose(here, math.radians(20)))


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize("pose", ["electron", "milling"])
@pytest.mark.parametrize("beam_type", list(BeamType))
def test_a_stable_move_centres_what_was_seen_and_keeps_coincidence(
    instrument: Instrument, frame: ImageSettings, beam_type: BeamType, pose: str, turn_rad: float
) -> None:
    for each in BeamType:
        instrument.microscope.beam(each).set_scan_rotation(turn_rad)
    here = use_pose(instrument, pose)
    before = images(instrument, frame)
    offset = OFFSET if beam_type is BeamType.ELECTRON else ImagePoint(OFFSET.x_m, OFFSET.y_m / 2)
    target = instrument.kinematics.stable_move(here, beam_type, offset, scan_rotation_rad=turn_rad)
    there = go_to(instrument, target)
    after = images(instrument, frame)
    moved = content_shift(before[beam_type], after[beam_type])
    assert (moved + offset).length_m < STAGE_TOLERANCE_M
    for each in BeamType:
        expected = predicted_shift(instrument, here, there, each, turn_rad)
        assert (content_shift(before[each], after[each]) - expected).length_m < STAGE_TOLERANCE_M


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize("pose", ["electron", "milling"])
def test_a_vertical_move_brings_the_ion_image_down_and_leaves_the_electron_image(
    instrument: Instrument, frame: ImageSettings, pose: str, turn_rad: float
) -> None:
    for each in BeamType:
        instrument.microscope.beam(each).set_scan_rotation(turn_rad)
    here = use_pose(instrument, pose)
    before = images(instrument, frame)
    go_to(instrument, instrument.kinematics.vertical_move(here, 8e-6, scan_rotation_rad=turn_rad))
    after = images(instrument, frame)
    assert content_shift(before[BeamType.ELECTRON], after[BeamType.ELECTRON]).length_m < STAGE_TOLERANCE_M
    moved = content_shift(before[BeamType.ION], after[BeamType.ION])
    assert (moved - ImagePoint(0.0, -8e-6)).length_m < STAGE_TOLERANCE_M


def test_a_stage_move_and_a_beam_shift_undo_each_other(
    instrument: Instrument, frame: ImageSettings, cancel: CancelToken
) -> None:
    """vendor-geometry.md section 9: they take opposite signs of one offset."""
    here = use_pose(instrument, "electron")
    beam = instrument.microscope.electron_beam
    scan_rotation_rad = beam.settings().scan_rotation_rad
    before = beam.acquire(frame, cancel=cancel)
    offset = ImagePoint(5e-6, 4e-6)
    go_to(
        instrument,
        instrument.kinematics.stable_move(here, BeamType.ELECTRON, offset, scan_rotation_rad=scan_rotation_rad),
    )
    beam.set_shift(beam.settings().shift + offset)
    assert content_shift(before, beam.acquire(frame, cancel=cancel)).length_m < STAGE_TOLERANCE_M


def test_every_pose_can_be_reached_and_is_what_it_says(instrument: Instrument) -> None:
    kinematics = instrument.kinematics
    here = instrument.microscope.stage.position()
    point = kinematics.specimen_point(here)
    reached = go_to(instrument, kinematics.milling_pose(here, math.radians(15)))
    assert math.degrees(kinematics.milling_angle(reached)) == pytest.approx(15, abs=0.2)
    assert kinematics.is_at_coincidence(point, reached, tolerance_m=STAGE_TOLERANCE_M)
    reached = go_to(instrument, kinematics.ion_pose(reached))
    assert abs(math.degrees(kinematics.milling_angle(reached))) == pytest.approx(90, abs=0.2)
    reached = go_to(instrument, kinematics.electron_pose(reached))
    assert kinematics.is_at_coincidence(point, reached, tolerance_m=STAGE_TOLERANCE_M)
