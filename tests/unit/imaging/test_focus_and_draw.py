"""Sharpness, exposure and drawings."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images import gray
from scenes import texture

from fibsem_runtime.core import Image, ImageMetadata, ImagePoint, PixelPoint
from fibsem_runtime.imaging import (
    Box,
    Mark,
    draw_boxes,
    draw_marks,
    draw_scale_bar,
    draw_title,
    laplacian_score,
    measure_exposure,
    normalised_variance_score,
    side_by_side,
    tenengrad_score,
    to_png,
    to_rgb,
)

BLACK = Image(np.zeros((240, 320), np.uint8), ImageMetadata(pixel_size_m=50e-9))


@pytest.mark.parametrize("score", [tenengrad_score, laplacian_score, normalised_variance_score])
def test_every_blur_lowers_the_sharpness(score) -> None:  # type: ignore[no-untyped-def]
    sharp = 0.5 + 0.15 * texture((200, 200), 1, 1.0)
    scores = [score(gray(cv2.GaussianBlur(sharp, (0, 0), sigma) if sigma else sharp)) for sigma in (0, 1, 2, 4, 8)]
    assert scores == sorted(scores, reverse=True)
    assert score(gray(np.full((50, 50), 0.5))) == pytest.approx(0, abs=1e-6)


def test_sharpness_does_not_depend_on_bit_depth() -> None:
    data = gray(0.5 + 0.1 * texture((100, 100), 2)).data
    wide = Image(data.astype(np.uint16) * 257, ImageMetadata())
    assert tenengrad_score(wide) == pytest.approx(tenengrad_score(Image(data, ImageMetadata())), rel=1e-4)


def test_exposure_counts_black_and_white() -> None:
    data = np.full((10, 10), 128, np.uint8)
    data[0], data[1, :5] = 0, 255
    exposure = measure_exposure(Image(data, ImageMetadata()))
    assert (exposure.black_fraction, exposure.white_fraction) == (0.10, 0.05)
    assert exposure.mean_fraction == pytest.approx(data.mean() / 255)
    assert exposure.deviation_fraction == pytest.approx(data.std() / 255, rel=1e-4)


def test_a_mark_lies_on_its_pixel() -> None:
    drawn = draw_marks(to_rgb(BLACK), [Mark(point=PixelPoint(100.5, 60.5), colour=(0, 255, 0))])
    assert drawn[60, 100, 1] > 240 and drawn[60, 100, 0] == drawn[60, 100, 2] == 0
    rows, columns = np.nonzero(drawn[:, :, 1])
    assert (round((rows.min() + rows.max()) / 2), round((columns.min() + columns.max()) / 2)) == (60, 100)


def test_a_box_encloses_its_area() -> None:
    box = Box(centre=ImagePoint(2e-6, 1e-6), width_m=4e-6, height_m=1e-6, colour=(255, 0, 0))
    drawn = draw_boxes(to_rgb(BLACK), [box], 50e-9)
    rows, columns = np.nonzero(drawn[:, :, 0] > 128)
    assert (columns.min(), columns.max()) == pytest.approx((160, 240), abs=1.5)
    assert (rows.min(), rows.max()) == pytest.approx((90, 110), abs=1.5)


def test_a_rotated_box_turns_counter_clockwise() -> None:
    box = Box(centre=ImagePoint(0, 0), width_m=8e-6, height_m=0.4e-6, rotation_rad=math.pi / 4, colour=(255, 0, 0))
    drawn = draw_boxes(to_rgb(BLACK), [box], 50e-9)[:, :, 0] > 128
    assert drawn[:120, 160:].sum() > 3 * max(1, drawn[:115, :155].sum())


@settings(max_examples=30, deadline=None)
@given(width_px=st.integers(64, 1200), pixel_nm=st.floats(0.5, 5000))
def test_the_scale_bar_is_round_and_as_long_as_it_says(width_px: int, pixel_nm: float) -> None:
    canvas = np.zeros((max(64, width_px // 2), width_px, 3), np.uint8)
    drawn = draw_scale_bar(canvas, pixel_nm * 1e-9)
    longest_px = max(np.count_nonzero(row) for row in (drawn[-200:].min(axis=2) == 255))
    length_nm = longest_px * pixel_nm
    decade = 10 ** math.floor(math.log10(length_nm) + 1e-2)
    assert min(abs(length_nm / decade - step) for step in (1, 2, 5, 10)) < 2.5 * pixel_nm / decade + 1e-6
    assert longest_px <= 0.2 * width_px + 2


def test_canvases_are_not_changed() -> None:
    canvas = to_rgb(BLACK)
    draw_marks(canvas, [Mark(point=PixelPoint(5, 5), label="a")])
    draw_boxes(canvas, [Box(centre=ImagePoint(0, 0), width_m=1e-6, height_m=1e-6)], 50e-9)
    draw_scale_bar(canvas, 50e-9)
    draw_title(canvas, "title")
    assert not canvas.any()


def test_labels_stay_inside_the_picture() -> None:
    corner = Mark(point=PixelPoint(319, 239), label="a long name with 2 µm")
    drawn = draw_marks(to_rgb(BLACK), [corner, Mark(point=PixelPoint(999, 5), label="outside")])
    assert np.count_nonzero(drawn[:, :300].any(axis=2)) > 50


def test_the_rim_of_a_title_follows_its_letters() -> None:
    drawn = draw_title(np.full((200, 600, 3), 128, np.uint8), "block between trenches")
    white, black = (np.flatnonzero(mask.any(axis=0)) for mask in ((drawn > 240).all(axis=2), (drawn < 40).all(axis=2)))
    assert abs(int(black[-1]) - int(white[-1])) <= 6
    assert abs(int(black[0]) - int(white[0])) <= 6


def test_pictures_of_any_height_stand_side_by_side_and_become_png() -> None:
    pair = side_by_side(to_rgb(BLACK), np.zeros((120, 90, 3), np.uint8))
    assert pair.shape[0] == 120
    decoded = cv2.imdecode(np.frombuffer(to_png(pair, max_width_px=100), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None and abs(decoded.shape[1] - 100) <= 1


def test_png_keeps_colours() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[:, :, 0] = 200
    decoded = cv2.imdecode(np.frombuffer(to_png(red), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None and decoded[0, 0].tolist() == [0, 0, 200]


def test_a_flat_image_is_shown_as_it_is() -> None:
    assert set(np.unique(to_rgb(Image(np.full((8, 8), 77, np.uint8), ImageMetadata())))) == {77}
