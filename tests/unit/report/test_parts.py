"""Scales, details and the timeline are right for any numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from documents import document
from frames import make_image
from hypothesis import given
from hypothesis import strategies as st

from fibsem_runtime.app.report import pictures
from fibsem_runtime.app.report.content import Thickness
from fibsem_runtime.app.report.thickness import make_scale
from fibsem_runtime.app.report.timeline import make_timeline
from fibsem_runtime.core import Image, ImageMetadata, PixelPoint
from fibsem_runtime.events import StepFinished, StepStarted
from fibsem_runtime.experiment import Experiment
from fibsem_runtime.imaging.draw import round_length_m

coordinates = st.floats(0, 64)
IMAGE = make_image()


@given(st.floats(1e-9, 1e-2))
def test_a_scale_bar_is_the_longest_round_length_that_fits(longest_m: float) -> None:
    length_m = round_length_m(longest_m)
    assert longest_m / 2.5001 <= length_m <= longest_m * (1 + 1e-6)
    assert f"{length_m:.3e}"[0] in "125"


@given(st.lists(st.builds(PixelPoint, coordinates, st.floats(0, 48)), min_size=1, max_size=2), st.floats(1e-7, 1e-3))
def test_a_detail_lies_inside_the_image_and_holds_its_points(points: list[PixelPoint], width_m: float) -> None:
    view = pictures._detail_view(IMAGE, points, width_m)
    assert view.left_px >= 0 and view.top_px >= 0
    assert view.left_px + view.width_px <= 64 and view.top_px + view.height_px <= 48
    for point in points:
        assert view.left_px - 1 <= point.x_px <= view.left_px + view.width_px + 1
        assert view.top_px - 1 <= point.y_px <= view.top_px + view.height_px + 1


def test_an_image_without_a_scale_has_no_scale_bar(tmp_path: Path) -> None:
    with Experiment.create(tmp_path / "experiment") as experiment:
        bare = Image(np.zeros((40, 60), np.uint8), ImageMetadata())
        picture = pictures.PictureBook(experiment).whole(experiment.save_image(bare, name="bare"))
    assert isinstance(picture, pictures.Picture)
    assert (picture.scale_bar_m, picture.scale_bar_px) == (None, 0.0)


@given(st.lists(st.floats(1e-9, 1e-5), min_size=1, max_size=5))
def test_the_thickness_scale_holds_every_value_with_few_round_ticks(values_m: list[float]) -> None:
    scale = make_scale(
        [Thickness(measured_m=value, true_m=None, target_m=200e-9, tolerance_m=60e-9) for value in values_m]
    )
    assert scale is not None
    assert all(0 <= scale.fraction(value) < 1 for value in [*values_m, 260e-9])
    assert 2 <= len(scale.ticks_m) <= 7


def test_without_any_thickness_there_is_no_scale() -> None:
    assert make_scale([]) is None
    assert make_scale([Thickness(measured_m=None, true_m=None, target_m=None, tolerance_m=None)]) is None


def test_attempts_are_placed_in_the_whole_time() -> None:
    timeline = make_timeline(
        [
            document(StepStarted, at_s=0, step="rough"),
            document(StepFinished, at_s=25, step="rough", status="failed", duration_s=25),
            document(StepStarted, at_s=50, step="rough", attempt=2),
            document(StepFinished, at_s=100, step="rough", status="completed", duration_s=50),
        ]
    )
    placed = [(b.status, b.attempt, b.start_fraction, b.width_fraction) for b in timeline.bars]
    assert placed == [("failed", 1, 0.0, 0.25), ("completed", 2, 0.5, 0.5)]
    assert timeline.ticks_s[0] == (0, 0.0) and timeline.ticks_s[-1] == (90, pytest.approx(0.9))


def test_a_step_that_a_crash_cut_off_ends_with_the_last_word_of_its_run() -> None:
    timeline = make_timeline(
        [
            document(StepStarted, at_s=0, run_id="first"),
            document(StepFinished, at_s=10, run_id="first", step="other", status="completed", duration_s=1),
            document(StepStarted, at_s=60, run_id="second"),
            document(StepFinished, at_s=100, run_id="second", status="completed", duration_s=40),
        ]
    )
    assert [(bar.status, bar.duration_s) for bar in timeline.bars] == [("unfinished", 10.0), ("completed", 40.0)]


@given(st.floats(0, 1e7))
def test_a_timeline_of_any_length_has_few_ticks_inside_it(span_s: float) -> None:
    timeline = make_timeline([document(StepStarted, at_s=0), document(StepStarted, at_s=span_s)])
    assert 1 <= len(timeline.ticks_s) <= 9
    assert all(0 <= fraction <= 1 for _, fraction in timeline.ticks_s)


def test_nothing_happened_is_an_empty_timeline() -> None:
    assert make_timeline([]).bars == ()
