"""Every kind of shape that an instrument mills takes the dose of its area and depth; every other kind is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from fibsem_runtime.core import CancelToken, ImagePoint
from fibsem_runtime.core.errors import MillingError, NotSupportedError
from fibsem_runtime.hal import (
    BitmapShape,
    CircleShape,
    LineShape,
    Microscope,
    MillingSettings,
    MillingState,
    PolygonShape,
    RectangleShape,
    Shape,
    ShapeKind,
)

DEPTH_M = 0.1e-6
CENTRE = ImagePoint(3e-6, 2e-6)
SHAPES: dict[ShapeKind, Shape] = {
    ShapeKind.RECTANGLE: RectangleShape(centre=CENTRE, width_m=5e-6, height_m=2e-6, depth_m=DEPTH_M),
    ShapeKind.LINE: LineShape(start=CENTRE, end=CENTRE + ImagePoint(-4e-6, 3e-6), width_m=0.1e-6, depth_m=10 * DEPTH_M),
    ShapeKind.CIRCLE: CircleShape(centre=CENTRE, outer_diameter_m=4e-6, inner_diameter_m=1e-6, depth_m=DEPTH_M),
    ShapeKind.POLYGON: PolygonShape(
        vertices=(CENTRE, CENTRE + ImagePoint(5e-6, 0.0), CENTRE + ImagePoint(1e-6, 3e-6)), depth_m=DEPTH_M
    ),
    ShapeKind.BITMAP: BitmapShape(
        centre=CENTRE,
        width_m=5e-6,
        height_m=2e-6,
        depth_m=DEPTH_M,
        depth_fraction=((0.0, 0.5, 1.0), (0.25, 0.75, 0.5)),
    ),
}


def drawable(microscope: Microscope, kind: ShapeKind) -> Shape:
    if kind not in microscope.milling.shape_kinds:
        pytest.skip(f"the instrument mills no {kind.value.lower()}")
    return SHAPES[kind]


def test_shapes_that_the_instrument_does_not_mill_are_refused(
    microscope: Microscope, conditions: MillingSettings
) -> None:
    assert ShapeKind.RECTANGLE in microscope.milling.shape_kinds
    for kind in set(ShapeKind) - microscope.milling.shape_kinds:
        with pytest.raises(NotSupportedError, match="nothing was drawn"):
            microscope.milling.draw([SHAPES[kind]], conditions)
    assert microscope.milling.state() is MillingState.IDLE


@pytest.mark.parametrize("kind", list(ShapeKind))
def test_the_estimate_is_dose_over_current(
    microscope: Microscope, conditions: MillingSettings, kind: ShapeKind
) -> None:
    shape = drawable(microscope, kind)
    rectangle_s = microscope.milling.draw([SHAPES[ShapeKind.RECTANGLE]], conditions)
    per_m3 = rectangle_s / (SHAPES[ShapeKind.RECTANGLE].area_m2 * DEPTH_M)
    estimate_s = microscope.milling.draw([shape], conditions)
    assert estimate_s == pytest.approx(per_m3 * shape.area_m2 * shape.depth_m, rel=0.1)
    deeper_s = microscope.milling.draw([replace(shape, depth_m=2 * shape.depth_m)], conditions)
    assert deeper_s == pytest.approx(2 * estimate_s, rel=0.1)


@pytest.mark.parametrize("kind", list(ShapeKind))
def test_a_shape_is_milled_in_parts_to_its_end(
    microscope: Microscope, conditions: MillingSettings, cancel: CancelToken, kind: ShapeKind
) -> None:
    shape = drawable(microscope, kind)
    total_s = microscope.milling.draw([shape], conditions)
    part = microscope.milling.run(duration_s=total_s / 2, cancel=cancel)
    assert not part.finished
    assert part.milled_s == pytest.approx(total_s / 2, rel=0.1)
    whole = microscope.milling.run(cancel=cancel)
    assert whole.finished
    assert whole.milled_s == pytest.approx(whole.total_s)
    assert microscope.milling.state() is MillingState.IDLE


@pytest.mark.parametrize("kind", list(ShapeKind))
def test_a_shape_is_continued_after_an_interrupted_run(
    microscope: Microscope, conditions: MillingSettings, cancel: CancelToken, kind: ShapeKind
) -> None:
    """Either the rest alone is milled, or it is refused and nothing is milled twice."""
    shape = drawable(microscope, kind)
    total_s = microscope.milling.draw([shape], conditions)
    started_s = microscope.clock.monotonic_s()
    try:
        progress = microscope.milling.run(skip_s=total_s / 2, cancel=cancel)
    except MillingError as refusal:
        assert "continue" in str(refusal)
        assert microscope.clock.monotonic_s() - started_s < 0.1 * total_s
        return
    assert progress.finished
    assert microscope.clock.monotonic_s() - started_s == pytest.approx(total_s / 2, rel=0.2)


@pytest.mark.parametrize("kind", list(ShapeKind))
def test_a_shape_outside_the_field_is_refused(
    microscope: Microscope, conditions: MillingSettings, kind: ShapeKind
) -> None:
    shape = drawable(microscope, kind)
    away = ImagePoint(conditions.hfw_m, 0.0)
    moved = (
        replace(shape, start=shape.start + away, end=shape.end + away)
        if isinstance(shape, LineShape)
        else replace(shape, vertices=tuple(vertex + away for vertex in shape.vertices))
        if isinstance(shape, PolygonShape)
        else replace(shape, centre=shape.centre + away)
    )
    with pytest.raises(MillingError, match="field"):
        microscope.milling.draw([moved], conditions)
    assert microscope.milling.state() is MillingState.IDLE


def test_shapes_of_several_kinds_make_one_pattern(microscope: Microscope, conditions: MillingSettings) -> None:
    kinds = sorted(microscope.milling.shape_kinds)
    alone_s = [microscope.milling.draw([SHAPES[kind]], conditions) for kind in kinds]
    together_s = microscope.milling.draw([SHAPES[kind] for kind in kinds], conditions)
    assert together_s == pytest.approx(math.fsum(alone_s), rel=0.1)
