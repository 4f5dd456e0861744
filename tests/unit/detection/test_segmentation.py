"""Bodies of a class map are exactly its connected regions, however many there are and however they nest."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from class_maps import LAMELLA, box, empty, segmentation
from hypothesis import given, settings
from hypothesis import strategies as st

from fibsem_runtime.detection.segmentation import find_bodies


@given(seed=st.integers(0, 10_000), grain_px=st.floats(0.5, 12), level=st.floats(0.3, 0.7))
@settings(max_examples=60, deadline=None)
def test_bodies_are_what_opencv_counts(seed: int, grain_px: float, level: float) -> None:
    noise = np.random.default_rng(seed).random((90, 120)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), grain_px)
    classes = (smooth > np.quantile(smooth, level)).astype(np.uint8)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(classes, connectivity=8)
    bodies = find_bodies(segmentation(classes), LAMELLA)
    assert len(bodies) == count - 1
    assert [b.pixel_count for b in bodies] == sorted(stats[1:, cv2.CC_STAT_AREA], reverse=True)
    for body in bodies:
        left, top, width, height = body.box
        row, column = (int(i[0]) for i in np.nonzero(body.mask))
        label = labels[top + row, left + column]
        assert np.array_equal(body.mask, labels[top : top + height, left : left + width] == label)
        assert body.centre_px == pytest.approx(tuple(centres[label] + 0.5))
        assert body.pixel_count == stats[label, cv2.CC_STAT_AREA]


def test_an_island_in_a_hole_is_a_body_of_its_own() -> None:
    classes = box(empty(), LAMELLA, 100, 100, 200, 200)
    classes = box(classes, 0, 120, 120, 180, 180)
    classes = box(classes, LAMELLA, 140, 140, 160, 160)
    ring, island = find_bodies(segmentation(classes), LAMELLA)
    assert (ring.pixel_count, island.pixel_count) == (100 * 100 - 60 * 60, 400)
    assert island.box == (140, 140, 20, 20)


def test_the_share_of_a_body_is_its_own_and_not_that_of_its_box() -> None:
    classes = box(empty(), LAMELLA, 100, 100, 200, 200)
    classes[100:150, 100:150] = 0
    maps = segmentation(classes, share=0.2)
    maps.confidence[classes == LAMELLA] = 255
    (body,) = find_bodies(maps, LAMELLA)
    assert body.body_share == pytest.approx(1.0)
