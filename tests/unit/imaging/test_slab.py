"""Thickness of a lamella seen edge-on: within nanometres, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from images import gray
from scenes import slab_view

from fibsem_runtime.core import Image, PixelPoint
from fibsem_runtime.core.errors import AlignmentError, DetectionError, FeatureNotFoundError
from fibsem_runtime.imaging import measure_slab

MIDDLE = PixelPoint(350, 200)


@pytest.mark.parametrize("thickness_nm", [100, 150, 200, 250, 400])
@pytest.mark.parametrize("tilt_deg", [0.0, -1.5, 3.0])
def test_a_level_or_tilted_slab_is_measured_within_five_nanometres(thickness_nm: float, tilt_deg: float) -> None:
    image = slab_view(thickness_nm, tilt_deg=tilt_deg, seed=int(thickness_nm))
    slab = measure_slab(image, MIDDLE, width_m=4e-6)
    assert slab.thickness_m * 1e9 == pytest.approx(thickness_nm, abs=5)
    assert np.degrees(slab.tilt_rad) == pytest.approx(tilt_deg, abs=0.2)
    assert slab.thickness_min_m <= slab.thickness_m <= slab.thickness_max_m
    assert slab.uncertainty_m < 10e-9


@pytest.mark.parametrize("face_nm", [60, 90])
@pytest.mark.parametrize("thickness_nm", [200, 300])
def test_a_tapering_slab_reads_between_its_thin_and_its_thick_end(thickness_nm: float, face_nm: float) -> None:
    slab = measure_slab(slab_view(thickness_nm, face_nm=face_nm), MIDDLE, width_m=4e-6)
    assert thickness_nm - face_nm < slab.thickness_m * 1e9 < thickness_nm + face_nm + 12


@pytest.mark.parametrize("pixel_nm", [10.0, 13.0, 20.0])
def test_the_pixel_size_does_not_matter(pixel_nm: float) -> None:
    slab = measure_slab(slab_view(200, pixel_nm=pixel_nm), MIDDLE, width_m=3e-6)
    assert slab.thickness_m * 1e9 == pytest.approx(200, abs=6)


@pytest.mark.parametrize("offset_nm", [-250, 150, 300])
def test_a_slab_beside_its_place_is_measured_where_it_is(offset_nm: float) -> None:
    slab = measure_slab(slab_view(200, offset_nm=offset_nm), MIDDLE, width_m=4e-6)
    assert slab.thickness_m * 1e9 == pytest.approx(200, abs=5)
    assert (slab.centre.y_px - MIDDLE.y_px) * 13 == pytest.approx(offset_nm, abs=5)


def test_a_slab_that_is_gone_or_elsewhere_has_no_thickness() -> None:
    with pytest.raises(FeatureNotFoundError, match="no bright band"):
        measure_slab(slab_view(0), MIDDLE, width_m=4e-6)
    with pytest.raises(DetectionError):
        measure_slab(slab_view(200, offset_nm=600), MIDDLE, width_m=4e-6)


def test_two_slabs_are_ambiguous() -> None:
    upper, lower = slab_view(120, offset_nm=-200, seed=1), slab_view(120, offset_nm=200, seed=2)
    both = Image(np.maximum(upper.data, lower.data), upper.metadata)
    with pytest.raises(AlignmentError, match="2 bright bands"):
        measure_slab(both, MIDDLE, width_m=4e-6)


@pytest.mark.parametrize("seed", range(5))
def test_noise_and_plain_gray_have_no_thickness(seed: int) -> None:
    noise = np.random.default_rng(seed).uniform(size=(400, 700))
    with pytest.raises(DetectionError):
        measure_slab(gray(noise, pixel_size_m=13e-9), MIDDLE, width_m=4e-6)
    with pytest.raises(DetectionError):
        measure_slab(gray(np.full((400, 700), 0.5), pixel_size_m=13e-9), MIDDLE, width_m=4e-6)


def test_a_broken_slab_is_refused() -> None:
    image = slab_view(200)
    data = image.data.copy()
    data[:, 250:450] = slab_view(0, seed=4).data[:, 250:450]
    with pytest.raises(DetectionError):
        measure_slab(Image(data, image.metadata), MIDDLE, width_m=4e-6)


def test_a_slab_at_the_border_or_of_few_pixels_is_refused() -> None:
    image = slab_view(200)
    with pytest.raises(FeatureNotFoundError, match="leaves the image"):
        measure_slab(image, PixelPoint(20, 200), width_m=4e-6)
    with pytest.raises(FeatureNotFoundError, match="too few to measure"):
        measure_slab(image, MIDDLE, width_m=0.2e-6)
