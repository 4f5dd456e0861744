"""The truth of a frame: masks by the rays that draw it, key points by geometry, one number an object."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import simulators
from simulators import CONDITIONS, PATTERN
from specimens import MILLING_ANGLE_RAD, electron_view, ion_view, make_specimen, make_trench, mill_lamella, shifted

from drivers.simulator import plugin
from drivers.simulator.bodies import Body, BodyKind
from drivers.simulator.frame_truth import frame_truth
from drivers.simulator.region import region_of
from drivers.simulator.sample import Sample
from drivers.simulator.scenery import Layer
from drivers.simulator.slab_search import find_slabs
from drivers.simulator.things import find_things
from drivers.simulator.view import View
from fibsem_runtime.core import CancelToken, ImageSettings, PixelPoint, RelativeArea
from fibsem_runtime.core.errors import ExperimentError
from fibsem_runtime.hal.truth import KEY_POINTS, FrameTruth, ObjectClass

TOP_OF_CELL = (0.0, 0.0, 4.9e-6)
FRAME = ImageSettings(width_px=192, height_px=128, hfw_m=20e-6)
THICKNESS_M = 0.8e-6
NAMES = set(KEY_POINTS[ObjectClass.LAMELLA])


@pytest.fixture(scope="module")
def milled() -> Sample:
    sample = make_specimen(holes=False)
    mill_lamella(sample, thickness_m=THICKNESS_M, sigma_m=8e-9)
    return sample


@pytest.fixture(scope="module")
def two_lamellae() -> Sample:
    sample = make_specimen(holes=False)
    mill_lamella(sample, thickness_m=THICKNESS_M, sigma_m=8e-9)
    other = sample.cells[1]
    place = (other.x_m, other.y_m, other.height_m - 1e-6)
    for low_m in (0.5e-6, -3.5e-6):
        sample.cuts.append(make_trench(v_low_m=low_m, v_high_m=low_m + 3e-6, width_m=8e-6, origin=place))
    return sample


def truth_of(sample: Sample, view: View, settings: ImageSettings = FRAME) -> FrameTruth:
    body = Body(number=0, kind=BodyKind.GRID, sample=sample)
    return frame_truth([Layer(number=0, sample=sample, view=view)], region_of(settings), find_things([body]))


def places_m(truth: FrameTruth, settings: ImageSettings) -> dict[str, tuple[float, float]]:
    """Return key points as metres from the image centre, y up."""
    pixel_m = settings.pixel_size_m
    return {
        name: (
            (known.point.x_px - settings.width_px / 2) * pixel_m,
            (settings.height_px / 2 - known.point.y_px) * pixel_m,
        )
        for name, known in truth.key_points.items()
    }


def test_key_points_are_where_the_slab_is(milled: Sample) -> None:
    truth = truth_of(milled, shifted(ion_view(centre=TOP_OF_CELL), 1e-6, -0.5e-6))
    expected = {
        "LamellaCentre": (1e-6, -0.5e-6),
        "CoreFeature": (1e-6, -0.5e-6),
        "LamellaLeftEdge": (-4e-6, -0.5e-6),
        "LamellaRightEdge": (6e-6, -0.5e-6),
        "LamellaTopEdge": (1e-6, -0.5e-6 + THICKNESS_M / 2),
        "LamellaBottomEdge": (1e-6, -0.5e-6 - THICKNESS_M / 2),
        "ImageCentre": (0.0, 0.0),
    }
    found = places_m(truth, FRAME)
    assert found.keys() == expected.keys()
    assert all(known.is_visible for known in truth.key_points.values())
    for name, place_m in expected.items():
        assert found[name] == pytest.approx(place_m, abs=0.1e-6), name


def test_key_points_depend_neither_on_pixel_size_nor_on_the_border(milled: Sample) -> None:
    view = shifted(ion_view(centre=TOP_OF_CELL), 7e-6, 0.3e-6)
    narrow, wide = FRAME, ImageSettings(width_px=600, height_px=400, hfw_m=40e-6)
    cut_off, whole = truth_of(milled, view, narrow), truth_of(milled, view, wide)
    assert cut_off.key_points.keys() == whole.key_points.keys()
    for name, place_m in places_m(whole, wide).items():
        assert places_m(cut_off, narrow)[name] == pytest.approx(place_m, abs=0.03e-6), name
    assert not cut_off.key_points["LamellaRightEdge"].is_visible
    assert cut_off.key_points["LamellaLeftEdge"].is_visible
    assert all(known.is_visible for known in whole.key_points.values())


def test_the_mask_is_what_the_pixels_show(milled: Sample) -> None:
    view = electron_view(0.2, centre=TOP_OF_CELL)
    truth = truth_of(milled, view)
    assert set(np.unique(truth.classes)) == {ObjectClass.BACKGROUND, ObjectClass.LAMELLA}
    assert np.array_equal(truth.instances > 0, truth.classes > 0)
    fine = truth_of(milled, view, replace(FRAME, width_px=960, height_px=640))
    # The same centre is the middle of every fifth pixel of the finer frame: one ray, one answer.
    assert np.array_equal(truth.classes, fine.classes[2::5, 2::5])


def test_the_electron_mask_shows_surface_and_milled_face(milled: Sample) -> None:
    points = places_m(truth_of(milled, electron_view(0.2, centre=TOP_OF_CELL)), FRAME)
    length_m = points["LamellaTopEdge"][1] - points["LamellaBottomEdge"][1]
    # At 12 degrees a slab of 0.8 um is 3.8 um long on a flat surface; the dome is curved and its face is seen as well.
    assert 0.6 < length_m / (THICKNESS_M / math.sin(MILLING_ANGLE_RAD)) < 4


def test_an_object_says_how_thick_it_is_and_what_holds_it(milled: Sample) -> None:
    (lamella,) = truth_of(milled, ion_view(centre=TOP_OF_CELL)).objects
    assert lamella.object_class is ObjectClass.LAMELLA
    assert lamella.thickness_m == pytest.approx(THICKNESS_M, abs=0.05e-6)
    assert {"left", "right"} <= set(lamella.attached_to)


def test_every_lamella_has_its_number_and_the_frame_names_the_middle_one(two_lamellae: Sample) -> None:
    wide = ImageSettings(width_px=360, height_px=240, hfw_m=90e-6)
    first = truth_of(two_lamellae, ion_view(centre=TOP_OF_CELL), wide)
    assert [one.instance for one in first.objects] == [1, 2]
    for one in first.objects:
        rows, columns = np.nonzero(first.instances == one.instance)
        middle = one.key_points["LamellaCentre"].point
        assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((middle.x_px, middle.y_px), abs=1.0)
    other = two_lamellae.cells[1]
    second = truth_of(two_lamellae, ion_view(centre=(other.x_m, other.y_m, other.height_m)), wide)
    nearest = {one.key_points["LamellaCentre"].point: one.instance for one in second.objects}
    assert nearest[second.key_points["LamellaCentre"].point] != nearest_to_middle(first)


def nearest_to_middle(truth: FrameTruth) -> int:
    chosen = truth.key_points["LamellaCentre"].point
    return next(one.instance for one in truth.objects if one.key_points["LamellaCentre"].point == chosen)


def test_a_reduced_area_is_the_crop(milled: Sample) -> None:
    view = ion_view(centre=TOP_OF_CELL)
    area = RelativeArea(left_fraction=0.25, top_fraction=0.4, width_fraction=0.5, height_fraction=0.25)
    full, part = truth_of(milled, view), truth_of(milled, view, replace(FRAME, reduced_area=area))
    left, top, width, height = area.to_pixels(FRAME.width_px, FRAME.height_px)
    assert np.array_equal(part.classes, full.classes[top : top + height, left : left + width])
    for name in NAMES:
        whole, cropped = full.key_points[name].point, part.key_points[name].point
        assert (cropped.x_px + left, cropped.y_px + top) == pytest.approx((whole.x_px, whole.y_px), abs=1e-6), name
    assert part.key_points["ImageCentre"].point == PixelPoint(width / 2, height / 2)


def test_without_a_lamella_everything_is_background() -> None:
    truth = truth_of(make_specimen(), ion_view(centre=TOP_OF_CELL))
    assert not truth.classes.any() and not truth.objects
    assert truth.key_points.keys() == {"ImageCentre"}


def test_one_trench_and_trenches_far_apart_leave_no_lamella() -> None:
    sample = make_specimen(holes=False)
    sample.cuts.append(make_trench(v_low_m=0.5e-6, v_high_m=3e-6))
    assert find_slabs(sample) == []
    sample.cuts.append(make_trench(v_low_m=-12e-6, v_high_m=-8e-6))
    assert find_slabs(sample) == []


def test_nested_trenches_are_one_lamella() -> None:
    sample = make_specimen(holes=False)
    mill_lamella(sample, thickness_m=0.4e-6, count=6)
    assert len(find_slabs(sample)) == 1


def test_a_frame_shows_what_was_milled_when_it_was_taken() -> None:
    instrument = plugin.open(simulators.settings(), seed=simulators.SEED, state_directory=None)
    truth, cancel = plugin.truth(instrument), CancelToken()
    assert truth is not None
    simulators.ready_to_mill(instrument)
    settings = ImageSettings(width_px=96, height_px=64, hfw_m=20e-6)
    before = instrument.ion_beam.acquire(settings, cancel=cancel)
    instrument.milling.draw(PATTERN, CONDITIONS)
    instrument.milling.run(cancel=cancel)
    instrument.milling.stop()
    after = instrument.ion_beam.acquire(settings, cancel=cancel)
    assert not truth.frame(before.metadata.frame_id).classes.any()
    shown = truth.frame(after.metadata.frame_id)
    assert shown.classes.shape == after.shape and len(shown.objects) == 1
    centre = shown.key_points["LamellaCentre"].point
    seen = truth.specimen_point(after.metadata.frame_id, centre)
    assert (shown.classes[int(centre.y_px), int(centre.x_px)]) == ObjectClass.LAMELLA
    assert abs(seen.x_m) < 1e-6


def test_a_frame_of_another_instrument_is_refused() -> None:
    instrument = plugin.open(simulators.settings(), seed=simulators.SEED, state_directory=None)
    truth = plugin.truth(instrument)
    assert truth is not None
    with pytest.raises(ExperimentError, match="no-such-frame"):
        truth.frame("no-such-frame")
