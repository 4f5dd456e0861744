"""Shapes as DrawBeam objects, and the rest of a pattern after an interruption."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from essence_rigs import CONDITIONS, SHAPES, Rig
from hypothesis import given
from hypothesis import strategies as st

from drivers.essence.pattern import expected_s, layer_of, remaining_shapes
from drivers.essence.settings import DrawBeamSettings
from fibsem_runtime.core import CancelToken, ImagePoint
from fibsem_runtime.core.errors import NotSupportedError
from fibsem_runtime.hal import CrossSection, RectangleShape, ScanDirection

UNIT = {
    ScanDirection.LEFT_TO_RIGHT: (1, 0),
    ScanDirection.RIGHT_TO_LEFT: (-1, 0),
    ScanDirection.BOTTOM_TO_TOP: (0, 1),
    ScanDirection.TOP_TO_BOTTOM: (0, -1),
}

lengths_m = st.floats(0.2e-6, 20e-6)
shapes = st.builds(
    RectangleShape,
    centre=st.builds(ImagePoint, st.floats(-20e-6, 20e-6), st.floats(-10e-6, 10e-6)),
    width_m=lengths_m,
    height_m=lengths_m,
    depth_m=lengths_m,
    rotation_rad=st.floats(-math.pi, math.pi),
    scan_direction=st.sampled_from(list(ScanDirection)),
    cross_section=st.sampled_from([CrossSection.RECTANGLE, CrossSection.CLEANING]),
)


def corners(x_m: float, y_m: float, width_m: float, height_m: float, angle_rad: float) -> np.ndarray:
    """Return the corners of a rectangle, sorted so that rectangles compare."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    half = np.array([[w, h] for w in (-width_m / 2, width_m / 2) for h in (-height_m / 2, height_m / 2)])
    found = half @ np.array([[cos, sin], [-sin, cos]]) + (x_m, y_m)
    return np.array(sorted(found.round(12).tolist()))


def rotated(vector: tuple[int, int], angle_rad: float) -> tuple[float, float]:
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    return vector[0] * cos - vector[1] * sin, vector[0] * sin + vector[1] * cos


@given(shape=shapes, base=st.sampled_from(list(ScanDirection)))
def test_an_object_covers_its_shape_and_its_line_travels_as_asked(shape: RectangleShape, base: ScanDirection) -> None:
    (found,) = layer_of([shape], CONDITIONS, DrawBeamSettings(advances_at_zero_angle=base)).objects
    expected = corners(shape.centre.x_m, shape.centre.y_m, shape.width_m, shape.height_m, shape.rotation_rad)
    got = corners(found.centre_x_m, found.centre_y_m, found.width_m, found.height_m, found.angle_rad)
    assert np.allclose(got, expected, atol=1e-11)
    wanted = rotated(UNIT[shape.scan_direction], shape.rotation_rad)
    assert rotated(UNIT[base], found.angle_rad) == pytest.approx(wanted, abs=1e-9)
    assert (found.depth_m, found.kind) == (shape.depth_m, shape.cross_section)


@given(pattern=st.lists(shapes, min_size=1, max_size=4), spent=st.floats(0, 1))
def test_what_is_spent_and_what_is_left_make_the_whole(pattern: list[RectangleShape], spent: float) -> None:
    whole_s = expected_s(pattern, CONDITIONS)
    left = remaining_shapes(pattern, spent)
    left_s = expected_s(left, CONDITIONS) if left else 0.0
    # A rest too small for an object of its own is left out: up to 20 nm of a line's way of 0.2 µm or more.
    sliver_s = max(expected_s([shape], CONDITIONS) for shape in pattern) / 10
    assert (1 - spent) * whole_s - sliver_s <= left_s <= (1 - spent) * whole_s * (1 + 1e-6) + 1e-6 * whole_s


def test_no_sliver_is_left_to_draw() -> None:
    assert remaining_shapes([SHAPES[1]], 1 - 19e-9 / SHAPES[1].height_m) == []
    assert len(remaining_shapes([SHAPES[1]], 1 - 21e-9 / SHAPES[1].height_m)) == 1
    assert remaining_shapes([SHAPES[0]], 0.9995) == []


@given(shape=shapes, spent=st.floats(0.05, 0.85))
def test_the_rest_of_a_cleaning_cross_section_ends_at_the_same_face(shape: RectangleShape, spent: float) -> None:
    shape = replace(shape, cross_section=CrossSection.CLEANING)
    (left,) = remaining_shapes([shape], spent)
    travel = np.array(rotated(UNIT[shape.scan_direction], shape.rotation_rad))

    def reach_m(each: RectangleShape) -> tuple[float, float]:
        along = corners(each.centre.x_m, each.centre.y_m, each.width_m, each.height_m, each.rotation_rad) @ travel
        return float(along.min()), float(along.max())

    (start_m, face_m), (left_start_m, left_face_m) = reach_m(shape), reach_m(left)
    assert left_face_m == pytest.approx(face_m, abs=1e-11)
    assert left_start_m == pytest.approx(start_m + spent * (face_m - start_m), abs=1e-11)
    assert left.depth_m == shape.depth_m


def test_nothing_is_left_of_what_is_finished_and_all_of_what_is_not_begun() -> None:
    assert remaining_shapes(SHAPES, 0.0) == list(SHAPES)
    assert remaining_shapes(SHAPES, 0.5) == [SHAPES[1]]
    assert remaining_shapes(SHAPES, 1.0) == []


def test_going_on_within_a_staircase_is_refused() -> None:
    stairs = replace(SHAPES[0], cross_section=CrossSection.REGULAR)
    with pytest.raises(NotSupportedError, match="staircase"):
        remaining_shapes([stairs], 0.5)
    assert remaining_shapes([stairs, SHAPES[1]], 0.5) != []


def test_a_resumed_pattern_mills_the_rest_and_reports_the_whole(rig: Rig) -> None:
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        total_s = microscope.milling.draw(SHAPES, CONDITIONS)
        started_s = microscope.clock.monotonic_s()
        progress = microscope.milling.run(skip_s=0.75 * total_s, cancel=CancelToken())
        assert progress.finished
        assert progress.milled_s == pytest.approx(total_s)
        assert rig.fake.engine.total_s == pytest.approx(total_s / 4)
        assert microscope.clock.monotonic_s() - started_s < total_s / 2
        microscope.milling.stop()


def test_a_pattern_of_which_everything_is_spent_mills_nothing(rig: Rig) -> None:
    with rig.opened() as microscope:
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        total_s = microscope.milling.draw(SHAPES, CONDITIONS)
        progress = microscope.milling.run(skip_s=total_s, cancel=CancelToken())
        assert (progress.finished, progress.milled_s) == (True, total_s)
        assert not {"DrawBeam.Start", "DrwStart"} & set(rig.fake.faults.names())
