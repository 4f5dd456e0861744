from __future__ import annotations

from copy import deepcopy
from functools import cache
from statistics import NormalDist

import numpy as np
import pytest
from ice_blocks import ice_block, mill_all, milling_view, rectangle, shifted, trenches, view_from_above

from drivers.simulator.lamella import find_slab, measure_lamella
from drivers.simulator.milling import IonProbe, ProbeSettings, probe_for
from drivers.simulator.sample import Sample
from fibsem_runtime.core import SpecimenPosition
from fibsem_runtime.hal.shapes import RectangleShape
from fibsem_runtime.hal.truth import LamellaTruth

POLISH_A = 60e-12
ABOVE = view_from_above()
THICKNESS_M = 4e-6
TARGET = SpecimenPosition(x_m=0.0, y_m=0.0, z_m=2e-6)
DOSE_RATIO = 2.0


def clean() -> IonProbe:
    return probe_for(POLISH_A, ProbeSettings(tail_fraction=0))


@cache
def _sliced(spacing_um: float, depth_um: float, y_m: float) -> Sample:
    block = ice_block(THICKNESS_M)
    shapes = trenches(spacing_um=spacing_um, height_um=0.7, width_um=6, depth_um=depth_um)
    mill_all(block, shapes, shifted(ABOVE, y_m=y_m), probe=clean())
    return block


def sliced(spacing_um: float = 0.3, *, depth_um: float = 4 * DOSE_RATIO, y_m: float = 0.0) -> Sample:
    """A 4 µm thick block with a lamella milled from above, to be milled on."""
    return deepcopy(_sliced(spacing_um, depth_um, y_m))


def slot(*, x_m: float, width_m: float = 1e-6, height_m: float = 4e-6) -> RectangleShape:
    return rectangle(x_m=x_m, width_m=width_m, height_m=height_m, depth_m=8e-6)


def test_the_thickness_of_an_analytic_slab_is_true_to_a_nanometre() -> None:
    truth = measure_lamella(sliced(), TARGET, ABOVE)

    def expected_m(path_fraction: float) -> float:
        # Left is what the dose at a distance has not cut down to this part of the path (milling/edge.py).
        return 300e-9 - 2 * clean().sigma_m * NormalDist().inv_cdf(1 - path_fraction / DOSE_RATIO)

    assert truth.thickness_m == pytest.approx(expected_m(0.5), abs=1e-9)
    assert truth.thickness_min_m == pytest.approx(expected_m(0.25), abs=2e-9)
    assert truth.thickness_max_m == pytest.approx(expected_m(0.75), abs=2e-9)


@pytest.mark.parametrize("spacing_um", [0.12, 0.7, 4.6])
def test_slabs_from_thin_to_thick_are_measured(spacing_um: float) -> None:
    recession_m = clean().sigma_m * NormalDist().inv_cdf(1 - 0.5 / DOSE_RATIO)
    truth = measure_lamella(sliced(spacing_um), TARGET, ABOVE)
    assert truth.thickness_m == pytest.approx(spacing_um * 1e-6 - 2 * recession_m, abs=1e-9)


@pytest.mark.parametrize("y_m", [-0.4e-6, 0.05e-6, 1.2e-6])
def test_the_offset_says_where_the_slab_stands(y_m: float) -> None:
    truth = measure_lamella(sliced(y_m=y_m), TARGET, ABOVE)
    assert truth.offset is not None
    assert truth.offset.y_m == pytest.approx(y_m, abs=1e-9)
    assert truth.offset.x_m == pytest.approx(0.0, abs=20e-9)


def test_the_view_may_be_shifted_or_stand_at_another_pose() -> None:
    block = sliced(y_m=0.1e-6)
    here = measure_lamella(block, TARGET, ABOVE)
    moved = measure_lamella(block, TARGET, shifted(ABOVE, x_m=3e-6, y_m=-2e-6))
    tilted = measure_lamella(block, TARGET, milling_view((0, 0, 0), angle_deg=60))
    for other in (moved, tilted):
        assert other.thickness_m == pytest.approx(here.thickness_m, abs=0.5e-9)
        assert other.offset is not None and here.offset is not None
        assert other.offset.y_m == pytest.approx(here.offset.y_m, abs=0.5e-9)
        assert other.attached_to == here.attached_to


def test_a_lamella_at_a_milling_angle_hangs_between_its_sides() -> None:
    block = ice_block(2.5e-6, film_m=12e-9)
    target = SpecimenPosition(x_m=0.0, y_m=0.0, z_m=2.5e-6)
    view = milling_view((0.0, 0.0, 2.5e-6))
    mill_all(block, trenches(spacing_um=0.3, height_um=2.0), view, probe=clean())
    truth = measure_lamella(block, target, view)
    assert truth.thickness_m == pytest.approx(0.28e-6, abs=0.03e-6)
    assert truth.attached_to == ("left", "right")


