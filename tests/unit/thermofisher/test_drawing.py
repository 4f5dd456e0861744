"""What is left of a drawing after beam time: nothing is milled twice and nothing is left out."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fault_table import CONDITIONS, SHAPES
from hypothesis import given
from hypothesis import strategies as st
from thermofisher_fake import SETTINGS

from drivers.simulator.pattern import draw_pattern
from drivers.thermofisher.drawing import Drawing, plan, remaining
from drivers.thermofisher.settings import ThermoFisherSettings
from fibsem_runtime.core import ImagePoint
from fibsem_runtime.core.errors import MillingError
from fibsem_runtime.hal import CrossSection, RectangleShape, ScanDirection

CONFIG = ThermoFisherSettings.model_validate(SETTINGS)
LENGTHS_M = st.floats(0.2e-6, 10e-6)


@st.composite
def shapes(draw: st.DrawFn) -> RectangleShape:
    return RectangleShape(
        centre=ImagePoint(draw(st.floats(-5e-6, 5e-6)), draw(st.floats(-3e-6, 3e-6))),
        width_m=draw(LENGTHS_M),
        height_m=draw(LENGTHS_M),
        depth_m=draw(LENGTHS_M),
        rotation_rad=draw(st.floats(-math.pi, math.pi)),
        scan_direction=draw(st.sampled_from(ScanDirection)),
        cross_section=draw(st.sampled_from([CrossSection.RECTANGLE, CrossSection.CLEANING])),
    )


def drawing(*found: RectangleShape) -> Drawing:
    return plan(found, CONDITIONS, CONFIG)


def contains(shape: RectangleShape, x_m: float, y_m: float) -> bool:
    dx_m, dy_m = x_m - shape.centre.x_m, y_m - shape.centre.y_m
    cos, sin = math.cos(shape.rotation_rad), math.sin(shape.rotation_rad)
    along_m, across_m = dx_m * cos + dy_m * sin, dy_m * cos - dx_m * sin
    return abs(along_m) <= shape.width_m / 2 and abs(across_m) <= shape.height_m / 2


@given(st.lists(shapes(), min_size=1, max_size=4), st.floats(0, 1))
def test_what_is_left_takes_the_time_that_is_left(found: list[RectangleShape], fraction: float) -> None:
    whole = drawing(*found)
    skip_s = fraction * whole.total_s
    rest = remaining(whole, skip_s)
    # Of a begun shape 0.1 s may be left out, or the last 20 nm: at most a tenth of the thinnest shape here.
    left_out_s = max(0.1, 0.1 * max(whole.durations_s))
    assert whole.total_s - skip_s - left_out_s <= rest.total_s <= (whole.total_s - skip_s) + 1e-5 * whole.total_s
    again_s = plan(rest.shapes, CONDITIONS, CONFIG).total_s if rest.shapes else 0.0
    assert again_s == pytest.approx(rest.total_s, abs=1e-6 * whole.total_s)


@given(shapes(), st.floats(0.05, 0.85), st.floats(-1, 1), st.floats(-1, 1))
def test_a_cleaning_cross_section_keeps_the_lines_before_its_face(
    shape: RectangleShape, done: float, x: float, y: float
) -> None:
    """A point is left exactly when the milled line, advancing in the scan direction, has not reached it."""
    shape = replace(shape, cross_section=CrossSection.CLEANING)
    whole = plan([shape], replace(CONDITIONS, dose_c_per_m3=2e12), CONFIG)
    (rest,) = remaining(whole, done * whole.total_s).shapes
    cos, sin = math.cos(shape.rotation_rad), math.sin(shape.rotation_rad)
    along_m, across_m = x * shape.width_m / 2, y * shape.height_m / 2
    place = (shape.centre.x_m + along_m * cos - across_m * sin, shape.centre.y_m + along_m * sin + across_m * cos)
    way = {
        ScanDirection.LEFT_TO_RIGHT: (1 + x) / 2,
        ScanDirection.RIGHT_TO_LEFT: (1 - x) / 2,
        ScanDirection.BOTTOM_TO_TOP: (1 + y) / 2,
        ScanDirection.TOP_TO_BOTTOM: (1 - y) / 2,
    }[shape.scan_direction]
    if abs(way - done) > 1e-6 and max(abs(x), abs(y)) < 1 - 1e-6:
        assert contains(rest, *place) is (way > done)


@given(st.lists(shapes(), min_size=1, max_size=3))
def test_the_beam_time_is_that_of_the_simulator(found: list[RectangleShape]) -> None:
    pattern = draw_pattern(found, current_a=CONDITIONS.beam_current_a, dose_c_per_m3=CONDITIONS.dose_c_per_m3)
    assert drawing(*found).durations_s == pytest.approx(pattern.durations_s)


def test_a_staircase_is_not_continued_in_its_middle_but_before_and_after_it() -> None:
    staircase = replace(SHAPES[0], cross_section=CrossSection.REGULAR)
    whole = drawing(SHAPES[0], staircase)
    first_s = whole.durations_s[0]
    assert remaining(whole, first_s).shapes == (staircase,)
    assert remaining(whole, whole.total_s).shapes == ()
    with pytest.raises(MillingError, match="cannot be continued"):
        remaining(whole, first_s + 0.5 * whole.durations_s[1])


@pytest.mark.parametrize("skip", [-1.0, 1e9, math.nan])
def test_time_outside_the_drawing_is_refused(skip: float) -> None:
    with pytest.raises(MillingError, match="the pattern takes"):
        remaining(drawing(*SHAPES), skip)


@pytest.mark.parametrize("name", ["width_m", "height_m", "depth_m"])
def test_a_shape_without_extent_is_refused(name: str) -> None:
    with pytest.raises(MillingError, match="above 0 m"):
        drawing(replace(SHAPES[0], **{name: 0.0}))


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(MillingError, match="no shape"):
        drawing()
