"""Coincidence: the height is read from both beams, or refused (check C7)."""

from __future__ import annotations

import numpy as np
import pytest
from images import gray
from scenes import PIXEL_M, SHAPE, Dome, electron_view, ion_view, lattice

from fibsem_runtime.core import Image, ImageMetadata
from fibsem_runtime.core.errors import AlignmentError
from fibsem_runtime.imaging import measure_coincidence

DOMES = [Dome(-30, 20), Dome(5, -5), Dome(35, -25, 9, 6)]


@pytest.mark.parametrize("stretch_ratio", [1.0, 1.62, 2.3])
@pytest.mark.parametrize("offset_um", [(0.0, 0.0), (2.0, 9.0), (-1.0, -14.0)])
def test_the_offset_of_the_ion_image_is_found(stretch_ratio: float, offset_um: tuple[float, float]) -> None:
    electron = electron_view(DOMES, seed=3)
    ion = ion_view(DOMES, stretch_ratio, offset_um=offset_um, seed=3)
    found = measure_coincidence(electron, ion, stretch_ratio)
    assert found.offset.x_m * 1e6 == pytest.approx(offset_um[0], abs=0.5)
    assert found.offset.y_m * 1e6 == pytest.approx(offset_um[1], abs=0.5)
    assert found.rival_ratio < 0.8


def test_images_of_other_sizes_and_pixels_give_the_same() -> None:
    electron, ion = electron_view(DOMES, seed=5), ion_view(DOMES, 1.62, offset_um=(0, 6), seed=5)
    part = Image(np.ascontiguousarray(electron.data[50:-50, 75:-75]), electron.metadata)
    found = measure_coincidence(part, ion, 1.62)
    assert found.offset.y_m * 1e6 == pytest.approx(6, abs=0.6)


@pytest.mark.parametrize("seed", range(3))
def test_two_places_of_the_film_are_refused(seed: int) -> None:
    with pytest.raises(AlignmentError):
        measure_coincidence(electron_view([], seed=seed), ion_view([], 1.62, seed=seed + 40), 1.62)


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (gray(rng.uniform(size=SHAPE), pixel_size_m=PIXEL_M) for _ in range(2))
    with pytest.raises(AlignmentError):
        measure_coincidence(first, second, 1.62)


def test_a_bare_lattice_is_refused() -> None:
    metadata = ImageMetadata(pixel_size_m=PIXEL_M)
    first, second = (Image(lattice(SHAPE, 20.0, seed, (seed * 6.0, 0)).data, metadata) for seed in range(2))
    with pytest.raises(AlignmentError, match=r"ambiguous|edge of the search|apart"):
        measure_coincidence(first, second, 1.0)
