"""Cells: found where they are, and nothing else is a cell."""

from __future__ import annotations

import numpy as np
import pytest
from images import data_folder, gray
from scenes import PIXEL_M, SHAPE, Dome, electron_view, hill_view, lattice, texture

from fibsem_runtime.core import Image, ImageMetadata, PixelPoint
from fibsem_runtime.core.errors import FeatureNotFoundError
from fibsem_runtime.core.frames import ImagePoint, image_to_pixel
from fibsem_runtime.imaging import Blob, find_cell_near, find_cells, read_image

DOMES = [Dome(-35, 20), Dome(30, 25, 6, 8), Dome(25, -28, 9, 6), Dome(-20, -22, 5.5, 5.5)]
SIZES = {"min_diameter_m": 8e-6, "max_diameter_m": 30e-6}


def sure(cells: list[Blob]) -> list[Blob]:
    return [cell for cell in cells if cell.contrast_score >= 0.5]


def error_um(cell: Blob, image: Image, x_um: float, y_um: float) -> float:
    place = image.to_metres(cell.centre)
    return float(np.hypot(place.x_m * 1e6 - x_um, place.y_m * 1e6 - y_um))


@pytest.mark.parametrize("seed", range(4))
def test_every_cell_is_found_once_within_half_a_micrometre(seed: int) -> None:
    image = electron_view(DOMES, seed=seed, noise=0.08)
    cells = sure(find_cells(image, **SIZES))
    assert len(cells) == len(DOMES)
    for dome in DOMES:
        nearest = min(cells, key=lambda cell: error_um(cell, image, dome.x_um, dome.y_um))
        assert error_um(nearest, image, dome.x_um, dome.y_um) < 0.5
        assert nearest.width_px * PIXEL_M * 1e6 == pytest.approx(2 * dome.rx_um, abs=2.5)


def test_cells_that_touch_are_told_apart() -> None:
    pair = [Dome(-8, 0, 8, 7), Dome(9, 3, 8, 7)]
    image = electron_view(pair)
    cells = sure(find_cells(image, **SIZES))
    assert len(cells) == 2
    assert all(min(error_um(cell, image, d.x_um, d.y_um) for d in pair) < 1.5 for cell in cells)


@pytest.mark.parametrize("seed", range(4))
def test_empty_film_and_a_grid_bar_are_no_cells(seed: int) -> None:
    assert sure(find_cells(electron_view([], seed=seed, with_bar=True), **SIZES)) == []


def test_holes_crystals_and_cut_off_cells_are_no_cells() -> None:
    specks = [Dome(x, y, 1.0, 1.0) for x, y in ((-30, 10), (0, 0), (22, -18), (40, 30))]
    cut_off = [Dome(74, 0, 8, 8), Dome(0, 50, 8, 8)]
    assert sure(find_cells(electron_view(specks + cut_off), **SIZES)) == []
    assert sure(find_cells(Image(lattice(SHAPE, 20.0, 0).data, ImageMetadata(pixel_size_m=PIXEL_M)), **SIZES)) == []


def test_only_cells_between_the_two_diameters_count() -> None:
    image = electron_view([Dome(-30, 0, 4.5, 4.5), Dome(30, 0, 12, 11)])
    small = sure(find_cells(image, min_diameter_m=7e-6, max_diameter_m=12e-6))
    large = sure(find_cells(image, min_diameter_m=18e-6, max_diameter_m=30e-6))
    assert sum(error_um(cell, image, -30, 0) < 1 for cell in small) == 1
    assert all(cell.width_px * PIXEL_M < 14e-6 for cell in small)
    assert [error_um(cell, image, 30, 0) < 1 for cell in large] == [True]


def test_a_real_grid_square_without_cells_has_none() -> None:
    """A real electron image of a holey film between grid bars, with two milled windows of 5 to 7 µm."""
    image = read_image(data_folder("vendor_tiff", "thermo_electron_hfw150um.tif"))
    assert sure(find_cells(image, **SIZES)) == []


@pytest.mark.parametrize(("x_um", "y_um"), [(0, 0), (12, -9), (-15, 10)])
def test_a_hill_near_the_point_is_found(x_um: float, y_um: float) -> None:
    image = hill_view(x_um, y_um, 16, 6)
    middle = PixelPoint(SHAPE[1] / 2, SHAPE[0] / 2)
    cell = find_cell_near(image, middle, expected_width_m=16e-6)
    assert error_um(cell, image, x_um, y_um) < 1.0
    assert cell.contrast_score > 0.5
    assert cell.width_px * PIXEL_M * 1e6 == pytest.approx(16, abs=2)


def test_the_nearer_of_two_hills_is_taken() -> None:
    left, right = hill_view(-16, 0, 15, 6), hill_view(10, 0, 15, 6)
    both = Image(np.minimum(left.data, right.data), left.metadata)
    cell = find_cell_near(both, PixelPoint(SHAPE[1] / 2, SHAPE[0] / 2), expected_width_m=16e-6)
    assert error_um(cell, both, 10, 0) < 1.5


@pytest.mark.parametrize("seed", range(4))
def test_streaks_of_the_film_are_no_hill(seed: int) -> None:
    image = hill_view(1000, 0, 16, 6, seed=seed)
    with pytest.raises(FeatureNotFoundError, match="no cell within 24 µm"):
        find_cell_near(image, PixelPoint(SHAPE[1] / 2, SHAPE[0] / 2), expected_width_m=16e-6)


def test_a_hill_out_of_reach_is_not_found() -> None:
    image = hill_view(-50, 0, 16, 6, seed=2)
    far = image_to_pixel(ImagePoint(30e-6, 0.0), SHAPE, PIXEL_M)
    with pytest.raises(FeatureNotFoundError):
        find_cell_near(image, far, expected_width_m=16e-6)


def test_without_a_pixel_size_nothing_is_measured() -> None:
    image = gray(0.5 + 0.1 * texture(SHAPE, 0))
    with pytest.raises(Exception, match="no pixel size"):
        find_cells(image, **SIZES)
