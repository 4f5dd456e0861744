"""How wide the hole is that cuts have opened together, and how much of the signal leaves it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ice_blocks import ice_block, mill_all, rectangle, view_from_above
from views import BARE, ELECTRON

from drivers.simulator.milling import draw_pattern, open_cuts
from drivers.simulator.openings import WIDEST_M2, opening_areas_m2
from drivers.simulator.optics import noise_free_signal
from drivers.simulator.sample import Cut
from fibsem_runtime.core import ImageSettings
from fibsem_runtime.hal.shapes import RectangleShape


def cuts_of(*shapes: RectangleShape) -> list[Cut]:
    pattern = draw_pattern(list(shapes), current_a=100e-12, dose_c_per_m3=1 / 5e-9)
    return open_cuts(ice_block(width_m=40e-6), pattern, view_from_above())


def areas_um2(cuts: list[Cut]) -> list[float]:
    return [float(area_m2) * 1e12 for area_m2 in opening_areas_m2(cuts)]


def test_no_cuts_open_nothing() -> None:
    assert areas_um2([]) == []


def test_shapes_that_touch_over_others_make_one_hole_and_one_apart_its_own() -> None:
    row = [rectangle(width_m=4e-6, height_m=2e-6, x_m=x_m) for x_m in (-4e-6, 0.0, 4e-6)]
    cuts = cuts_of(*row, rectangle(width_m=4e-6, height_m=2e-6, x_m=10e-6))
    assert areas_um2(cuts) == pytest.approx([24, 24, 24, 8])


def test_overlapping_shapes_open_no_more_than_the_box_around_them() -> None:
    cuts = cuts_of(*[rectangle(width_m=4e-6, height_m=2e-6, y_m=y_m) for y_m in (0.0, 0.2e-6, 0.4e-6)])
    assert areas_um2(cuts) == pytest.approx([4 * 2.4] * 3)


def test_a_turned_shape_counts_where_it_lies() -> None:
    bar = rectangle(width_m=8e-6, height_m=1e-6, rotation_rad=np.pi / 2)
    beside, above = (rectangle(width_m=2e-6, height_m=2e-6, x_m=x, y_m=y) for x, y in ((3e-6, 0.0), (0.0, 3e-6)))
    assert areas_um2(cuts_of(bar, beside)) == pytest.approx([8, 4])
    assert areas_um2(cuts_of(bar, above)) == pytest.approx([12, 12])


def test_beams_of_other_directions_and_the_ends_of_bodies_open_nothing_together() -> None:
    one, two = cuts_of(rectangle(width_m=4e-6, height_m=2e-6), rectangle(width_m=4e-6, height_m=2e-6))
    tilted = replace(two, axes=two.axes[[0, 2, 1]] * [[1], [1], [-1]])
    end = replace(one, drawn_m=None, is_milled=False)
    assert areas_um2([one, tilted, end]) == pytest.approx([8, 8, WIDEST_M2 * 1e12])


def test_the_floor_of_a_wide_trench_is_brighter_than_that_of_a_slot_as_deep() -> None:
    signals = []
    for height_m in (1e-6, 8e-6):
        block = ice_block(width_m=40e-6)
        mill_all(block, [rectangle(width_m=8e-6, height_m=height_m, depth_m=3e-6)], view_from_above())
        frame = ImageSettings(width_px=24, height_px=16, hfw_m=0.3e-6)
        signals.append(float(noise_free_signal(block, view_from_above(), frame, ELECTRON, BARE).mean()))
    whole = float(noise_free_signal(ice_block(width_m=40e-6), view_from_above(), frame, ELECTRON, BARE).mean())
    floor = BARE.shadow_floor_fraction
    for signal, area_um2 in zip(signals, (8, 64), strict=True):
        share = area_um2 / np.pi / (area_um2 / np.pi + 3.0**2)
        expected = BARE.electron.milled_fraction * (floor + (1 - floor) * share)
        assert signal / whole == pytest.approx(expected, rel=0.03)