def test_an_untouched_place_has_no_lamella() -> None:
    nothing = LamellaTruth(
        thickness_m=None, thickness_min_m=None, thickness_max_m=None, offset=None, attached_to=()
    )  # fmt: skip
    assert measure_lamella(ice_block(THICKNESS_M), TARGET, ABOVE) == nothing
    far = SpecimenPosition(x_m=30e-6, y_m=0.0, z_m=2e-6)
    assert measure_lamella(sliced(), far, ABOVE) == nothing


def test_one_trench_makes_no_lamella() -> None:
    block = ice_block(THICKNESS_M)
    mill_all(block, trenches(spacing_um=0.3, depth_um=8)[:1], ABOVE)
    assert measure_lamella(block, TARGET, ABOVE).thickness_m is None


def test_a_lamella_milled_away_has_no_thickness() -> None:
    block = sliced()
    mill_all(block, [rectangle(width_m=8e-6, height_m=0.6e-6, depth_m=8e-6)], ABOVE)
    truth = measure_lamella(block, TARGET, ABOVE)
    assert (truth.thickness_m, truth.thickness_min_m, truth.offset) == (None, None, None)


def test_trenches_that_are_not_through_leave_no_thickness_and_hold_the_bottom() -> None:
    truth = measure_lamella(sliced(depth_um=3), TARGET, ABOVE)
    assert truth.thickness_m is None
    assert truth.attached_to == ("left", "right", "bottom")


def test_one_trench_that_is_not_through_is_enough_to_hold_the_bottom() -> None:
    block = ice_block(THICKNESS_M)
    upper, lower = trenches(spacing_um=0.3, depth_um=8)
    mill_all(block, [upper], ABOVE)
    mill_all(block, [rectangle(width_m=6e-6, y_m=lower.centre.y_m, depth_m=3.2e-6)], ABOVE)
    truth = measure_lamella(block, TARGET, ABOVE)
    assert truth.thickness_m is None
    assert "bottom" in truth.attached_to


@pytest.mark.parametrize(
    ("slots_at_m", "holding"),
    [((), ("left", "right")), ((-3e-6,), ("right",)), ((3e-6,), ("left",)), ((-3e-6, 3e-6), ())],
)
def test_a_slot_across_a_side_frees_that_side(slots_at_m: tuple[float, ...], holding: tuple[str, ...]) -> None:
    block = sliced()
    for x_m in slots_at_m:
        mill_all(block, [slot(x_m=x_m)], ABOVE)
    truth = measure_lamella(block, TARGET, ABOVE)
    assert truth.attached_to == holding
    assert truth.thickness_m is not None


def test_a_slot_that_is_not_through_still_holds() -> None:
    block = sliced()
    mill_all(block, [rectangle(x_m=-3e-6, width_m=1e-6, height_m=4e-6, depth_m=3e-6)], ABOVE)
    assert measure_lamella(block, TARGET, ABOVE).attached_to == ("left", "right")


def test_a_relief_slot_beside_the_lamella_leaves_it_hanging_on_the_rest() -> None:
    block = sliced()
    mill_all(block, [slot(x_m=-6e-6, height_m=3e-6)], ABOVE)
    assert measure_lamella(block, TARGET, ABOVE).attached_to == ("left", "right")


def test_a_hole_counts_as_no_thickness_there_only() -> None:
    block = sliced()
    whole = measure_lamella(block, TARGET, ABOVE)
    mill_all(block, [rectangle(x_m=1e-6, width_m=0.5e-6, height_m=0.6e-6, depth_m=8e-6)], ABOVE)
    holed = measure_lamella(block, TARGET, ABOVE)
    assert holed.thickness_min_m == 0
    assert holed.thickness_m == pytest.approx(whole.thickness_m, abs=1e-9)


def test_the_slab_gives_the_key_points_that_an_ion_image_shows() -> None:
    view = shifted(ABOVE, x_m=-2e-6, y_m=1e-6)
    slab = find_slab(sliced(), TARGET, view)
    assert slab is not None and slab.is_through
    points = slab.key_points()
    assert points["centre"] == pytest.approx((2e-6, -1e-6), abs=20e-9)
    assert points["top"][1] - points["bottom"][1] == pytest.approx(0.3e-6, abs=10e-9)
    assert points["right"][0] - points["left"][0] == pytest.approx(6e-6, abs=0.15e-6)
    assert slab.point(*points["centre"])[2] == pytest.approx(THICKNESS_M, abs=0.1e-6)
    assert np.allclose(slab.point(*points["centre"])[:2], 0, atol=20e-9)


def test_without_a_lamella_there_is_no_slab() -> None:
    assert find_slab(ice_block(THICKNESS_M), TARGET, ABOVE) is None
