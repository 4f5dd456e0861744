"""The vectors of vendor-geometry.md sections 6 and 11 and the beam shift of section 9, as numbers sent to TESCAN."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from essence_rigs import Rig

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, StagePosition
from fibsem_runtime.hal import Kinematics, Microscope

ELECTRON, ION = BeamType.ELECTRON, BeamType.ION
DX_UM, DY_UM = 5.0, 10.0
REFERENCE_DEG = 180.0

STABLE = [
    # name, pre-tilt, tilt, half turn away from the reference, view, Δx, Δy, Δz in µm
    ("flat", 0, 0, False, ELECTRON, -5, -10.0000, 0),
    ("flat", 0, 0, False, ION, -5, -17.4345, 0),
    ("t 20", 0, 20, False, ELECTRON, -5, -10.6418, 0),
    ("t 20", 0, 20, False, ION, -5, -12.2077, 0),
    ("milling", 40, 20, False, ELECTRON, -5, -10.6418, 7.2794),
    ("milling", 40, 20, False, ION, -5, -38.6370, 26.4293),
    ("ion pose", 40, 15, True, ION, -5, -5.9381, -6.6546),
]

VERTICAL = [
    # pre-tilt does not matter; tilt, seen in, Δy, Δz in µm
    (0, ION, 0.0, -12.2077),
    (20, ION, 0.0, -12.2077),
    (0, ELECTRON, -10.0000, 7.0021),
    (20, ELECTRON, -10.6418, 10.6418),
    (40, ELECTRON, -13.0541, 15.3931),
]


def at(microscope: Microscope, *, tilt_deg: float, turned: bool) -> StagePosition:
    """Bring the stage there, flat rotations only."""
    stage = microscope.stage
    flat = replace(stage.position(), t_rad=0.0)
    stage.move_to(flat, cancel=CancelToken())
    r_rad = math.radians(REFERENCE_DEG + (180 if turned else 0))
    stage.move_to(replace(flat, r_rad=r_rad), cancel=CancelToken())
    return stage.move_to(replace(flat, r_rad=r_rad, t_rad=math.radians(tilt_deg)), cancel=CancelToken())


def sent_um(rig: Rig, microscope: Microscope, target: StagePosition) -> tuple[float, float, float]:
    """Move to ``target`` and return how far the vendor's axes x, y, z (mm on the wire) went, in µm."""
    before = rig.fake.stage.position()
    microscope.stage.move_to(target, cancel=CancelToken())
    after = rig.fake.stage.moves[-1]
    dx, dy, dz = ((b - a) * 1e3 for a, b in zip(before[:3], after[:3], strict=True))
    return dx, dy, dz


def opened_at(rig: Rig, pretilt_deg: float) -> Any:
    return rig.opened(geometry={"pretilt_deg": pretilt_deg})


@pytest.mark.parametrize("scan_rotation_deg", [0, 180])
@pytest.mark.parametrize("row", STABLE, ids=lambda row: f"{row[0]}-{row[4].value.lower()}")
def test_a_stable_move_sends_the_published_numbers(rig: Rig, row: tuple[Any, ...], scan_rotation_deg: float) -> None:
    _, pretilt_deg, tilt_deg, turned, view, *expected_um = row
    sign = 1 if scan_rotation_deg == 0 else -1
    with opened_at(rig, pretilt_deg) as microscope:
        here = at(microscope, tilt_deg=tilt_deg, turned=turned)
        rotation_rad = microscope.beam(view).set_scan_rotation(math.radians(scan_rotation_deg))
        target = Kinematics(microscope.chain).stable_move(
            here, view, ImagePoint(sign * DX_UM * 1e-6, sign * DY_UM * 1e-6), scan_rotation_rad=rotation_rad
        )
        assert sent_um(rig, microscope, target) == pytest.approx(tuple(expected_um), abs=2e-3)


@pytest.mark.parametrize("scan_rotation_deg", [0, 180])
@pytest.mark.parametrize("view", [ELECTRON, ION])
@pytest.mark.parametrize("pose", ["electron", "ion", "milling"])
@pytest.mark.parametrize("pretilt_deg", [0, 27, 35, 45])
def test_stable_moves_follow_the_formula_for_every_pretilt(
    rig: Rig, pretilt_deg: float, pose: str, view: BeamType, scan_rotation_deg: float
) -> None:
    """vendor-geometry.md section 5: d = dy / cos(t - cp - v); Δy = -d cos(t - cp) / cos t, Δz = d sin cp / cos t."""
    with opened_at(rig, pretilt_deg) as microscope:
        kinematics, here = Kinematics(microscope.chain), microscope.stage.position()
        target = {
            "electron": kinematics.electron_pose(here),
            "ion": kinematics.ion_pose(here),
            "milling": kinematics.milling_pose(here, math.radians(30)),
        }[pose]
        turned = abs(math.remainder(target.r_rad - math.radians(REFERENCE_DEG), math.tau)) > 1.0
        here = at(microscope, tilt_deg=math.degrees(target.t_rad), turned=turned)
        cp_rad = math.radians(-pretilt_deg if turned else pretilt_deg)
        seen_from_rad = microscope.chain.ion_column_tilt_rad if view is ION else 0.0
        sign = 1 if scan_rotation_deg == 0 else -1
        d_um = sign * DY_UM / math.cos(here.t_rad - cp_rad - seen_from_rad)
        expected_um = (
            -sign * DX_UM,
            -d_um * math.cos(here.t_rad - cp_rad) / math.cos(here.t_rad),
            d_um * math.sin(cp_rad) / math.cos(here.t_rad),
        )
        rotation_rad = microscope.beam(view).set_scan_rotation(math.radians(scan_rotation_deg))
        target = kinematics.stable_move(
            here, view, ImagePoint(DX_UM * 1e-6, DY_UM * 1e-6), scan_rotation_rad=rotation_rad
        )
        assert sent_um(rig, microscope, target) == pytest.approx(expected_um, abs=2e-3)


