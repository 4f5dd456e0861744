"""Changed views stay labelled truthfully and are the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from class_maps import LAMELLA, MANIPULATOR, box, empty, gray, needle
from hypothesis import given, settings
from hypothesis import strategies as st

from fibsem_runtime.core import Image, ImageMetadata
from fibsem_runtime.learning.augment import View, augment, paste_manipulator
from fibsem_runtime.learning.batches import NETWORK_SIZE, BatchMaker, Source, to_view
from fibsem_runtime.learning.dataset import Sample
from fibsem_runtime.learning.degrade import degrade

SCENE = box(box(empty(), LAMELLA, 300, 200, 450, 260), 3, 600, 0, 768, 512)
VIEW = View(gray(SCENE), SCENE)
DONOR = View(gray(needle(empty(), 300, 256)), needle(empty(), 300, 256))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_a_changed_view_has_the_asked_size_and_only_known_classes(seed: int) -> None:
    view = augment(VIEW, DONOR, (384, 256), 0.5, np.random.default_rng(seed))
    assert view.gray.shape == view.labels.shape == (256, 384)
    assert view.gray.dtype == view.labels.dtype == np.uint8
    assert set(np.unique(view.labels)) <= {0, LAMELLA, MANIPULATOR, 3}


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_degrading_keeps_the_scene_recognisable(seed: int) -> None:
    changed = degrade(VIEW.gray, np.random.default_rng(seed))
    assert changed.shape == VIEW.gray.shape and changed.dtype == np.uint8
    assert changed.std() > 0.5, "an image without any contrast teaches nothing"


def test_a_pasted_manipulator_covers_what_lies_behind_and_enters_from_the_border() -> None:
    view = paste_manipulator(VIEW, DONOR, np.random.default_rng(3))
    pasted = view.labels == MANIPULATOR
    assert pasted[:, 0].any()
    assert np.array_equal(view.labels[~pasted], SCENE[~pasted])
    far = ~np.asarray(pasted)
    far[:, : pasted.nonzero()[1].max() + 8] = False
    assert np.array_equal(view.gray[far], VIEW.gray[far])


def test_a_view_without_a_manipulator_to_lend_stays_as_it_is() -> None:
    assert paste_manipulator(VIEW, VIEW, np.random.default_rng(0)) is VIEW


@pytest.mark.parametrize("size", [(1536, 1024), (768, 512), (1075, 717), (1024, 1024)])
def test_every_image_is_stored_at_the_same_scale_of_the_frame(size: tuple[int, int]) -> None:
    width_px, height_px = size
    labels = np.zeros((height_px, width_px), np.uint8)
    labels[height_px // 2 :] = 1
    view = to_view(Sample("a", Image(labels * 100, ImageMetadata()), labels))
    assert view.gray.shape[1] == 1.5 * NETWORK_SIZE[0] or view.gray.shape[0] == 1.5 * NETWORK_SIZE[1]
    assert view.labels.mean() == pytest.approx(0.5, abs=0.01)


def test_16_bit_images_train_like_8_bit_ones() -> None:
    ramp = np.tile(np.arange(1152, dtype=np.uint16) * 3, (768, 1))
    view = to_view(Sample("a", Image(ramp, ImageMetadata()), np.zeros((768, 1152), np.uint8)))
    assert view.gray.min() == 0 and view.gray.max() == 255


def test_the_same_seed_draws_the_same_batches_and_another_seed_others() -> None:
    def draw(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        maker = BatchMaker([Source([VIEW], 0.5), Source([DONOR], 0.5)], seed=seed)
        return [maker.draw() for _ in range(4)]

    first, again, other = draw(1), draw(1), draw(2)
    assert all(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True) if a[0].shape == b[0].shape)
