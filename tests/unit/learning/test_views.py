"""Changed views stay labelled truthfully and are the same for the same seed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from class_maps import LAMELLA, MANIPULATOR, box, empty, gray, needle
from hypothesis import given, settings
from hypothesis import strategies as st

from fibsem_runtime.core import Image, ImageMetadata
from fibsem_runtime.learning.augment import View, augment, transplant
from fibsem_runtime.learning.batches import NETWORK_SIZE, BatchMaker, Source, series_sources, to_view
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


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_lent_object_covers_what_lies_behind_and_enters_from_the_border(seed: int) -> None:
    view = transplant(VIEW, DONOR, np.random.default_rng(seed))
    lent = view.labels == MANIPULATOR
    assert np.array_equal(view.labels[~lent], SCENE[~lent])
    assert np.array_equal(view.gray[~near(lent)], VIEW.gray[~near(lent)])
    assert not lent.any() or lent[:, [0, -1]].any()


def near(mask: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((25, 25), np.uint8))) > 0


def test_every_other_view_or_so_is_lent_something() -> None:
    views = [transplant(VIEW, DONOR, np.random.default_rng(seed)) for seed in range(20)]
    assert 8 < sum(np.any(view.labels == MANIPULATOR) for view in views) < 20


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_a_view_gets_no_second_manipulator_but_may_get_another_lamella(seed: int) -> None:
    assert transplant(DONOR, DONOR, np.random.default_rng(seed)) is DONOR
    block = box(empty(), LAMELLA, 100, 100, 160, 140)
    view = transplant(VIEW, View(gray(block), block), np.random.default_rng(seed))
    assert np.all(view.labels[SCENE == LAMELLA] == LAMELLA) and set(np.unique(view.labels)) == {0, LAMELLA, 3}


def test_a_long_series_does_not_crowd_out_a_short_one() -> None:
    def sample(name: str) -> Sample:
        seed = sum(name.encode())
        pixels = np.random.default_rng(seed).integers(0, 255, (128, 192)).astype(np.uint8)
        return Sample(name, Image(pixels, ImageMetadata()), np.zeros((128, 192), np.uint8))

    sources = series_sources([sample(f"landing_{index}_ib") for index in range(9)] + [sample("thin_eb")], 0.6)
    assert [len(source.views) for source in sources] == [9, 1]
    assert [source.share_fraction for source in sources] == pytest.approx([0.45, 0.15])


def test_simulated_frames_lend_nothing() -> None:
    bare = View(gray(empty()), empty())
    maker = BatchMaker([Source([bare], 1.0), Source([DONOR], 0.0, lends=False)], seed=1)
    assert not any(maker.draw()[1].any() for _ in range(20))


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