@pytest.mark.parametrize("scan_rotation_deg", [0, 180])
@pytest.mark.parametrize("pretilt_deg", [0, 27, 35, 40, 45])
@pytest.mark.parametrize(("tilt_deg", "seen_in", "dy_um", "dz_um"), VERTICAL)
def test_a_vertical_move_sends_the_published_numbers(
    rig: Rig,
    pretilt_deg: float,
    tilt_deg: float,
    seen_in: BeamType,
    dy_um: float,
    dz_um: float,
    scan_rotation_deg: float,
) -> None:
    sign = 1 if scan_rotation_deg == 0 else -1
    with opened_at(rig, pretilt_deg) as microscope:
        here = at(microscope, tilt_deg=tilt_deg, turned=False)
        rotation_rad = microscope.beam(seen_in).set_scan_rotation(math.radians(scan_rotation_deg))
        target = Kinematics(microscope.chain).vertical_move(
            here, sign * DY_UM * 1e-6, scan_rotation_rad=rotation_rad, seen_in=seen_in
        )
        assert sent_um(rig, microscope, target) == pytest.approx((0.0, dy_um, dz_um), abs=2e-3)


@pytest.mark.parametrize(
    ("pretilt_deg", "electron_deg", "ion_deg", "milling_deg"),
    [
        (0, 0, 55, -20),
        (27, 27, 28, 7),
        (35, 35, 20, 15),
        (40, 40, 15, 20),
        (45, 45, 10, 25),
    ],
)
def test_poses_are_the_published_ones(
    rig: Rig, pretilt_deg: float, electron_deg: float, ion_deg: float, milling_deg: float
) -> None:
    """vendor-geometry.md section 3, TESCAN rows, milling angle 15°."""
    with opened_at(rig, pretilt_deg) as microscope:
        kinematics, here = Kinematics(microscope.chain), microscope.stage.position()
        milling = kinematics.milling_pose(here, math.radians(15))
        tilts_deg = [
            math.degrees(p.t_rad) for p in (kinematics.electron_pose(here), kinematics.ion_pose(here), milling)
        ]
        assert tilts_deg == pytest.approx([electron_deg, ion_deg, milling_deg])
        microscope.stage.move_to(milling, cancel=CancelToken())
        assert rig.fake.stage.position()[4] == pytest.approx(milling_deg, abs=1e-5)


def test_half_a_turn_takes_x_and_y_to_the_other_side_of_the_rotation_centre(rig: Rig) -> None:
    """Compucentric: TESCAN does not compensate, the runtime does (vendor-geometry.md section 7)."""
    centre_mm = (0.4, -0.3)
    with rig.opened(geometry={"rotation_centre_mm": centre_mm, "pretilt_deg": 0}) as microscope:
        here = at(microscope, tilt_deg=0, turned=False)
        here = microscope.stage.move_to(replace(here, x_m=1e-3, y_m=2e-3), cancel=CancelToken())
        turned = Kinematics(microscope.chain).rotate(here, here.r_rad - math.pi)
        microscope.stage.move_to(turned, cancel=CancelToken())
        x_mm, y_mm, _, r_deg, _ = rig.fake.stage.position()
        assert (x_mm, y_mm) == pytest.approx((2 * centre_mm[0] - 1, 2 * centre_mm[1] - 2), abs=1e-5)
        assert r_deg == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("beam_type", list(BeamType))
@pytest.mark.parametrize(("scan_rotation_deg", "sign"), [(0, 1), (180, -1)])
def test_a_beam_shift_is_sent_along_the_column(
    rig: Rig, beam_type: BeamType, scan_rotation_deg: float, sign: int
) -> None:
    """The request is inverted at 180° (section 9; FOS does the same), in mm."""
    column = rig.fake.ion if beam_type is ION else rig.fake.electron
    with rig.opened() as microscope:
        beam = microscope.beam(beam_type)
        beam.set_scan_rotation(math.radians(scan_rotation_deg))
        shift = ImagePoint(3e-6, -2e-6)
        assert (beam.set_shift(shift) - shift).length_m < 1e-12
        assert column.shift_mm == pytest.approx((sign * 3e-3, sign * -2e-3))


def test_units_are_the_vendors_on_the_wire(rig: Rig) -> None:
    """mm, degrees, pA, ns, V."""
    with rig.opened() as microscope:
        electron = microscope.electron_beam
        electron.set_working_distance(7.5e-3)
        electron.set_current(100e-12)
        electron.set_voltage(5e3)
        electron.set_scan_rotation(math.pi / 6)
        fake = rig.fake.electron
        assert (fake.wd_mm, fake.current_pa, fake.voltage_v, fake.rotation_deg) == pytest.approx((7.5, 100, 5000, 30))
        here = microscope.stage.position()
        assert here == StagePosition(x_m=0.0, y_m=0.0, z_m=0.039, r_rad=math.pi, t_rad=math.radians(40))
