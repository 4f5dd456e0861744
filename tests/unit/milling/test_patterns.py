"""Patterns: where their rectangles lie and which way they are scanned (milling.md section 1)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fibsem_runtime.core import ImagePoint
from fibsem_runtime.hal.shapes import CrossSection, RectangleShape, ScanDirection
from fibsem_runtime.milling import (
    FiducialPattern,
    MicroExpansionPattern,
    Pattern,
    RectanglePattern,
    TrenchPattern,
    outside_field,
)

UM = 1e-6
sizes_um = st.floats(0.1, 50)
places_um = st.tuples(st.floats(-100, 100), st.floats(-100, 100))
offsets = st.builds(lambda x, y: ImagePoint(x * UM, y * UM), st.floats(-20, 20), st.floats(-20, 20))


def corners(shape: RectangleShape) -> list[tuple[float, float]]:
    cos, sin = math.cos(shape.rotation_rad), math.sin(shape.rotation_rad)
    return [
        (
            shape.centre.x_m + a * shape.width_m / 2 * cos - b * shape.height_m / 2 * sin,
            shape.centre.y_m + a * shape.width_m / 2 * sin + b * shape.height_m / 2 * cos,
        )
        for a in (-1, 1)
        for b in (-1, 1)
    ]


@given(point_um=places_um, spacing_um=sizes_um, upper_um=sizes_um, lower_um=sizes_um, width_um=sizes_um, offset=offsets)
def test_a_trench_leaves_exactly_its_spacing_around_the_target(
    point_um: tuple[float, float],
    spacing_um: float,
    upper_um: float,
    lower_um: float,
    width_um: float,
    offset: ImagePoint,
) -> None:
    pattern = TrenchPattern(
        point_um=point_um,
        spacing_um=spacing_um,
        upper_height_um=upper_um,
        lower_height_um=lower_um,
        width_um=width_um,
        depth_um=7,
    )
    upper, lower = pattern.shapes(offset)
    middle_m = point_um[1] * UM + offset.y_m
    assert min(y for _, y in corners(upper)) == pytest.approx(middle_m + spacing_um / 2 * UM, abs=1e-12)
    assert max(y for _, y in corners(lower)) == pytest.approx(middle_m - spacing_um / 2 * UM, abs=1e-12)
    assert (upper.height_m, lower.height_m) == pytest.approx((upper_um * UM, lower_um * UM))
    for shape in (upper, lower):
        assert shape.centre.x_m == pytest.approx(point_um[0] * UM + offset.x_m, abs=1e-12)
        assert (shape.width_m, shape.depth_m) == pytest.approx((width_um * UM, 7e-6))


def test_both_sides_of_a_trench_are_milled_towards_the_lamella() -> None:
    upper, lower = TrenchPattern(cross_section=CrossSection.CLEANING).shapes()
    assert upper.centre.y_m > 0 > lower.centre.y_m
    assert upper.scan_direction is ScanDirection.TOP_TO_BOTTOM
    assert lower.scan_direction is ScanDirection.BOTTOM_TO_TOP
    assert upper.cross_section is lower.cross_section is CrossSection.CLEANING


@given(distance_um=sizes_um, offset=offsets)
def test_expansion_joints_stand_left_and_right_of_the_lamella(distance_um: float, offset: ImagePoint) -> None:
    left, right = MicroExpansionPattern(distance_um=distance_um).shapes(offset)
    assert left.centre.x_m == pytest.approx(offset.x_m - distance_um * UM)
    assert right.centre.x_m == pytest.approx(offset.x_m + distance_um * UM)
    assert left.centre.y_m == right.centre.y_m == offset.y_m
    assert left.height_m > left.width_m


@given(rotation_deg=st.floats(-180, 180), offset=offsets)
def test_a_fiducial_is_two_crossed_bars(rotation_deg: float, offset: ImagePoint) -> None:
    first, second = FiducialPattern(rotation_deg=rotation_deg, width_um=1, height_um=10).shapes(offset)
    assert first.centre == second.centre == offset
    assert (first.width_m, first.height_m) == (second.width_m, second.height_m) == (1 * UM, 10 * UM)
    assert second.rotation_rad - first.rotation_rad == pytest.approx(math.pi / 2)


@given(rotation_deg=st.floats(-180, 180))
def test_an_asymmetric_fiducial_loses_one_arm_and_keeps_its_crossing(rotation_deg: float) -> None:
    whole, _ = FiducialPattern(rotation_deg=rotation_deg).shapes()
    half, across = FiducialPattern(rotation_deg=rotation_deg, asymmetric=True).shapes()
    assert half.height_m == pytest.approx(whole.height_m / 2)
    ends = [
        ImagePoint(
            half.centre.x_m - side * half.height_m / 2 * math.sin(half.rotation_rad),
            half.centre.y_m + side * half.height_m / 2 * math.cos(half.rotation_rad),
        )
        for side in (-1, 1)
    ]
    assert min((end - across.centre).length_m for end in ends) == pytest.approx(0, abs=1e-12)
    assert max((end - across.centre).length_m for end in ends) == pytest.approx(whole.height_m / 2)


def test_a_rectangle_carries_everything_over() -> None:
    pattern = RectanglePattern(
        point_um=(1, -2),
        width_um=3,
        height_um=4,
        depth_um=5,
        rotation_deg=30,
        scan_direction=ScanDirection.LEFT_TO_RIGHT,
        cross_section=CrossSection.REGULAR,
    )
    assert pattern.shapes(ImagePoint(1 * UM, 1 * UM)) == [
        RectangleShape(
            centre=ImagePoint(1 * UM + 1 * UM, -2 * UM + 1 * UM),
            width_m=3 * UM,
            height_m=4 * UM,
            depth_m=5 * UM,
            rotation_rad=math.radians(30),
            scan_direction=ScanDirection.LEFT_TO_RIGHT,
            cross_section=CrossSection.REGULAR,
        )
    ]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "trench", "width_um": 0}, "width_um"),
        ({"kind": "trench", "spacing_um": -1}, "spacing_um"),
        ({"kind": "trench", "spacing_um": float("nan")}, "spacing_um"),
        ({"kind": "rectangle", "depth_um": 1000}, "depth_um"),
        ({"kind": "rectangle", "point_um": [1e9, 0]}, "point_um"),
        ({"kind": "fiducial", "height_um": float("inf")}, "height_um"),
        ({"kind": "micro_expansion", "cross_section": "Rectangle"}, "cross_section"),
        ({"kind": "clover"}, "kind"),
        ({"kind": "trench", "widht_um": 3}, "widht_um"),
    ],
)
def test_an_impossible_pattern_is_refused_by_its_key(values: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        TypeAdapter(Pattern).validate_python(values)


@given(
    width_um=sizes_um,
    height_um=sizes_um,
    rotation_deg=st.floats(-180, 180),
    offset=offsets,
    hfw_um=st.floats(20, 200),
)
def test_the_field_check_agrees_with_the_corners(
    width_um: float, height_um: float, rotation_deg: float, offset: ImagePoint, hfw_um: float
) -> None:
    shapes = RectanglePattern(width_um=width_um, height_um=height_um, rotation_deg=rotation_deg).shapes(offset)
    excess_m = max(
        max(abs(x) - hfw_um * UM / 2, abs(y) - hfw_um * UM / 3) for shape in shapes for x, y in corners(shape)
    )
    problem = outside_field(shapes, hfw_m=hfw_um * UM)
    if excess_m > 1e-10:
        assert "the field ends at" in problem
    if excess_m < -1e-10:
        assert problem == ""


def test_the_field_check_says_which_side_and_how_far() -> None:
    shapes = RectanglePattern(width_um=10, height_um=5, point_um=(-38, 0)).shapes()
    problem = outside_field(shapes, hfw_m=80 * UM)
    assert problem == (
        "it reaches x = -43 µm, the field ends at x = ±40 µm; move it nearer to the middle or use a larger hfw_um"
    )
