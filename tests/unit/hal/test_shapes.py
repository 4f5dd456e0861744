"""Areas, boxes and refusals of the primitive shapes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibsem_runtime.core import ImagePoint
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.hal.field import outside_field
from fibsem_runtime.hal.shapes import (
    BitmapShape,
    CircleShape,
    LineShape,
    PolygonShape,
    RectangleShape,
)

UM = 1e-6
CENTRE = ImagePoint(2 * UM, -1 * UM)
COORDINATES = st.floats(-20 * UM, 20 * UM)


@given(st.builds(ImagePoint, COORDINATES, COORDINATES), st.floats(-math.pi, math.pi))
def test_a_turned_rectangle_and_the_polygon_of_its_corners_have_one_area_and_one_box(
    centre: ImagePoint, angle_rad: float
) -> None:
    rectangle = RectangleShape(centre=centre, width_m=4 * UM, height_m=2 * UM, depth_m=UM, rotation_rad=angle_rad)
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    corners = tuple(
        ImagePoint(centre.x_m + (u * cos - v * sin) * UM, centre.y_m + (u * sin + v * cos) * UM)
        for u, v in ((-2, -1), (2, -1), (2, 1), (-2, 1))
    )
    polygon = PolygonShape(vertices=corners, depth_m=UM)
    assert polygon.area_m2 == pytest.approx(rectangle.area_m2)
    assert polygon.box.half_width_m == pytest.approx(rectangle.box.half_width_m)
    assert polygon.box.half_height_m == pytest.approx(rectangle.box.half_height_m)
    assert polygon.centre.x_m == pytest.approx(centre.x_m, abs=1e-15)


def test_a_ring_lacks_the_area_of_its_hole() -> None:
    ring = CircleShape(centre=CENTRE, outer_diameter_m=4 * UM, inner_diameter_m=2 * UM, depth_m=UM)
    assert ring.area_m2 == pytest.approx(math.pi * 3 * UM**2)


def test_a_line_mills_its_length_times_its_width() -> None:
    line = LineShape(start=ImagePoint(0.0, 0.0), end=ImagePoint(3 * UM, 4 * UM), width_m=0.1 * UM, depth_m=UM)
    assert line.area_m2 == pytest.approx(0.5 * UM**2)
    assert line.centre == ImagePoint(1.5 * UM, 2 * UM)


def test_a_bitmap_takes_the_dose_of_its_average_depth() -> None:
    bitmap = BitmapShape(
        centre=CENTRE, width_m=2 * UM, height_m=UM, depth_m=UM, depth_fraction=((1.0, 0.0), (0.5, 0.5))
    )
    assert bitmap.area_m2 == pytest.approx(UM**2)


@pytest.mark.parametrize(
    "build",
    [
        lambda: CircleShape(centre=CENTRE, outer_diameter_m=UM, inner_diameter_m=UM, depth_m=UM),
        lambda: CircleShape(centre=CENTRE, outer_diameter_m=math.nan, depth_m=UM),
        lambda: PolygonShape(vertices=(CENTRE, CENTRE), depth_m=UM),
        lambda: BitmapShape(centre=CENTRE, width_m=UM, height_m=UM, depth_m=UM, depth_fraction=((1.0,), (1.0, 0.5))),
        lambda: BitmapShape(centre=CENTRE, width_m=UM, height_m=UM, depth_m=UM, depth_fraction=((1.5,),)),
    ],
)
def test_a_shape_that_cannot_be_is_refused(build: object) -> None:
    assert callable(build)
    with pytest.raises(ConfigError):
        build()


def test_every_shape_that_leaves_its_field_is_named_with_where_it_ends() -> None:
    circle = CircleShape(centre=ImagePoint(0.0, 9 * UM), outer_diameter_m=4 * UM, depth_m=UM)
    assert outside_field([circle], hfw_m=33.1 * UM) == ""
    assert "y = 11 µm" in outside_field([circle], hfw_m=30 * UM)
