"""The printed test vectors of vendor-geometry.md sections 3, 6 and 11."""

from __future__ import annotations

import math

import pytest
from chains import arctis, tescan, thermo

from fibsem_runtime.core import BeamType, ImagePoint, StagePosition
from fibsem_runtime.hal.chain import KinematicChain
from fibsem_runtime.hal.kinematics import Kinematics

SEM, FIB = BeamType.ELECTRON, BeamType.ION
PRINTED_UM = 0.5e-4 + 1e-9


def at(t_deg: float, r_deg: float = 0.0) -> StagePosition:
    return StagePosition(x_m=0.001, y_m=-0.002, z_m=0.004, r_rad=math.radians(r_deg), t_rad=math.radians(t_deg))


def travel_um(here: StagePosition, there: StagePosition) -> tuple[float, float, float]:
    assert (there.r_rad, there.t_rad) == (here.r_rad, here.t_rad)
    return ((there.x_m - here.x_m) * 1e6, (there.y_m - here.y_m) * 1e6, (there.z_m - here.z_m) * 1e6)


@pytest.mark.parametrize(
    ("chain", "t_deg", "r_deg", "beam_type", "dy_um", "dz_um"),
    [
        (thermo(), 0, 0, SEM, 10.0000, 0),
        (thermo(), 0, 0, FIB, 16.2427, 0),
        (thermo(pretilt_deg=35), 35, 0, SEM, 8.1915, -5.7358),
        (thermo(pretilt_deg=35), 35, 0, FIB, 13.3052, -9.3164),
        (thermo(pretilt_deg=35), 12, 0, SEM, 8.8989, -6.2311),
        (thermo(pretilt_deg=35), 12, 0, FIB, 31.6496, -22.1613),
        (thermo(pretilt_deg=35), 17, 180, SEM, 13.3052, 9.3164),
        (thermo(pretilt_deg=35), 17, 180, FIB, 8.1915, 5.7358),
        (arctis(), -23, 0, SEM, 10.8636, 0),
        (arctis(), -23, 0, FIB, 38.6370, 0),
    ],
)
def test_a_thermo_stable_move_is_the_printed_one(
    chain: KinematicChain, t_deg: float, r_deg: float, beam_type: BeamType, dy_um: float, dz_um: float
) -> None:
    here = at(t_deg, r_deg)
    there = Kinematics(chain).stable_move(here, beam_type, ImagePoint(5e-6, 10e-6))
    assert travel_um(here, there) == pytest.approx((5, dy_um, dz_um), abs=PRINTED_UM)


@pytest.mark.parametrize(
    ("pretilt_deg", "t_deg", "r_deg", "beam_type", "dy_um", "dz_um"),
    [
        (0, 0, 0, SEM, -10.0000, 0),
        (0, 0, 0, FIB, -17.4345, 0),
        (0, 20, 0, SEM, -10.6418, 0),
        (0, 20, 0, FIB, -12.2077, 0),
        (40, 20, 0, SEM, -10.6418, 7.2794),
        (40, 20, 0, FIB, -38.6370, 26.4293),
        (40, 15, 180, FIB, -5.9381, -6.6546),
    ],
)
def test_a_tescan_stable_move_is_the_printed_one(
    pretilt_deg: float, t_deg: float, r_deg: float, beam_type: BeamType, dy_um: float, dz_um: float
) -> None:
    here = at(t_deg, r_deg)
    there = Kinematics(tescan(pretilt_deg=pretilt_deg)).stable_move(here, beam_type, ImagePoint(5e-6, 10e-6))
    assert travel_um(here, there) == pytest.approx((-5, dy_um, dz_um), abs=PRINTED_UM)


@pytest.mark.parametrize(
    ("t_rad", "dy_um", "dz_um"),
    [
        (0, 0, 12.6902),
        (0.2, 2.5211, 12.4372),
        (0.4, 4.9418, 11.6884),
        (math.radians(12), 2.6384, 12.4129),
        (math.radians(-23), -4.9584, 11.6814),
        (math.radians(52), 10.0000, 7.8129),
    ],
)
def test_a_thermo_vertical_move_is_the_printed_one(t_rad: float, dy_um: float, dz_um: float) -> None:
    here = at(math.degrees(t_rad))
    there = Kinematics(thermo(pretilt_deg=35)).vertical_move(here, 10e-6)
    assert travel_um(here, there) == pytest.approx((0, dy_um, dz_um), abs=PRINTED_UM)


