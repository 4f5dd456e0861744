from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from specimens import MILLING_ANGLE_RAD, electron_view, ion_view, make_specimen, make_trench, mill_lamella, shifted
from views import BARE, ELECTRON, ION, QUIET

from drivers.simulator.optics import first_hit, noise_free_signal, render
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.view import View
from fibsem_runtime.core import ImagePoint, ImageSettings, RelativeArea
from fibsem_runtime.imaging import register

TOP_OF_CELL = (0.0, 0.0, 4.9e-6)
SMALL = ImageSettings(width_px=384, height_px=256, hfw_m=30e-6)


@pytest.fixture(scope="module")
def whole() -> Sample:
    return make_specimen()


@pytest.fixture(scope="module")
def milled() -> Sample:
    sample = make_specimen()
    mill_lamella(sample, thickness_m=0.8e-6, count=4)
    return sample


def _interpolate(grid: NDArray[np.float32], gx: NDArray[np.float64], gy: NDArray[np.float64]) -> NDArray[np.float64]:
    i, j = np.clip(gx.astype(int), 0, grid.shape[1] - 2), np.clip(gy.astype(int), 0, grid.shape[0] - 2)
    fx, fy = gx - i, gy - j
    low = grid[j, i] * (1 - fx) + grid[j, i + 1] * fx
    high = grid[j + 1, i] * (1 - fx) + grid[j + 1, i + 1] * fx
    return low * (1 - fy) + high * fy


