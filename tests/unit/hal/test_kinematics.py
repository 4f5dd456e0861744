"""What holds at any rotation, tilt, pre-tilt and scan rotation, on every kind of stage."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from chains import arctis, tescan, thermo
from hypothesis import assume, given
from hypothesis import strategies as st

from fibsem_runtime.core import BeamType, ImagePoint, SpecimenPosition, StagePosition
from fibsem_runtime.core.errors import MotionError
from fibsem_runtime.hal.chain import KinematicChain
from fibsem_runtime.hal.forward import chamber_view, placement
from fibsem_runtime.hal.kinematics import Kinematics, nearest_turn

SEM, FIB = BeamType.ELECTRON, BeamType.ION
EXACT_M = 1e-12

angles = st.floats(-math.pi, math.pi)
small_m = st.floats(-1e-4, 1e-4)
beams = st.sampled_from(BeamType)


@st.composite
def chains(draw: st.DrawFn) -> KinematicChain:
    return thermo(
        pretilt_deg=draw(st.floats(-10, 45)),
        ion_column_tilt_rad=math.radians(draw(st.floats(50, 56))),
        rotation_reference_rad=draw(angles),
        axis_sign_x=draw(st.sampled_from((-1, 1))),
        axis_sign_y=draw(st.sampled_from((-1, 1))),
        z_sign=draw(st.sampled_from((-1, 1))),
        z_rides_on_tilt=draw(st.booleans()),
        rotation_sign=draw(st.sampled_from((-1, 1))),
        rotation_centre_x_m=draw(small_m),
        rotation_centre_y_m=draw(small_m),
    )


@st.composite
def positions(draw: st.DrawFn) -> StagePosition:
    return StagePosition(
        x_m=draw(st.floats(-5e-3, 5e-3)),
        y_m=draw(st.floats(-5e-3, 5e-3)),
        z_m=draw(st.floats(0.0035, 0.0045)),
        r_rad=draw(angles),
        t_rad=draw(st.floats(math.radians(-40), math.radians(60))),
    )


offsets = st.builds(ImagePoint, small_m, small_m)


def surface_point(
    kinematics: Kinematics, here: StagePosition, beam_type: BeamType, offset: ImagePoint, scan_rotation_rad: float
) -> SpecimenPosition:
    """Return the point of the plane through coincidence along the surface that an image shows at ``offset``."""
    view = kinematics.view(here, beam_type, scan_rotation_rad=scan_rotation_rad)
    point = view.centre_m + offset.x_m * view.right + offset.y_m * view.up
    height_m = kinematics.specimen_point(here).z_m
    point = point + view.towards_column * (height_m - point[2]) / view.towards_column[2]
    return SpecimenPosition(x_m=float(point[0]), y_m=float(point[1]), z_m=float(point[2]))


def sees_steeply(kinematics: Kinematics, here: StagePosition, beam_type: BeamType) -> bool:
    view = kinematics.view(here, beam_type)
    return bool(abs(view.towards_column[2]) > math.sin(math.radians(3)))


@given(chains(), positions(), beams, offsets, angles)
def test_a_stable_move_centres_what_was_seen_in_both_beams(
    chain: KinematicChain, here: StagePosition, beam_type: BeamType, offset: ImagePoint, scan_rotation_rad: float
) -> None:
    kinematics = Kinematics(chain)
    assume(sees_steeply(kinematics, here, beam_type))
    point = surface_point(kinematics, here, beam_type, offset, scan_rotation_rad)
    there = kinematics.stable_move(here, beam_type, offset, scan_rotation_rad=scan_rotation_rad)
    assert kinematics.is_at_coincidence(point, there, tolerance_m=EXACT_M)
    assert (there.r_rad, there.t_rad) == (here.r_rad, here.t_rad)


@given(chains(), positions(), beams, offsets, angles)
def test_a_stable_move_stays_on_the_sample_plane(
    chain: KinematicChain, here: StagePosition, beam_type: BeamType, offset: ImagePoint, scan_rotation_rad: float
) -> None:
    kinematics = Kinematics(chain)
    assume(sees_steeply(kinematics, here, beam_type))
    there = kinematics.stable_move(here, beam_type, offset, scan_rotation_rad=scan_rotation_rad)
    assert kinematics.specimen_point(there).z_m == pytest.approx(kinematics.specimen_point(here).z_m, abs=EXACT_M)


@given(chains(), positions(), beams, offsets, angles)
def test_a_stable_move_there_and_back_returns(
    chain: KinematicChain, here: StagePosition, beam_type: BeamType, offset: ImagePoint, scan_rotation_rad: float
) -> None:
    kinematics = Kinematics(chain)
    assume(sees_steeply(kinematics, here, beam_type))
    there = kinematics.stable_move(here, beam_type, offset, scan_rotation_rad=scan_rotation_rad)
    back = kinematics.stable_move(there, beam_type, -offset, scan_rotation_rad=scan_rotation_rad)
    assert_same(back, here)


@given(
    chains(), positions(), beams, small_m, angles, st.builds(SpecimenPosition, x_m=small_m, y_m=small_m, z_m=small_m)
)
def test_a_vertical_move_changes_one_image_only(
    chain: KinematicChain,
    here: StagePosition,
    seen_in: BeamType,
    offset_y_m: float,
    scan_rotation_rad: float,
    point: SpecimenPosition,
) -> None:
    assume(abs(math.cos(scan_rotation_rad)) > 0.1)
    kinematics = Kinematics(chain)
    other = SEM if seen_in is FIB else FIB
    there = kinematics.vertical_move(here, offset_y_m, scan_rotation_rad=scan_rotation_rad, seen_in=seen_in)
    kept = kinematics.project(point, there, other) - kinematics.project(point, here, other)
    assert kept.length_m < EXACT_M
    before, after = (
        kinematics.project(point, position, seen_in, scan_rotation_rad=scan_rotation_rad) for position in (here, there)
    )
    assert before.y_m - after.y_m == pytest.approx(offset_y_m, abs=EXACT_M)


@given(chains(), positions(), small_m, angles)
def test_a_vertical_move_there_and_back_returns(
    chain: KinematicChain, here: StagePosition, offset_y_m: float, scan_rotation_rad: float
) -> None:
    assume(abs(math.cos(scan_rotation_rad)) > 0.1)
    kinematics = Kinematics(chain)
    there = kinematics.vertical_move(here, offset_y_m, scan_rotation_rad=scan_rotation_rad)
    assert_same(kinematics.vertical_move(there, -offset_y_m, scan_rotation_rad=scan_rotation_rad), here)


@given(chains(), positions(), small_m)
def test_a_height_error_is_repaired_by_one_vertical_move(
    chain: KinematicChain, here: StagePosition, height_m: float
) -> None:
    """What the electron beam has centred and the ion beam sees at y is brought to the centre of both."""
    kinematics = Kinematics(chain)
    view = kinematics.view(here, SEM)
    high = view.centre_m + height_m * view.towards_column
    point = SpecimenPosition(x_m=float(high[0]), y_m=float(high[1]), z_m=float(high[2]))
    offset = kinematics.project(point, here, FIB)
    there = kinematics.vertical_move(here, offset.y_m)
    assert kinematics.is_at_coincidence(point, there, tolerance_m=EXACT_M)


@given(chains(), positions(), st.floats(math.radians(2), math.radians(90)))
def test_milling_pose_and_milling_angle_invert_each_other(
    chain: KinematicChain, here: StagePosition, angle_rad: float
) -> None:
    kinematics = Kinematics(chain)
    t_rad = angle_rad + chain.ion_column_tilt_rad + chain.pretilt_rad - math.pi / 2
    assume(chain.z_rides_on_tilt or abs(math.cos(t_rad)) > 0.1)
    assert kinematics.milling_angle(kinematics.milling_pose(here, angle_rad)) == pytest.approx(angle_rad, abs=1e-7)


@given(chains(), positions())
def test_poses_face_their_beam_and_keep_the_point_at_coincidence(chain: KinematicChain, here: StagePosition) -> None:
    kinematics = Kinematics(chain)
    point = kinematics.specimen_point(here)
    for pose, beam_type in ((kinematics.electron_pose(here), SEM), (kinematics.ion_pose(here), FIB)):
        assert kinematics.view(pose, beam_type).towards_column == pytest.approx(np.array([0, 0, 1]), abs=1e-9)
        assert kinematics.is_at_coincidence(point, pose, tolerance_m=EXACT_M)
    milling = kinematics.milling_pose(here, math.radians(12))
    assert kinematics.is_at_coincidence(point, milling, tolerance_m=EXACT_M)


@given(chains(), positions())
def test_a_pose_of_a_pose_is_itself(chain: KinematicChain, here: StagePosition) -> None:
    kinematics = Kinematics(chain)
    pose = kinematics.electron_pose(here)
    assert_same(kinematics.electron_pose(pose), pose)
    again = kinematics.electron_pose(kinematics.ion_pose(pose))
    assert math.remainder(again.r_rad - pose.r_rad, math.tau) == pytest.approx(0, abs=1e-9)
    assert_same(replace(again, r_rad=pose.r_rad), pose)


@given(angles, st.floats(-2 * math.tau, 2 * math.tau), st.floats(-0.01, 0.01))
def test_turning_half_a_turn_to_and_fro_never_winds_up(reference_rad: float, here_rad: float, noise_rad: float) -> None:
    for _ in range(4):
        here_rad = nearest_turn(reference_rad + math.pi, here_rad) + noise_rad
        here_rad = nearest_turn(reference_rad, here_rad) - noise_rad
    first_rad = here_rad
    for _ in range(4):
        here_rad = nearest_turn(reference_rad + math.pi, here_rad) + noise_rad
        here_rad = nearest_turn(reference_rad, here_rad) - noise_rad
    assert here_rad == pytest.approx(first_rad)
    assert here_rad == pytest.approx(reference_rad - noise_rad)


@given(chains(), positions(), angles)
def test_a_compucentric_rotation_keeps_the_point_and_returns(
    chain: KinematicChain, here: StagePosition, r_rad: float
) -> None:
    kinematics = Kinematics(chain)
    point = kinematics.specimen_point(here)
    there = kinematics.rotate(here, r_rad)
    assert there.r_rad == r_rad
    assert kinematics.is_at_coincidence(point, there, tolerance_m=EXACT_M)
    assert_same(kinematics.rotate(there, here.r_rad), here)


def test_half_a_turn_inverts_x_and_y_about_the_rotation_centre() -> None:
    """vendor-geometry.md section 7: specimen = raw - centre, inverted, back to raw."""
    chain = thermo(pretilt_deg=35, rotation_centre_x_m=40e-6, rotation_centre_y_m=-30e-6)
    here = StagePosition(x_m=1e-3, y_m=2e-3, z_m=0.0042, r_rad=0.0, t_rad=0.0)
    there = Kinematics(chain).rotate(here, math.pi)
    assert (there.x_m, there.y_m, there.z_m) == pytest.approx((-1e-3 + 80e-6, -2e-3 - 60e-6, 0.0042))


@given(chains(), positions(), st.floats(math.radians(5), math.radians(40)))
def test_the_stretch_ratio_is_sine_over_sine(chain: KinematicChain, here: StagePosition, angle_rad: float) -> None:
    kinematics = Kinematics(chain)
    pose = kinematics.milling_pose(here, angle_rad)
    expected = math.sin(angle_rad + chain.ion_column_tilt_rad) / math.sin(angle_rad)
    assert kinematics.ion_stretch_ratio(pose) == pytest.approx(expected)


@given(
    chains(), positions(), beams, st.builds(SpecimenPosition, x_m=small_m, y_m=small_m, z_m=small_m), offsets, angles
)
def test_a_beam_shift_moves_the_content_by_its_own_amount(
    chain: KinematicChain,
    here: StagePosition,
    beam_type: BeamType,
    point: SpecimenPosition,
    shift: ImagePoint,
    scan_rotation_rad: float,
) -> None:
    kinematics = Kinematics(chain)
    still = kinematics.project(point, here, beam_type, scan_rotation_rad=scan_rotation_rad)
    moved = kinematics.project(point, here, beam_type, scan_rotation_rad=scan_rotation_rad, shift=shift)
    assert (moved - still - shift).length_m < EXACT_M


@given(chains(), positions(), beams, angles)
def test_views_are_right_handed_and_undistorted(
    chain: KinematicChain, here: StagePosition, beam_type: BeamType, scan_rotation_rad: float
) -> None:
    view = Kinematics(chain).view(here, beam_type, scan_rotation_rad=scan_rotation_rad)
    assert np.cross(view.right, view.up) == pytest.approx(view.towards_column, abs=1e-12)
    axes = np.stack((view.right, view.up, view.towards_column))
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)


def test_half_a_turn_of_the_scan_inverts_the_image() -> None:
    here = StagePosition(x_m=0, y_m=0, z_m=0.004, r_rad=0.3, t_rad=0.2)
    point = SpecimenPosition(x_m=1e-5, y_m=2e-5, z_m=3e-6)
    kinematics = Kinematics(thermo(pretilt_deg=35))
    for beam_type in BeamType:
        upright = kinematics.project(point, here, beam_type)
        turned = kinematics.project(point, here, beam_type, scan_rotation_rad=math.pi)
        assert (upright + turned).length_m < EXACT_M


def test_the_specimen_frame_is_the_image_frame_at_the_flat_pose() -> None:
    for chain in (thermo(pretilt_deg=35), tescan(pretilt_deg=40), arctis()):
        home = StagePosition(x_m=0, y_m=0, z_m=chain.eucentric_z_m, r_rad=0, t_rad=chain.pretilt_rad)
        kinematics = Kinematics(chain)
        point = SpecimenPosition(x_m=3e-6, y_m=-4e-6, z_m=7e-6)
        assert kinematics.project(point, home, SEM).x_m == pytest.approx(3e-6)
        assert kinematics.project(point, home, SEM).y_m == pytest.approx(-4e-6)
        origin = kinematics.specimen_point(home)
        assert (origin.x_m, origin.y_m, origin.z_m) == pytest.approx((0, 0, 0), abs=EXACT_M)


def test_higher_sample_appears_lower_in_the_ion_image() -> None:
    view = chamber_view(thermo(), FIB)
    assert view.up[2] == pytest.approx(-math.sin(math.radians(52)))
    assert placement(thermo(), StagePosition(x_m=0, y_m=0, z_m=0.005, r_rad=0, t_rad=0)).translation_m[2] > 0


def test_a_view_along_the_surface_is_refused_for_moves_and_for_stretch() -> None:
    kinematics = Kinematics(thermo(pretilt_deg=35))
    here = StagePosition(x_m=0, y_m=0, z_m=0.004, r_rad=0.0, t_rad=math.radians(-2))
    with pytest.raises(MotionError, match=r"ion beam sees the sample at 1.0°, needed are 2.0°.*steeper"):
        kinematics.stable_move(here, FIB, ImagePoint(1e-6, 1e-6))
    with pytest.raises(MotionError, match="ion beam sees"):
        kinematics.ion_stretch_ratio(here)
    assert kinematics.stable_move(here, SEM, ImagePoint(1e-6, 0)).x_m == pytest.approx(1e-6)


def test_beams_that_see_different_faces_have_no_stretch() -> None:
    kinematics = Kinematics(thermo())
    here = StagePosition(x_m=0, y_m=0, z_m=0.004, r_rad=0.0, t_rad=math.radians(-60))
    with pytest.raises(MotionError, match="different faces"):
        kinematics.ion_stretch_ratio(here)


def test_a_vertical_move_is_refused_when_the_scan_hides_it() -> None:
    here = StagePosition(x_m=0, y_m=0, z_m=0.004, r_rad=0.0, t_rad=0.0)
    with pytest.raises(MotionError, match=r"scan rotation of 90.0°.*set the scan rotation"):
        Kinematics(thermo()).vertical_move(here, 1e-6, scan_rotation_rad=math.pi / 2)


def test_parallel_stage_axes_are_refused() -> None:
    here = StagePosition(x_m=0, y_m=0, z_m=0.004, r_rad=0.0, t_rad=math.radians(90))
    with pytest.raises(MotionError, match="parallel"):
        Kinematics(tescan()).vertical_move(here, 1e-6)


def test_a_compustage_keeps_its_rotation_and_is_met_from_behind() -> None:
    kinematics = Kinematics(arctis())
    here = StagePosition(x_m=1e-4, y_m=2e-4, z_m=0.004, r_rad=0.7, t_rad=0.1)
    pose = kinematics.ion_pose(here)
    assert pose.r_rad == 0.7
    assert math.degrees(kinematics.milling_angle(pose)) == pytest.approx(-90)
    assert_same(replace(kinematics.electron_pose(pose), t_rad=here.t_rad), here)


@pytest.mark.parametrize(
    ("reference_deg", "here_deg", "expected_deg"),
    [
        (0, 0, 0),
        (180, 0, 180),
        (0, 180, 0),
        (290, 110, 290),
        (110, 290, 110),
        (0, 180.02, 0),
        (180, -0.02, 180),
        (0, 360.01, 360),
        (290, -70, -70),
        (110, -250, -250),
    ],
)
def test_a_pose_is_reached_the_short_way_without_winding_up(
    reference_deg: float, here_deg: float, expected_deg: float
) -> None:
    r_rad = nearest_turn(math.radians(reference_deg), math.radians(here_deg))
    assert math.degrees(r_rad) == pytest.approx(expected_deg)


def assert_same(found: StagePosition, expected: StagePosition) -> None:
    assert (found.x_m, found.y_m, found.z_m) == pytest.approx((expected.x_m, expected.y_m, expected.z_m), abs=EXACT_M)
    assert (found.r_rad, found.t_rad) == pytest.approx((expected.r_rad, expected.t_rad), abs=1e-12)