@pytest.mark.parametrize("t_deg", [0, 20, 40])
def test_a_tescan_vertical_move_is_z_alone(t_deg: float) -> None:
    here = at(t_deg)
    there = Kinematics(tescan(pretilt_deg=40)).vertical_move(here, 10e-6)
    assert travel_um(here, there) == pytest.approx((0, 0, -12.2077), abs=PRINTED_UM)


@pytest.mark.parametrize(
    ("t_deg", "dy_um", "dz_um"), [(0, -10.0000, 7.0021), (20, -10.6418, 10.6418), (40, -13.0541, 15.3931)]
)
def test_a_tescan_vertical_move_seen_in_the_electron_image_is_the_printed_one(
    t_deg: float, dy_um: float, dz_um: float
) -> None:
    here = at(t_deg)
    there = Kinematics(tescan()).vertical_move(here, 10e-6, seen_in=SEM)
    assert travel_um(here, there) == pytest.approx((0, dy_um, dz_um), abs=PRINTED_UM)


@pytest.mark.parametrize(
    ("chain", "milling_angle_deg", "electron_deg", "ion_deg", "milling_deg"),
    [
        (thermo(pretilt_deg=35), 15, 35, 17, 12),
        (thermo(pretilt_deg=35), 9, 35, 17, 6),
        (arctis(), 15, 0, -128, -23),
        (tescan(), 15, 0, 55, -20),
        (tescan(pretilt_deg=40), 15, 40, 15, 20),
    ],
)
def test_poses_have_the_printed_tilts(
    chain: KinematicChain, milling_angle_deg: float, electron_deg: float, ion_deg: float, milling_deg: float
) -> None:
    kinematics = Kinematics(chain)
    here = at(3)
    assert math.degrees(kinematics.electron_pose(here).t_rad) == pytest.approx(electron_deg)
    assert math.degrees(kinematics.ion_pose(here).t_rad) == pytest.approx(ion_deg)
    milling = kinematics.milling_pose(here, math.radians(milling_angle_deg))
    assert math.degrees(milling.t_rad) == pytest.approx(milling_deg)
    half_turn_rad = 0 if chain.is_compustage else math.pi
    assert kinematics.ion_pose(here).r_rad - kinematics.electron_pose(here).r_rad == pytest.approx(half_turn_rad)


def test_a_real_aquilos_file_has_the_milling_angle_it_states() -> None:
    chain = thermo(pretilt_deg=35, rotation_reference_rad=math.radians(110))
    angle_rad = Kinematics(chain).milling_angle(at(5.998, 110))
    assert math.degrees(angle_rad) == pytest.approx(8.998, abs=1e-6)


@pytest.mark.parametrize(
    ("chain", "milling_angle_deg", "ratio"),
    [
        (thermo(pretilt_deg=35), 10, 5.0847),
        (thermo(pretilt_deg=35), 15, 3.5566),
        (thermo(pretilt_deg=35), 20, 2.7807),
        (tescan(pretilt_deg=40), 10, 5.2192),
        (tescan(pretilt_deg=40), 15, 3.6307),
        (tescan(), 20, 2.8242),
    ],
)
def test_the_stretch_between_the_images_is_the_printed_one(
    chain: KinematicChain, milling_angle_deg: float, ratio: float
) -> None:
    kinematics = Kinematics(chain)
    pose = kinematics.milling_pose(at(0), math.radians(milling_angle_deg))
    assert kinematics.ion_stretch_ratio(pose) == pytest.approx(ratio, abs=0.5e-4)


def test_the_stage_position_of_a_real_ion_image_centre_is_the_recorded_one() -> None:
    """Section 11: an Aquilos ion image at scan rotation 180° with a beam shift."""
    kinematics = Kinematics(thermo())
    here = StagePosition(x_m=0.00359033, y_m=0.00198517, z_m=0.004, r_rad=0.0, t_rad=math.radians(52))
    shift = ImagePoint(-5.39583e-7, 1.21406e-6)
    there = kinematics.stable_move(here, FIB, -shift, scan_rotation_rad=math.pi)
    assert there.x_m == pytest.approx(0.00358979, abs=5e-9)
    assert there.y_m == pytest.approx(0.00198638, abs=5e-9)


def test_the_stage_position_of_a_real_electron_image_centre_is_the_recorded_one() -> None:
    """Section 11: a Scios electron image at scan rotation 0 with a beam shift."""
    here = StagePosition(x_m=0.000133417, y_m=-0.000717625, z_m=0.004, r_rad=0.0, t_rad=0.0)
    there = Kinematics(thermo()).stable_move(here, SEM, -ImagePoint(3.10943e-6, -1.55471e-6))
    assert there.x_m == pytest.approx(0.000130307, abs=1e-9)
    assert there.y_m == pytest.approx(-0.00071607, abs=1e-9)