def _is_gone(cut: Cut, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    u, v, w = cut.axes @ (points - cut.origin).T
    gu, gv = (u - cut.u0_m) / cut.du_m, (v - cut.v0_m) / cut.dv_m
    rows, columns = cut.front_m.shape
    inside = (gu >= 0) & (gv >= 0) & (gu < columns - 1) & (gv < rows - 1)
    front = _interpolate(np.maximum(cut.front_m, -1), gu, gv)
    return np.asarray(inside & (w < front))


def _brute_force(sample: Sample, view: View, point: ImagePoint, step_m: float) -> NDArray[np.float64] | None:
    """March in small steps through the definition of the solid, with none of the tracer's code."""
    start = view.origin + point.x_m * view.right + point.y_m * view.up
    begin, end = ((z - start[2]) / view.direction[2] for z in (sample.top_m.max(), sample.bottom_m.min()))
    points = start + np.arange(begin, end, step_m)[:, None] * view.direction
    gx, gy = (points[:, 0] - sample.x0_m) / sample.pitch_m, (points[:, 1] - sample.y0_m) / sample.pitch_m
    on_map = (gx >= 0) & (gy >= 0) & (gx < sample.top_m.shape[1] - 1) & (gy < sample.top_m.shape[0] - 1)
    points, gx, gy = points[on_map], gx[on_map], gy[on_map]
    solid = (points[:, 2] < _interpolate(sample.top_m, gx, gy)) & (points[:, 2] > _interpolate(sample.bottom_m, gx, gy))
    for cut in sample.cuts:
        solid &= ~_is_gone(cut, points)
    return points[solid.argmax()] if solid.any() else None


@pytest.mark.parametrize("tilt_deg", [0.0, 25.0, -50.0])
@pytest.mark.parametrize("scan_deg", [0.0, 33.0])
def test_an_electron_ray_ends_where_the_solid_begins(milled: Sample, tilt_deg: float, scan_deg: float) -> None:
    view = electron_view(math.radians(tilt_deg), centre=TOP_OF_CELL, scan_rad=math.radians(scan_deg))
    _compare_with_brute_force(milled, view)


@pytest.mark.parametrize("angle_deg", [8.0, 12.0, 20.0, 52.0])
def test_an_ion_ray_ends_where_the_solid_begins(milled: Sample, angle_deg: float) -> None:
    _compare_with_brute_force(milled, ion_view(math.radians(angle_deg), centre=TOP_OF_CELL, scan_rad=math.pi))


def _compare_with_brute_force(sample: Sample, view: View) -> None:
    rng = np.random.default_rng(5)
    step_m = 2e-9
    differing = 0
    for x_m, y_m in rng.uniform([-9e-6, -3e-6], [9e-6, 3e-6], (40, 2)):
        expected = _brute_force(sample, view, ImagePoint(x_m, y_m), step_m)
        found = first_hit(sample, view, ImagePoint(x_m, y_m))
        if expected is None or found is None:
            differing += (expected is None) != (found is None)
            continue
        distance_m = np.linalg.norm(np.array([found.x_m, found.y_m, found.z_m]) - expected)
        differing += distance_m > 2 * step_m
    # A step of 2 nm may jump over a sliver that the exact tracer hits, never more than one ray in forty.
    assert differing <= 1


def test_a_point_is_found_again_from_the_other_beam(whole: Sample) -> None:
    ions, electrons = ion_view(centre=TOP_OF_CELL), electron_view(0.2, centre=TOP_OF_CELL)
    seen = first_hit(whole, ions, ImagePoint(2e-6, 0.2e-6))
    assert seen is not None
    place = np.array([seen.x_m, seen.y_m, seen.z_m]) - electrons.origin
    again = first_hit(whole, electrons, ImagePoint(float(place @ electrons.right), float(place @ electrons.up)))
    assert again is not None
    assert np.allclose([again.x_m, again.y_m, again.z_m], [seen.x_m, seen.y_m, seen.z_m], atol=1e-12)


@pytest.mark.parametrize(("view", "foreshortening"), [
    (electron_view(0.0, centre=(40e-6, 0, 0)), 1.0),
    (electron_view(-0.9, centre=(40e-6, 0, 0)), math.cos(0.9)),
    (ion_view(0.2, centre=(40e-6, 0, 0)), math.sin(0.2)),
])  # fmt: skip
def test_the_film_is_foreshortened_by_the_angle_of_the_view(view: View, foreshortening: float) -> None:
    film = make_specimen(holes=False)
    low, high = (first_hit(film, view, ImagePoint(0, y_m)) for y_m in (-1e-6, 1e-6))
    assert low is not None and high is not None
    assert abs(high.y_m - low.y_m) == pytest.approx(2e-6 / foreshortening, rel=1e-9)
    assert high.x_m == pytest.approx(low.x_m)


def test_a_hole_in_the_film_shows_nothing(whole: Sample) -> None:
    assert first_hit(whole, electron_view(centre=(20e-6, -20e-6, 0)), ImagePoint(0, 0)) is None
    assert first_hit(whole, electron_view(centre=(22e-6, -22e-6, 0)), ImagePoint(0, 0)) is not None


def test_beyond_the_map_the_bar_goes_on(whole: Sample) -> None:
    beyond = first_hit(whole, electron_view(centre=(300e-6, 0, 0)), ImagePoint(0, 0))
    assert beyond is not None
    assert beyond.x_m == pytest.approx(300e-6)
    assert beyond.z_m == pytest.approx(0, abs=1e-6)


def _crossings(profile: NDArray[np.float32]) -> list[float]:
    """Return where a profile passes the middle between its darkest and brightest value, in pixels from its start."""
    level = (float(profile.min()) + float(profile.max())) / 2
    above = profile > level
    steps = np.flatnonzero(above[1:] != above[:-1])
    return [float(k + 0.5 + (level - profile[k]) / (profile[k + 1] - profile[k])) for k in steps]


@pytest.mark.parametrize("shift_nm", [0.0, 2.0, 4.5, 9.0])
def test_the_edges_of_a_lamella_are_exact_to_three_nanometres_in_the_ion_image(shift_nm: float) -> None:
    sample = make_specimen(holes=False)
    for low_m, high_m in ((0.1e-6, 2.1e-6), (-2.1e-6, -0.1e-6)):
        sample.cuts.append(make_trench(v_low_m=low_m, v_high_m=high_m, sigma_m=1e-9, dv_m=1e-9, du_m=200e-9))
    frame = ImageSettings(hfw_m=20e-6, reduced_area=RelativeArea(
        left_fraction=0.48, top_fraction=0.45, width_fraction=0.04, height_fraction=0.1
    ))  # fmt: skip
    view = shifted(ion_view(centre=TOP_OF_CELL), 0.0, shift_nm * 1e-9)
    signal = noise_free_signal(sample, view, frame, ION, BARE)
    profile = signal[:, signal.shape[1] // 2]
    upper_px, lower_px = _crossings(profile)
    row_of_centre = 512 - round(0.45 * 1024) - shift_nm * 1e-9 / frame.pixel_size_m
    upper_nm = (row_of_centre - upper_px) * frame.pixel_size_m * 1e9
    lower_nm = (row_of_centre - lower_px) * frame.pixel_size_m * 1e9
    assert upper_nm == pytest.approx(100, abs=3)
    assert lower_nm == pytest.approx(-100, abs=3)


def test_the_front_edge_of_a_trench_is_exact_in_the_electron_image() -> None:
    sample = make_specimen(holes=False)
    sample.cuts.append(make_trench(v_low_m=0.1e-6, v_high_m=2.1e-6, sigma_m=1e-9, dv_m=1e-9, du_m=200e-9))
    narrow = RelativeArea(left_fraction=0.49, top_fraction=0.25, width_fraction=0.02, height_fraction=0.25)
    frame = ImageSettings(width_px=1536, height_px=1024, hfw_m=20e-6, reduced_area=narrow)
    signal = noise_free_signal(sample, electron_view(centre=TOP_OF_CELL), frame, ELECTRON, BARE)
    profile = signal[:, signal.shape[1] // 2]
    y_m = np.arange(0, 3e-6, 1e-9)
    centre = (sample.top_m.shape[0] - 1) / 2
    z_m = _interpolate(sample.top_m, np.full_like(y_m, centre), centre + y_m / sample.pitch_m)
    v_m = math.sin(MILLING_ANGLE_RAD) * y_m - math.cos(MILLING_ANGLE_RAD) * (z_m - TOP_OF_CELL[2])
    expected_m = y_m[np.argmax(v_m > 0.1e-6)]
    found_m = (256 - _crossings(profile)[-1]) * frame.pixel_size_m
    assert found_m == pytest.approx(expected_m, abs=4e-9)


@pytest.mark.parametrize("shift_px", [(0.1, 0.0), (0.0, -0.1), (0.37, 0.62), (5.25, -3.5)])
@pytest.mark.parametrize("beam", ["electron", "ion"])
def test_a_shift_of_the_view_is_recovered_to_a_twentieth_of_a_pixel(
    milled: Sample, beam: str, shift_px: tuple[float, float]
) -> None:
    view, conditions = (
        (electron_view(centre=TOP_OF_CELL), ELECTRON) if beam == "electron" else (ion_view(centre=TOP_OF_CELL), ION)
    )
    moved = shifted(view, shift_px[0] * SMALL.pixel_size_m, -shift_px[1] * SMALL.pixel_size_m)
    deep = replace(SMALL, bit_depth=16)
    frames = [render(milled, v, deep, conditions, QUIET, np.random.default_rng(0)) for v in (view, moved)]
    found = register(*frames, max_shift_px=20)
    assert found.dx_px == pytest.approx(shift_px[0], abs=0.05)
    assert found.dy_px == pytest.approx(shift_px[1], abs=0.05)


def test_scan_rotation_turns_the_image(milled: Sample) -> None:
    upright = noise_free_signal(milled, electron_view(0.3, centre=TOP_OF_CELL), SMALL, ELECTRON, QUIET)
    turned = noise_free_signal(milled, electron_view(0.3, centre=TOP_OF_CELL, scan_rad=math.pi), SMALL, ELECTRON, QUIET)
    assert np.corrcoef(turned[::-1, ::-1].ravel(), upright.ravel())[0, 1] > 0.999
    square = replace(SMALL, width_px=256, height_px=256)
    level = noise_free_signal(milled, electron_view(centre=TOP_OF_CELL), square, ELECTRON, QUIET)
    quarter = noise_free_signal(
        milled, electron_view(centre=TOP_OF_CELL, scan_rad=math.pi / 2), square, ELECTRON, QUIET
    )
    back = cv2.rotate(quarter, cv2.ROTATE_90_COUNTERCLOCKWISE)
    assert np.corrcoef(back.ravel(), level.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("defocus_m", [0.0, 30e-6, 800e-6])
def test_a_reduced_area_is_the_crop_of_the_full_frame(milled: Sample, defocus_m: float) -> None:
    area = RelativeArea(left_fraction=0.31, top_fraction=0.42, width_fraction=0.37, height_fraction=0.25)
    conditions = replace(ELECTRON, defocus_m=defocus_m)
    view = electron_view(0.2, centre=TOP_OF_CELL)
    full = render(milled, view, SMALL, conditions, QUIET, np.random.default_rng(0))
    part = render(milled, view, replace(SMALL, reduced_area=area), conditions, QUIET, np.random.default_rng(0))
    left, top, width, height = area.to_pixels(384, 256)
    assert part.shape == (height, width)
    difference = np.abs(part.astype(int) - full[top : top + height, left : left + width])
    assert difference.max() <= 1
    assert difference.mean() < 0.01
