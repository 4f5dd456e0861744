"""Bodies over each other in one frame: each is as sharp as it is near the focus."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from ice_blocks import ice_block, view_from_above

from drivers.simulator.layers import Sight
from drivers.simulator.optics import Conditions, OpticsSettings, noise_free_signal
from drivers.simulator.sample import Material, Sample
from drivers.simulator.view import View
from fibsem_runtime.core import BeamType, ImageSettings

HEIGHT_M = 100e-6
SURFACE_M = 2e-6
OPTICS = OpticsSettings(noise=False, texture=False, edge_brightening=False)
FRAME = ImageSettings(width_px=240, height_px=160, hfw_m=12e-6)
VIEW = view_from_above()
EDGE_X_M = -1e-6


def plate(top_m: float) -> Sample:
    """Metal that ends to the right of `EDGE_X_M`, 5 µm thick."""
    size, pitch_m = 81, 0.5e-6
    x_m = -20e-6 + pitch_m * np.arange(size) - EDGE_X_M
    stands = np.broadcast_to(x_m < 0, (size, size))
    return Sample(
        x0_m=-20e-6,
        y0_m=-20e-6,
        pitch_m=pitch_m,
        top_m=np.where(stands, top_m, top_m - 6e-6).astype(np.float32),
        bottom_m=np.where(stands, top_m - 5e-6, top_m).astype(np.float32),
        coating_m=np.zeros((size, size), np.float32),
        material=np.full((size, size), Material.TUNGSTEN, np.uint8),
        has_surroundings=False,
    )


def conditions(focused_at_z_m: float) -> Conditions:
    """An electron beam that is focused on a height."""
    focus_m = float(VIEW.origin[2]) - focused_at_z_m
    return Conditions(
        beam_type=BeamType.ELECTRON,
        beam_current_a=50e-12,
        voltage_v=2000,
        defocus_m=SURFACE_M - focused_at_z_m,
        focus_m=focus_m,
        stigmation_x=0.0,
        stigmation_y=0.0,
        probe_sigma_m=2e-9,
        brightness_fraction=0.5,
        contrast_fraction=0.5,
    )


def frame_with(sample: Sample, focused_at_z_m: float, view: View = VIEW) -> np.ndarray:
    sight = Sight(sample=sample, view=view)
    signal = noise_free_signal(ice_block(SURFACE_M), VIEW, FRAME, conditions(focused_at_z_m), OPTICS, others=[sight])
    return np.asarray(signal)


@pytest.mark.parametrize("away_m", [100e-6, -60e-6])
def test_a_body_is_spread_by_its_own_distance_from_the_focus(away_m: float) -> None:
    """Half the convergence angle times the distance is one sigma of the probe; what lies below is even."""
    top_m = SURFACE_M + HEIGHT_M
    sigma_px = 0.5 * 3e-3 * abs(away_m) / FRAME.pixel_size_m
    expected = cv2.GaussianBlur(frame_with(plate(top_m), top_m), (0, 0), sigma_px)
    blurred = frame_with(plate(top_m), top_m - away_m)
    inner = (slice(20, -20), slice(20, -20))
    assert blurred[inner] == pytest.approx(expected[inner], abs=0.02 * float(np.ptp(expected)))


def test_far_from_its_edge_a_body_is_as_bright_in_focus_as_out_of_it() -> None:
    top_m = SURFACE_M + HEIGHT_M
    sharp, blurred = frame_with(plate(top_m), top_m), frame_with(plate(top_m), SURFACE_M)
    assert blurred[80, :20] == pytest.approx(sharp[80, :20], rel=1e-3)
    assert blurred[80, -20:] == pytest.approx(sharp[80, -20:], rel=1e-3)
    assert np.abs(blurred - sharp).max() > 0.1 * float(sharp.max())


def test_one_body_is_sharp_where_it_is_in_focus_and_blurred_where_it_rises() -> None:
    """A plate that leans by 60°: its edge is seen at all heights, the focus lies at the middle of the frame."""
    tilt_rad = np.radians(60.0)
    cos, sin = np.cos(tilt_rad), np.sin(tilt_rad)
    direction, up = np.array([0.0, sin, -cos]), np.array([0.0, cos, sin])
    leaning = View(origin=-1e-3 * direction, right=np.array([1.0, 0.0, 0.0]), up=up, direction=direction)
    frame = ImageSettings(width_px=120, height_px=80, hfw_m=30e-6)
    near = replace(VIEW, origin=np.array([0.0, 0.0, 1e-3 + SURFACE_M + HEIGHT_M]))
    shot = noise_free_signal(
        ice_block(SURFACE_M),
        near,
        frame,
        replace(conditions(SURFACE_M + HEIGHT_M), focus_m=1e-3),
        OPTICS.model_copy(update={"electron_convergence_mrad": 60.0}),
        others=[Sight(sample=plate(0.0), view=leaning)],
    )
    steps = np.abs(np.diff(shot, axis=1)).max(axis=1)
    assert steps[40] > 2 * steps[5]
    assert steps[40] > 2 * steps[75]
