from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibsem_runtime.core import ImagePoint, PixelPoint, RelativeArea, image_to_pixel, pixel_to_image
from fibsem_runtime.core.errors import ConfigError

pixels = st.floats(-1e4, 1e4)
shapes = st.tuples(st.integers(1, 8192), st.integers(1, 8192))
pixel_sizes_m = st.floats(1e-10, 1e-5)


def test_the_corner_of_a_known_image_is_where_the_reference_says() -> None:
    """vendor-geometry.md section 10: pixel (0, 0) of 1536 x 1024 at 25 nm is (-19.2, +12.8) µm."""
    corner = pixel_to_image(PixelPoint(0, 0), (1024, 1536), 25e-9)
    assert (corner.x_m, corner.y_m) == pytest.approx((-19.2e-6, 12.8e-6))


@given(pixels, pixels, shapes, pixel_sizes_m)
def test_pixels_to_metres_and_back_returns(
    x_px: float, y_px: float, shape: tuple[int, int], pixel_size_m: float
) -> None:
    back = image_to_pixel(pixel_to_image(PixelPoint(x_px, y_px), shape, pixel_size_m), shape, pixel_size_m)
    assert (back.x_px, back.y_px) == pytest.approx((x_px, y_px), abs=1e-6)


@given(shapes, pixel_sizes_m)
def test_the_centre_is_not_floored_on_odd_sizes(shape: tuple[int, int], pixel_size_m: float) -> None:
    centre = image_to_pixel(ImagePoint(0, 0), shape, pixel_size_m)
    assert (centre.x_px, centre.y_px) == (shape[1] / 2, shape[0] / 2)


@given(pixels, shapes, pixel_sizes_m)
def test_down_in_pixels_is_down_in_metres(y_px: float, shape: tuple[int, int], pixel_size_m: float) -> None:
    upper, lower = (pixel_to_image(PixelPoint(0, y), shape, pixel_size_m) for y in (y_px, y_px + 1))
    assert lower.y_m < upper.y_m
    assert upper.y_m - lower.y_m == pytest.approx(pixel_size_m, rel=1e-3)


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_image_points_add_and_subtract(ax: float, ay: float, bx: float, by: float) -> None:
    one, two = ImagePoint(ax, ay), ImagePoint(bx, by)
    assert one + two == two + one
    assert one - two == one + (-two)
    assert (one - one).length_m == 0
    assert one.length_m == pytest.approx((ax**2 + ay**2) ** 0.5)


fractions = st.floats(0, 1)


@st.composite
def areas(draw: st.DrawFn) -> RelativeArea:
    left, top = draw(st.floats(0, 0.99)), draw(st.floats(0, 0.99))
    return RelativeArea(
        left_fraction=left,
        top_fraction=top,
        width_fraction=draw(st.floats(1e-3, 1.0)) * (1 - left),
        height_fraction=draw(st.floats(1e-3, 1.0)) * (1 - top),
    )


@given(areas(), st.integers(16, 8192), st.integers(16, 8192))
def test_a_relative_area_in_pixels_lies_inside_the_frame(area: RelativeArea, width_px: int, height_px: int) -> None:
    left, top, width, height = area.to_pixels(width_px, height_px)
    assert width >= 1
    assert height >= 1
    assert 0 <= left <= width_px - width
    assert 0 <= top <= height_px - height
    assert abs(width - area.width_fraction * width_px) <= 1
    assert abs(left - area.left_fraction * width_px) <= 1


@pytest.mark.parametrize(
    ("left", "top", "width", "height"),
    [(-0.1, 0, 0.5, 0.5), (0, -0.1, 0.5, 0.5), (0.6, 0, 0.5, 0.5), (0, 0.6, 0.5, 0.5), (0, 0, 0, 1), (0, 0, 1, 1.1)],
)
def test_an_area_that_leaves_the_frame_is_refused(left: float, top: float, width: float, height: float) -> None:
    with pytest.raises(ConfigError, match="inside the frame"):
        RelativeArea(left_fraction=left, top_fraction=top, width_fraction=width, height_fraction=height)
