"""Registration: accurate where it answers, and it refuses where it cannot know (methods.md sections 3 and 11)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images import data_folder, gray
from scenes import lattice, texture

from fibsem_runtime.core.errors import AlignmentError
from fibsem_runtime.core.image import Image
from fibsem_runtime.imaging import RegistrationGates, read_image, register

SIZE = (300, 320)


def moved(values: np.ndarray, dx_px: float, dy_px: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return the middle of ``values`` with its content moved right and down, exactly (Fourier shift)."""
    fy, fx = np.fft.fftfreq(values.shape[0])[:, None], np.fft.rfftfreq(values.shape[1])[None]
    shifted = np.fft.irfft2(np.fft.rfft2(values) * np.exp(-2j * np.pi * (fx * dx_px + fy * dy_px)), values.shape)
    top, left = (values.shape[0] - size[0]) // 2, (values.shape[1] - size[1]) // 2
    return np.asarray(shifted[top : top + size[0], left : left + size[1]])


def scene(seed: int = 0) -> np.ndarray:
    return 0.5 + 0.08 * texture((420, 440), seed, 1.5) + 0.08 * texture((420, 440), seed + 1, 6.0)


def noisy(values: np.ndarray, noise: float, seed: int) -> Image:
    return gray(values + noise * np.random.default_rng(seed).normal(size=values.shape))


@settings(max_examples=12, deadline=None)
@given(dx_px=st.floats(-40, 40), dy_px=st.floats(-40, 40), seed=st.integers(0, 50))
def test_any_shift_of_a_clean_image_is_found_to_a_twentieth_of_a_pixel(dx_px: float, dy_px: float, seed: int) -> None:
    values = scene(seed)
    found = register(gray(moved(values, 0, 0)), gray(moved(values, dx_px, dy_px)), max_shift_px=60)
    assert abs(found.dx_px - dx_px) < 0.05
    assert abs(found.dy_px - dy_px) < 0.05
    assert found.score > 0.9
    assert found.disagreement_px < 0.5


def test_the_sign_is_that_of_the_content() -> None:
    values = scene()
    found = register(gray(moved(values, 0, 0)), gray(moved(values, 12, -7)))
    assert (round(found.dx_px), round(found.dy_px)) == (12, -7)


def test_noise_costs_accuracy_but_no_truth() -> None:
    values, errors = scene(3), []
    for seed in range(8):
        dx_px, dy_px = np.random.default_rng(seed).uniform(-15, 15, 2)
        found = register(noisy(moved(values, 0, 0), 0.12, seed), noisy(moved(values, dx_px, dy_px), 0.12, seed + 100))
        errors.append(np.hypot(found.dx_px - dx_px, found.dy_px - dy_px))
    assert np.median(errors) < 0.15
    assert max(errors) < 0.5


def test_after_a_change_of_current_the_blurred_and_dimmer_image_still_registers() -> None:
    values, errors = scene(5), []
    for seed in range(8):
        dx_px, dy_px = np.random.default_rng(seed).uniform(-20, 20, 2)
        after = cv2.GaussianBlur(moved(values, dx_px, dy_px), (0, 0), 3.0) * 0.6 + 0.1
        found = register(noisy(moved(values, 0, 0), 0.04, seed), noisy(after, 0.04, seed + 50))
        errors.append(np.hypot(found.dx_px - dx_px, found.dy_px - dy_px))
    assert max(errors) < 0.3


def test_both_images_may_be_exchanged() -> None:
    values = scene(8)
    first, second = noisy(moved(values, 0, 0), 0.03, 1), noisy(moved(values, 9.3, 4.6), 0.03, 2)
    there, back = register(first, second), register(second, first)
    assert there.dx_px == pytest.approx(-back.dx_px, abs=0.1)
    assert there.dy_px == pytest.approx(-back.dy_px, abs=0.1)


def test_a_lattice_is_refused_whatever_its_shift() -> None:
    for seed, shift in enumerate([(0.0, 0.0), (3.2, -5.1), (10.0, 10.0)]):
        with pytest.raises(AlignmentError, match="ambiguous"):
            register(lattice(SIZE, 24.0, seed), lattice(SIZE, 24.0, seed + 10, shift))


def test_unrelated_images_are_refused() -> None:
    for seed in range(6):
        with pytest.raises(AlignmentError):
            register(noisy(moved(scene(seed), 0, 0), 0.05, 0), noisy(moved(scene(seed + 60), 0, 0), 0.05, 1))


def test_pure_noise_and_empty_images_are_refused() -> None:
    rng = np.random.default_rng(0)
    for _ in range(6):
        with pytest.raises(AlignmentError):
            register(gray(rng.uniform(size=SIZE)), gray(rng.uniform(size=SIZE)))
    with pytest.raises(AlignmentError):
        register(gray(np.full(SIZE, 0.5)), gray(np.full(SIZE, 0.5)))


def test_a_shift_beyond_the_search_is_refused_not_clipped() -> None:
    values = scene(2)
    with pytest.raises(AlignmentError):
        register(gray(moved(values, 0, 0)), gray(moved(values, 45, 0)), max_shift_px=20)


def test_methods_that_disagree_are_refused() -> None:
    values = scene(4)
    first, second = noisy(moved(values, 0, 0), 0.1, 1), noisy(moved(values, 5, 5), 0.1, 2)
    with pytest.raises(AlignmentError, match="two registration methods disagree by"):
        register(first, second, gates=RegistrationGates(max_disagreement_px=1e-6))


def test_images_of_different_shape_or_scale_are_refused() -> None:
    values = moved(scene(), 0, 0)
    with pytest.raises(AlignmentError, match="repeat the reference's acquisition settings"):
        register(gray(values), gray(values[:-1]))
    with pytest.raises(AlignmentError, match=r"pixels of 20\.00 and 25\.00 nm"):
        register(gray(values, pixel_size_m=20e-9), gray(values, pixel_size_m=25e-9))
    with pytest.raises(AlignmentError, match="too small"):
        register(gray(values[:20, :20]), gray(values[:20, :20]))


@pytest.mark.parametrize("name", ["ref_lamella_low_res_eb.tif", "liftout_trench_1_ib.tif", "ref_jcut_high_res_ib.tif"])
def test_real_images_register_to_a_twentieth_of_a_pixel(name: str) -> None:
    pixels = read_image(data_folder("autoliftout", "test", name)).data.astype(np.float64) / 255
    size = (min(480, pixels.shape[0] - 80), min(640, pixels.shape[1] - 80))
    for dx_px, dy_px in ((7.25, -3.6), (-15.5, 11.1)):
        smooth = cv2.GaussianBlur(pixels, (0, 0), 0.8)
        found = register(gray(moved(smooth, 0, 0, size)), gray(moved(smooth, dx_px, dy_px, size)))
        assert np.hypot(found.dx_px - dx_px, found.dy_px - dy_px) < 0.05


def test_real_frames_of_one_scene_lie_on_each_other_or_are_refused() -> None:
    """Fast noisy frames taken one after the other while charge is neutralised: the scene hardly moves."""
    files: list[Path] = sorted(data_folder("autoliftout", "sequences", "charge_neutralisation_eb").glob("*.tif"))
    frames = [read_image(path) for path in files]
    assert len(frames) >= 2
    shifts, refused = [], 0
    for frame in frames[1:]:
        try:
            found = register(frames[0], frame)
            shifts.append(np.hypot(found.dx_px, found.dy_px))
        except AlignmentError:
            refused += 1
    assert not shifts or max(shifts) < 3.0
    assert len(shifts) > refused
