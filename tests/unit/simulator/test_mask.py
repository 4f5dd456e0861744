from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from specimens import ion_view, make_specimen, mill_lamella

from drivers.simulator.mask import class_mask
from drivers.simulator.sample import Sample
from fibsem_runtime.core import ImageSettings, RelativeArea, SpecimenPosition
from fibsem_runtime.hal.truth import ObjectClass

TOP_OF_CELL = (0.0, 0.0, 4.9e-6)
TARGET = SpecimenPosition(x_m=0.0, y_m=0.0, z_m=4.9e-6)
FRAME = ImageSettings(width_px=768, height_px=512, hfw_m=20e-6)
THICKNESS_M = 0.8e-6


@pytest.fixture(scope="module")
def milled() -> Sample:
    sample = make_specimen(holes=False)
    mill_lamella(sample, thickness_m=THICKNESS_M, sigma_m=8e-9)
    return sample


def test_the_ion_mask_is_the_front_of_the_slab(milled: Sample) -> None:
    view = ion_view(centre=TOP_OF_CELL)
    mask = class_mask(milled, view, FRAME, [TARGET], view)
    rows, columns = np.nonzero(mask == ObjectClass.LAMELLA)
    pixel_m = FRAME.pixel_size_m
    assert (np.ptp(columns) + 1) * pixel_m == pytest.approx(10e-6, abs=0.25e-6)
    assert np.median(np.bincount(columns)[columns.min() + 40 : columns.max() - 40]) * pixel_m == pytest.approx(
        THICKNESS_M, abs=0.1e-6
    )
    assert abs(rows.mean() + 0.5 - 256) * pixel_m < 0.1e-6


def test_a_reduced_area_is_the_crop_of_the_mask(milled: Sample) -> None:
    view = ion_view(centre=TOP_OF_CELL)
    area = RelativeArea(left_fraction=0.25, top_fraction=0.4, width_fraction=0.5, height_fraction=0.25)
    full = class_mask(milled, view, FRAME, [TARGET], view)
    part = class_mask(milled, view, replace(FRAME, reduced_area=area), [TARGET], view)
    left, top, width, height = area.to_pixels(768, 512)
    assert np.array_equal(part, full[top : top + height, left : left + width])


def test_without_a_lamella_everything_is_background() -> None:
    view = ion_view(centre=TOP_OF_CELL)
    mask = class_mask(make_specimen(), view, FRAME, [TARGET], view)
    assert (mask == ObjectClass.BACKGROUND).all()
