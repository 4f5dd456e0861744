"""The machine's own geometry: against the published vectors, and against the runtime's independent solver."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.simulator.projection import Errors, column_rays, rotation_matrix, to_specimen
from drivers.simulator.settings import GeometrySettings
from drivers.simulator.view import View
from fibsem_runtime.core import BeamType, ImagePoint, SpecimenPosition, StagePosition
from fibsem_runtime.hal.kinematics import Kinematics

CHAIN = GeometrySettings().chain()
UM = 1e-6
NO_SHIFT = ImagePoint(0.0, 0.0)


def pose(t_deg: float, r_deg: float = 0.0) -> StagePosition:
    return StagePosition(
        x_m=0.0, y_m=0.0, z_m=CHAIN.eucentric_z_m, r_rad=math.radians(r_deg), t_rad=math.radians(t_deg)
    )


def moved(position: StagePosition, y_um: float, z_um: float) -> StagePosition:
    return replace(position, y_m=position.y_m + y_um * UM, z_m=position.z_m + z_um * UM)


def view(
    position: StagePosition,
    beam_type: BeamType,
    *,
    scan_rotation_rad: float = 0.0,
    shift: ImagePoint = NO_SHIFT,
    errors: Errors | None = None,
) -> View:
    rays = column_rays(CHAIN, beam_type, scan_rotation_rad=scan_rotation_rad, content_shift=shift)
    return to_specimen(CHAIN, rays, position, errors or Errors())


def project(seen: View, point: np.ndarray) -> tuple[float, float]:
    offset = point - seen.origin
    return float(offset @ seen.right), float(offset @ seen.up)


@pytest.mark.parametrize(
    ("t_deg", "r_deg", "beam_type", "dy_um", "dz_um"),
    [
        (35, 0, BeamType.ELECTRON, 8.1915, -5.7358),
        (35, 0, BeamType.ION, 13.3052, -9.3164),
        (12, 0, BeamType.ELECTRON, 8.8989, -6.2311),
        (12, 0, BeamType.ION, 31.6496, -22.1613),
        (17, 180, BeamType.ELECTRON, 13.3052, 9.3164),
        (17, 180, BeamType.ION, 8.1915, 5.7358),
    ],
)
def test_the_published_stable_moves_centre_what_was_10_um_above_the_centre(
    t_deg: float, r_deg: float, beam_type: BeamType, dy_um: float, dz_um: float
) -> None:
    before = view(pose(t_deg, r_deg), beam_type)
    # The film point that this beam shows 10 µm above the centre.
    start = before.origin + 10 * UM * before.up
    on_film = start - start[2] / before.direction[2] * before.direction
    assert project(before, on_film) == pytest.approx((0.0, 10 * UM), abs=1e-12)
    after = moved(pose(t_deg, r_deg), dy_um, dz_um)
    for either in BeamType:
        assert project(view(after, either), on_film) == pytest.approx((0.0, 0.0), abs=2e-9)


@pytest.mark.parametrize(
    ("t_deg", "dy_um", "dz_um"),
    [(0, 0, 12.6902), (12, 2.6384, 12.4129), (-23, -4.9584, 11.6814), (52, 10.0, 7.8129)],
)
def test_the_published_vertical_moves_lower_10_um_of_the_ion_image_and_keep_the_electron_image(
    t_deg: float, dy_um: float, dz_um: float
) -> None:
    point = np.array([1e-6, 2e-6, 3e-6])
    here, there = pose(t_deg), moved(pose(t_deg), dy_um, dz_um)
    before, after = (project(view(p, BeamType.ION), point) for p in (here, there))
    assert after == pytest.approx((before[0], before[1] - 10 * UM), abs=2e-9)
    before, after = (project(view(p, BeamType.ELECTRON), point) for p in (here, there))
    assert after == pytest.approx(before, abs=2e-9)


def test_the_poses_see_the_surface_at_the_published_angles() -> None:
    assert view(pose(35), BeamType.ELECTRON).direction == pytest.approx([0, 0, -1])
    assert view(pose(17, 180), BeamType.ION).direction == pytest.approx([0, 0, -1])
    milling = view(pose(12), BeamType.ION).direction
    assert math.degrees(math.asin(-milling[2])) == pytest.approx(15.0)


def test_the_specimen_frame_is_the_electron_image_of_the_flat_pose() -> None:
    flat = view(pose(35), BeamType.ELECTRON)
    assert flat.origin == pytest.approx([0, 0, 0], abs=1e-15)
    assert flat.right == pytest.approx([1, 0, 0])
    assert flat.up == pytest.approx([0, 1, 0])


coordinates = st.floats(min_value=-200e-6, max_value=200e-6)
poses = st.builds(
    StagePosition,
    x_m=coordinates,
    y_m=coordinates,
    z_m=coordinates.map(lambda z_m: CHAIN.eucentric_z_m + z_m),
    r_rad=st.floats(min_value=-math.tau, max_value=math.tau),
    t_rad=st.floats(min_value=math.radians(-10), max_value=math.radians(60)),
)
points = st.builds(SpecimenPosition, x_m=coordinates, y_m=coordinates, z_m=coordinates)
shifts = st.builds(ImagePoint, coordinates, coordinates)


@given(
    position=poses,
    point=points,
    beam_type=st.sampled_from(BeamType),
    scan_rotation_rad=st.floats(min_value=-math.tau, max_value=math.tau),
    shift=shifts,
)
def test_the_ideal_machine_and_the_solver_of_the_runtime_agree_everywhere(
    position: StagePosition, point: SpecimenPosition, beam_type: BeamType, scan_rotation_rad: float, shift: ImagePoint
) -> None:
    expected = Kinematics(CHAIN).project(point, position, beam_type, scan_rotation_rad=scan_rotation_rad, shift=shift)
    seen = view(position, beam_type, scan_rotation_rad=scan_rotation_rad, shift=shift)
    found = project(seen, np.array([point.x_m, point.y_m, point.z_m]))
    assert found == pytest.approx((expected.x_m, expected.y_m), abs=1e-12)


@given(position=poses, beam_type=st.sampled_from(BeamType), scan_rotation_rad=st.floats(-7, 7), shift=shifts)
def test_views_are_orthonormal_and_right_handed(
    position: StagePosition, beam_type: BeamType, scan_rotation_rad: float, shift: ImagePoint
) -> None:
    seen = view(position, beam_type, scan_rotation_rad=scan_rotation_rad, shift=shift)
    axes = np.stack((seen.right, seen.up, -seen.direction))
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)


@pytest.mark.parametrize("scan_rotation_rad", [0.0, math.pi])
def test_beam_shift_moves_the_content_by_itself_at_any_scan_rotation(scan_rotation_rad: float) -> None:
    point = np.array([1e-6, -2e-6, 0.5e-6])
    unshifted = project(view(pose(12), BeamType.ION, scan_rotation_rad=scan_rotation_rad), point)
    shift = ImagePoint(3e-6, -1e-6)
    shifted = project(view(pose(12), BeamType.ION, scan_rotation_rad=scan_rotation_rad, shift=shift), point)
    assert shifted == pytest.approx((unshifted[0] + 3e-6, unshifted[1] - 1e-6), abs=1e-15)


def test_tilting_a_surface_above_the_axis_walks_it_along_the_tilted_plane() -> None:
    """physics.md section 2: a surface h above the axis walks by h sin(dt) and sags by h (1 - cos dt)."""
    height_m, tilt_deg = 15e-6, 23.0
    point = np.zeros(3)
    before, after = (
        project(view(pose(35 + turn), BeamType.ELECTRON, errors=Errors(height_m=height_m)), point)
        for turn in (0.0, -tilt_deg)
    )
    walk_m = height_m * math.sin(math.radians(tilt_deg))
    assert before == pytest.approx((0.0, 0.0), abs=1e-15)
    assert after == pytest.approx((0.0, -walk_m), abs=1e-12)


def test_height_shows_in_the_ion_image_and_not_in_the_flat_electron_image() -> None:
    errors = Errors(height_m=10e-6)
    assert project(view(pose(35), BeamType.ELECTRON, errors=errors), np.zeros(3)) == pytest.approx((0, 0), abs=1e-15)
    expected_m = -10e-6 * math.sin(math.radians(52))
    found = project(view(pose(35), BeamType.ION, errors=errors), np.zeros(3))
    assert found == pytest.approx((0.0, expected_m), abs=1e-12)


def test_a_tilt_axis_off_coincidence_is_harmless_at_the_flat_pose_only() -> None:
    errors = Errors(tilt_axis_m=np.array([0.0, 5e-6, 3e-6]))
    assert project(view(pose(35), BeamType.ION, errors=errors), np.zeros(3)) == pytest.approx((0, 0), abs=1e-15)
    assert math.hypot(*project(view(pose(12), BeamType.ELECTRON, errors=errors), np.zeros(3))) > 1e-6


def test_a_rotation_axis_off_centre_moves_the_sample_by_twice_its_distance_on_half_a_turn() -> None:
    errors = Errors(rotation_centre_m=np.array([30e-6, 0.0, 0.0]))
    turned = project(view(pose(0, 180), BeamType.ELECTRON, errors=errors), np.zeros(3))
    assert turned == pytest.approx((60e-6, 0.0), abs=1e-12)


def test_drift_moves_the_content_in_the_chamber_whatever_the_pose() -> None:
    errors = Errors(drift_m=np.array([100e-9, 50e-9, 0.0]))
    for position in (pose(35), pose(12), pose(17, 180)):
        still = project(view(position, BeamType.ELECTRON), np.zeros(3))
        found = project(view(position, BeamType.ELECTRON, errors=errors), np.zeros(3))
        assert np.subtract(found, still) == pytest.approx([100e-9, 50e-9], abs=1e-15)


def test_a_rotation_matrix_turns_right_handed() -> None:
    quarter = rotation_matrix(np.array([0.0, 0.0, 1.0]), math.pi / 2)
    assert quarter @ np.array([1.0, 0.0, 0.0]) == pytest.approx([0.0, 1.0, 0.0])
