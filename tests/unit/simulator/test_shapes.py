"""Lines, circles, polygons and bitmaps are milled as exactly as rectangles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ice_blocks import depth_at, edges_at, ice_block, mill_all, milling_view, rectangle, view_from_above
from simulators import CONDITIONS, microscope, no_cancel, ready_to_mill

from drivers.simulator.cell_shares import covered_fractions
from drivers.simulator.ion_probe import IonProbe, ProbeSettings, probe_for
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.state import DrawingState
from fibsem_runtime.core import ImagePoint
from fibsem_runtime.hal.shapes import BitmapShape, CircleShape, LineShape, PolygonShape, Shape, ShapeKind
from fibsem_runtime.milling import beam_time_s, edge_recession_m

CURRENT_A = 100e-12
PROBE = probe_for(CURRENT_A, ProbeSettings(tail_fraction=0))
ABOVE = view_from_above()


def mill_into(sample: Sample, shape: Shape, probe: IonProbe = PROBE) -> Cut:
    return mill_all(sample, [shape], ABOVE, probe=probe, current_a=CURRENT_A)[0]


def square(side_m: float, depth_m: float, *, turned_rad: float = 0.0) -> PolygonShape:
    corners = [turned_rad + (k + 0.5) * math.pi / 2 for k in range(4)]
    radius_m = side_m / math.sqrt(2)
    return PolygonShape(
        vertices=tuple(ImagePoint(radius_m * math.cos(a), radius_m * math.sin(a)) for a in corners), depth_m=depth_m
    )


def removed_m3(cut: Cut, sample: Sample) -> float:
    depth_m = np.where(np.isfinite(cut.front_m), cut.front_m.astype(np.float64) + sample.top_m[0, 0], 0.0)
    return float(np.maximum(depth_m, 0).sum() * cut.du_m * cut.dv_m)


SHAPES = (
    rectangle(width_m=1.2e-6, height_m=0.8e-6, depth_m=0.5e-6, rotation_rad=0.3),
    LineShape(start=ImagePoint(-1e-6, -0.5e-6), end=ImagePoint(0.8e-6, 0.9e-6), width_m=70e-9, depth_m=0.5e-6),
    CircleShape(centre=ImagePoint(0.1e-6, 0.0), outer_diameter_m=1.5e-6, inner_diameter_m=0.6e-6, depth_m=0.5e-6),
    square(1e-6, 0.5e-6, turned_rad=0.4),
    BitmapShape(
        centre=ImagePoint(0.0, 0.2e-6),
        width_m=1.2e-6,
        height_m=0.8e-6,
        depth_m=0.5e-6,
        depth_fraction=((0.0, 1.0, 0.3), (0.5, 0.25, 1.0)),
    ),
)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind.value)
def test_a_shape_removes_the_volume_of_its_dose(shape: Shape) -> None:
    block = ice_block(5e-6)
    cut = mill_into(block, shape, probe_for(CURRENT_A))
    assert removed_m3(cut, block) == pytest.approx(shape.area_m2 * shape.depth_m, rel=2e-3)


@pytest.mark.parametrize("turned_rad", [0.0, 0.35])
def test_a_polygon_s_edge_lies_where_that_of_a_rectangle_lies(turned_rad: float) -> None:
    low_m, high_m = edges_at(mill_into(ice_block(2e-6), square(2e-6, 3e-6)), w_m=-1e-12)
    recession_m = edge_recession_m(beam_sigma_m=PROBE.sigma_m, dose_ratio=1.5)
    assert (high_m - low_m) / 2 == pytest.approx(1e-6 + recession_m, abs=1e-9)
    turned = edges_at(mill_into(ice_block(2e-6), square(2e-6, 3e-6, turned_rad=turned_rad)), w_m=-1e-12)
    # Straight up from the centre the turned edge is farther by 1 / cos.
    assert turned[1] == pytest.approx((1e-6 + recession_m) / math.cos(turned_rad), abs=1.2e-9)


def test_a_ring_leaves_its_middle_and_ends_at_its_radii() -> None:
    ring = CircleShape(centre=ImagePoint(0.0, 0.0), outer_diameter_m=3e-6, inner_diameter_m=1.2e-6, depth_m=3e-6)
    cut = mill_into(ice_block(2e-6), ring)
    row = cut.front_m[:, round(-cut.u0_m / cut.du_m)].astype(np.float64)
    v_m = cut.v0_m + cut.dv_m * np.arange(len(row))
    crossings = np.flatnonzero(np.diff(row > 0))
    assert len(crossings) == 4
    radii_m = [
        abs(v_m[k] - row[k] * cut.dv_m / (row[k + 1] - row[k])) for k in crossings if np.isfinite(row[k : k + 2]).all()
    ]
    recession_m = edge_recession_m(beam_sigma_m=PROBE.sigma_m, dose_ratio=1.5)
    # On a bent edge the dose is that of a straight one shifted by half a variance over the radius.
    bend_m = PROBE.sigma_m**2 / 2 / np.array([1.5e-6, 0.6e-6])
    assert max(radii_m) == pytest.approx(1.5e-6 + recession_m - bend_m[0], abs=1e-9)
    assert min(radii_m) == pytest.approx(0.6e-6 - recession_m - bend_m[1], abs=1e-9)
    assert depth_at(cut, ice_block(2e-6)) == 0.0


def test_a_bitmap_is_as_deep_as_its_points_say() -> None:
    bitmap = BitmapShape(
        centre=ImagePoint(0.0, 0.0), width_m=4e-6, height_m=2e-6, depth_m=1e-6, depth_fraction=((0.2, 0.4), (0.6, 0.8))
    )
    block = ice_block(5e-6)
    cut = mill_into(block, bitmap)
    found_m = [[depth_at(cut, block, u_m=u_m, v_m=v_m) for u_m in (-1e-6, 1e-6)] for v_m in (0.5e-6, -0.5e-6)]
    assert found_m == pytest.approx(np.array([[0.2e-6, 0.4e-6], [0.6e-6, 0.8e-6]]), abs=1e-10)


def test_a_line_is_as_wide_as_the_beam() -> None:
    line = LineShape(start=ImagePoint(-1e-6, 0.0), end=ImagePoint(1e-6, 0.0), width_m=70e-9, depth_m=1e-6)
    block = ice_block(5e-6)
    cut = mill_into(block, line)
    middle_m = depth_at(cut, block)
    assert middle_m == pytest.approx(1e-6 * 70e-9 / (PROBE.sigma_m * math.sqrt(math.tau)), rel=1e-3)
    beside_m = depth_at(cut, block, v_m=4 * cut.dv_m)
    assert beside_m == pytest.approx(middle_m * math.exp(-8 * (cut.dv_m / PROBE.sigma_m) ** 2), rel=1e-3)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind.value)
def test_pieces_of_the_beam_time_add_up_to_the_whole(shape: Shape) -> None:
    fronts = []
    for pieces in (1, 5):
        view = milling_view((0.0, 0.0, 3e-6), angle_deg=30)
        cut = mill_all(ice_block(3e-6), [shape], view, pieces=pieces, current_a=CURRENT_A)[0]
        fronts.append(cut.front_m.astype(np.float64))
    both = np.isfinite(fronts[0]) & np.isfinite(fronts[1])
    assert both.sum() > 500
    assert np.abs(fronts[0][both] - fronts[1][both]).max() < 0.1e-9


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 9),
    st.floats(2.0, 9.0),
    st.floats(2.0, 9.0),
    st.floats(0.0, math.tau),
    st.floats(10.0, 11.0),
    st.floats(10.0, 11.0),
)
def test_the_shares_of_all_cells_add_up_to_the_polygon_s_area(
    count: int, a: float, b: float, start: float, x: float, y: float
) -> None:
    angles = start + np.arange(count) * math.tau / count
    vertices = np.stack([x + a * np.cos(angles), y + b * np.sin(angles)], axis=1)
    shares = covered_fractions(vertices, 21, 21)
    following = np.roll(vertices, -1, axis=0)
    area = abs((vertices[:, 0] * following[:, 1] - following[:, 0] * vertices[:, 1]).sum()) / 2
    assert shares.sum() == pytest.approx(area, rel=1e-9)
    assert shares.min() >= 0


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind.value)
def test_a_drawn_shape_comes_back_from_the_disk_as_it_was(shape: Shape) -> None:
    drawing = DrawingState(shapes=[shape], settings=CONDITIONS, total_s=1.0)
    assert DrawingState.model_validate_json(drawing.model_dump_json()).shapes == [shape]


def test_the_instrument_mills_every_kind_of_shape() -> None:
    instrument = microscope()
    ready_to_mill(instrument)
    assert {shape.kind for shape in SHAPES} == instrument.milling.shape_kinds == set(ShapeKind)
    total_s = instrument.milling.draw(SHAPES, CONDITIONS)
    assert total_s == pytest.approx(beam_time_s(SHAPES, CONDITIONS), rel=1e-9)
    assert instrument.milling.run(cancel=no_cancel()).finished
