"""A move seen in an image as a move of the needle's axes (vendor-geometry.md section 8)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from chains import thermo
from hypothesis import given
from hypothesis import strategies as st

from fibsem_runtime.core import BeamType, ImagePoint
from fibsem_runtime.hal import ManipulatorChain, ManipulatorPosition, image_move
from fibsem_runtime.hal.forward import chamber_view

SEM, FIB = BeamType.ELECTRON, BeamType.ION
STAGE = ManipulatorChain(rides_on_tilt=True)
"""STAGE coordinates of Thermo Fisher as the published formulas need them: +y up in the electron image."""
CHAIN = thermo(pretilt_deg=35)
F_RAD = CHAIN.ion_column_tilt_rad
HERE = ManipulatorPosition(x_m=100e-6, y_m=-20e-6, z_m=180e-6)


def moved_um(
    beam_type: BeamType, move: ImagePoint, t_deg: float, turn_rad: float = 0.0, chain: ManipulatorChain = STAGE
) -> tuple[float, float, float]:
    there = image_move(
        HERE,
        move,
        beam_type,
        manipulator=chain,
        chain=CHAIN,
        stage_tilt_rad=math.radians(t_deg),
        scan_rotation_rad=turn_rad,
    )
    assert there.r_rad is None
    return (1e6 * (there.x_m - HERE.x_m), 1e6 * (there.y_m - HERE.y_m), 1e6 * (there.z_m - HERE.z_m))


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize("t_deg", [0, 12, 17, 35, -23])
def test_the_published_formula_for_the_electron_image(t_deg: float, turn_rad: float) -> None:
    """(dx, dy cos t, dy sin t); the HAL negates dx and dy for a scan rotation of 180°."""
    sign, t_rad = (1 if turn_rad == 0 else -1), math.radians(t_deg)
    expected = (5 * sign, 10 * math.cos(t_rad) * sign, 10 * math.sin(t_rad) * sign)
    assert moved_um(SEM, ImagePoint(5e-6, 10e-6), t_deg, turn_rad) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize("t_deg", [0, 12, 17, 35, -23])
def test_the_formula_for_the_ion_image_scaled_to_what_the_image_shows(t_deg: float, turn_rad: float) -> None:
    """(dx, -dy sin t, dy cos t) lifts the tip by dy, which the ion image shows as dy sin f, downwards."""
    sign, t_rad = (1 if turn_rad == 0 else -1), math.radians(t_deg)
    lift_um = -10 / math.sin(F_RAD)
    expected = (5 * sign, -lift_um * math.sin(t_rad) * sign, lift_um * math.cos(t_rad) * sign)
    assert moved_um(FIB, ImagePoint(5e-6, 10e-6), t_deg, turn_rad) == pytest.approx(expected, abs=1e-9)


def test_an_axis_that_points_the_other_way_is_driven_the_other_way() -> None:
    mirrored = replace(STAGE, y_axis=(0.0, -1.0, 0.0))
    for beam_type in BeamType:
        x_um, y_um, z_um = moved_um(beam_type, ImagePoint(5e-6, 10e-6), 20)
        assert moved_um(beam_type, ImagePoint(5e-6, 10e-6), 20, chain=mirrored) == pytest.approx((x_um, -y_um, z_um))


def test_axes_that_do_not_tilt_with_the_stage_make_the_same_move_at_every_tilt() -> None:
    fixed = ManipulatorChain()
    flat = moved_um(FIB, ImagePoint(5e-6, 10e-6), 0, chain=fixed)
    assert moved_um(FIB, ImagePoint(5e-6, 10e-6), 35, chain=fixed) == pytest.approx(flat)


ANGLES_RAD = st.floats(-math.pi, math.pi)
TILTS_RAD = st.floats(math.radians(-40), math.radians(60))
METRES = st.floats(-100e-6, 100e-6)
CHAINS = st.builds(
    ManipulatorChain,
    x_axis=st.sampled_from([(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)]),
    y_axis=st.sampled_from([(0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, math.cos(0.4), math.sin(0.4))]),
    z_axis=st.sampled_from([(0.0, 0.0, 1.0), (0.0, 0.0, -1.0)]),
    rides_on_tilt=st.booleans(),
)


@given(METRES, METRES, st.sampled_from(BeamType), CHAINS, TILTS_RAD, ANGLES_RAD)
def test_the_tip_moves_in_the_image_by_what_was_asked_for_and_back(
    x_m: float, y_m: float, beam_type: BeamType, chain: ManipulatorChain, t_rad: float, turn_rad: float
) -> None:
    def go(here: ManipulatorPosition, move: ImagePoint) -> ManipulatorPosition:
        return image_move(
            here,
            move,
            beam_type,
            manipulator=chain,
            chain=CHAIN,
            stage_tilt_rad=t_rad,
            scan_rotation_rad=turn_rad,
        )

    there = go(HERE, ImagePoint(x_m, y_m))
    way = np.array([there.x_m - HERE.x_m, there.y_m - HERE.y_m, there.z_m - HERE.z_m])
    chamber_m = chain.axes(t_rad) @ way
    seen = chamber_view(CHAIN, beam_type, scan_rotation_rad=turn_rad)
    assert (chamber_m @ seen.right, chamber_m @ seen.up) == pytest.approx((x_m, y_m), abs=1e-12)
    # Neither beam's own direction is moved along: the height stays in the electron image, y stays in the ion image.
    assert chamber_m[2 if beam_type is SEM else 1] == pytest.approx(0.0, abs=1e-12)
    back = go(there, ImagePoint(-x_m, -y_m))
    assert (back.x_m, back.y_m, back.z_m) == pytest.approx((HERE.x_m, HERE.y_m, HERE.z_m), abs=1e-12)
