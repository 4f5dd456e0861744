from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ice_blocks import (
    ICE_DOSE_C_PER_M3,
    depth_at,
    edges_at,
    ice_block,
    mill_all,
    milling_view,
    rectangle,
    shifted,
    trenches,
    view_from_above,
)

from drivers.simulator.milling import (
    IonProbe,
    ProbeSettings,
    RemovalSettings,
    draw_pattern,
    mill,
    open_cuts,
    probe_for,
    removal_rates,
)
from drivers.simulator.sample import Material
from fibsem_runtime.core.errors import MillingError
from fibsem_runtime.hal.shapes import CrossSection, MillingSettings, ScanDirection
from fibsem_runtime.milling import FiducialPattern, beam_time_s, edge_recession_m

POLISH_A = 60e-12
ROUGH_A = 0.74e-9
ABOVE = view_from_above()
KINDS = tuple(CrossSection)


def clean(current_a: float) -> IonProbe:
    """The probe without its tail, which the closed form does not know."""
    return probe_for(current_a, ProbeSettings(tail_fraction=0))


def test_two_nanocoulombs_a_square_micrometre_cut_ten_micrometres_of_ice() -> None:
    block = ice_block(30e-6)
    cut = mill_all(block, [rectangle(depth_m=10e-6)], ABOVE, probe=clean(POLISH_A))[0]
    pattern = draw_pattern([rectangle(depth_m=10e-6)], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    assert pattern.total_s * POLISH_A / (4e-6 * 1e-6) == pytest.approx(2e-9 / 1e-12)
    assert depth_at(cut, block) == pytest.approx(10e-6, rel=1e-5)


def test_the_beam_time_is_that_of_the_runtime_s_model() -> None:
    shapes = trenches(spacing_um=2.0)
    pattern = draw_pattern(shapes, current_a=ROUGH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    settings = MillingSettings(
        beam_current_a=ROUGH_A, voltage_v=30e3, hfw_m=80e-6, application="ice", dose_c_per_m3=ICE_DOSE_C_PER_M3
    )
    assert pattern.total_s == pytest.approx(beam_time_s(shapes, settings), rel=1e-12)


@pytest.mark.parametrize("kind", [CrossSection.RECTANGLE, CrossSection.CLEANING])
def test_depth_is_proportional_to_dose(kind: CrossSection) -> None:
    depths_m = []
    for depth_m in (2e-6, 4e-6):
        block = ice_block(30e-6)
        depths_m.append(depth_at(mill_all(block, [rectangle(depth_m=depth_m, cross_section=kind)], ABOVE)[0], block))
    assert depths_m[1] == pytest.approx(2 * depths_m[0], rel=1e-5)
    assert depths_m[0] > 1.9e-6


@pytest.mark.parametrize("current_a", [POLISH_A, ROUGH_A])
@pytest.mark.parametrize("kind", [CrossSection.RECTANGLE, CrossSection.CLEANING])
def test_an_edge_lies_where_the_closed_form_puts_it(current_a: float, kind: CrossSection) -> None:
    block, probe = ice_block(10e-6), clean(current_a)
    shape = rectangle(height_m=3e-6, width_m=5e-6, depth_m=15e-6, cross_section=kind)
    low_m, high_m = edges_at(mill_all(block, [shape], ABOVE, probe=probe, current_a=current_a)[0], w_m=-1e-12)
    recession_m = edge_recession_m(beam_sigma_m=probe.sigma_m, dose_ratio=1.5)
    assert high_m - 1.5e-6 == pytest.approx(recession_m, abs=1e-9)
    assert low_m + 1.5e-6 == pytest.approx(-recession_m, abs=1e-9)


@pytest.mark.parametrize("current_a", [POLISH_A, ROUGH_A])
def test_the_weak_tail_moves_an_edge_by_a_few_nanometres_only(current_a: float) -> None:
    probe = probe_for(current_a)
    shape = rectangle(height_m=3e-6, width_m=5e-6, depth_m=20e-6)
    cut = mill_all(ice_block(10e-6), [shape], ABOVE, probe=probe, current_a=current_a)[0]
    expected_m = 1.5e-6 + edge_recession_m(beam_sigma_m=probe.sigma_m, dose_ratio=2.0)
    assert edges_at(cut, w_m=-1e-12)[1] == pytest.approx(expected_m, abs=3e-9)


def test_the_tail_erodes_what_the_core_does_not_reach() -> None:
    depths_m = []
    for probe in (clean(POLISH_A), probe_for(POLISH_A)):
        block = ice_block(10e-6)
        cut = mill_all(block, [rectangle()], ABOVE, probe=probe)[0]
        depths_m.append(depth_at(cut, block, v_m=0.5e-6 + 2 * 4 * probe.sigma_m * 0.9))
    assert depths_m[0] < 1e-12
    assert 0.1e-9 < depths_m[1] < 5e-9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", [ScanDirection.TOP_TO_BOTTOM, ScanDirection.RIGHT_TO_LEFT])
def test_pieces_of_the_beam_time_add_up_to_the_whole(kind: CrossSection, direction: ScanDirection) -> None:
    shape = rectangle(cross_section=kind, scan_direction=direction, width_m=2e-6, depth_m=15e-6)
    fronts = []
    for pieces in (1, 7):
        block = ice_block(8e-6, coating_m=0.1e-6, film_m=12e-9)
        view = milling_view((0.0, 0.0, 8e-6), angle_deg=40)
        fronts.append(mill_all(block, [shape], view, pieces=pieces)[0].front_m.astype(np.float64))
    both = np.isfinite(fronts[0]) & np.isfinite(fronts[1])
    assert both.sum() > 1000
    assert np.abs(fronts[0][both] - fronts[1][both]).max() < 0.1e-9


def test_a_coating_a_tenth_as_fast_takes_ten_times_the_dose() -> None:
    block = ice_block(30e-6, coating_m=0.5e-6)
    cut = mill_all(block, [rectangle(depth_m=12e-6)], ABOVE, probe=clean(POLISH_A))[0]
    assert depth_at(cut, block) == pytest.approx(0.5e-6 + (12e-6 - 5e-6), rel=1e-5)


def test_every_layer_is_eaten_at_its_own_rate() -> None:
    block = ice_block(1e-6, coating_m=0.2e-6, film_m=20e-9)
    rates = removal_rates()
    needed_m = (
        0.2e-6 / rates[Material.COATING] + 1e-6 / rates[Material.ICE] + 20e-9 / rates[Material.FILM]
    ) * rates[Material.ICE]  # fmt: skip
    cut = mill_all(block, [rectangle(depth_m=needed_m + 0.3e-6)], ABOVE, probe=clean(POLISH_A))[0]
    assert depth_at(cut, block) == pytest.approx(1.22e-6 + 0.3e-6, abs=1e-9)


@pytest.mark.parametrize(("peak_ratio", "gain"), [(8.0, 1 / math.sin(math.radians(15))), (2.0, 2.0), (1.0, 1.0)])
def test_a_coating_mills_faster_at_grazing_incidence_up_to_its_peak(peak_ratio: float, gain: float) -> None:
    removal = RemovalSettings(grazing_peak_ratio=peak_ratio)
    block, probe = ice_block(3e-6, coating_m=0.2e-6), clean(POLISH_A)
    view = milling_view((0.0, 0.0, 3.2e-6))
    pattern = draw_pattern([rectangle(depth_m=12e-6)], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    cuts = open_cuts(block, pattern, view, probe=probe)
    mill(block, cuts, pattern, probe, view, from_s=0, until_s=pattern.total_s, removal=removal)
    rows, columns = cuts[0].front_m.shape
    floor = cuts[0].origin + cuts[0].axes[2] * float(cuts[0].front_m[rows // 2, columns // 2])
    coating_path_m = 0.2e-6 / math.sin(math.radians(15))
    path_m = coating_path_m + 12e-6 - 10 * coating_path_m / gain
    assert (3.2e-6 - floor[2]) / math.sin(math.radians(15)) == pytest.approx(path_m, abs=2e-9)


def test_removal_can_be_set() -> None:
    slow = RemovalSettings(ice_um3_per_nc=2.5)
    block, probe = ice_block(30e-6), clean(POLISH_A)
    pattern = draw_pattern([rectangle(depth_m=10e-6)], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    cuts = open_cuts(block, pattern, ABOVE, probe=probe)
    mill(block, cuts, pattern, probe, ABOVE, from_s=0, until_s=pattern.total_s, removal=slow)
    assert depth_at(cuts[0], block) == pytest.approx(5e-6, rel=1e-5)


@pytest.mark.parametrize("drift_m", [12.3e-9, -87e-9, 1.7e-6])
def test_drift_moves_the_edge_by_exactly_the_drift(drift_m: float) -> None:
    shape = rectangle(cross_section=CrossSection.CLEANING)
    probe = probe_for(POLISH_A)
    pattern = draw_pattern([shape], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    edges = []
    for moved_m in (0.0, drift_m):
        block = ice_block(8e-6)
        cuts = open_cuts(block, pattern, ABOVE, probe=probe)
        view = shifted(ABOVE, y_m=moved_m)
        mill(block, cuts, pattern, probe, view, from_s=0, until_s=pattern.total_s)
        edges.append(np.array(edges_at(cuts[0], w_m=-1e-12)))
    assert edges[1] - edges[0] == pytest.approx(drift_m, abs=0.2e-9)


def test_drift_while_the_lines_advance_moves_the_face_by_what_it_was_at_the_end() -> None:
    shape = rectangle(cross_section=CrossSection.CLEANING)
    probe = probe_for(POLISH_A)
    pattern = draw_pattern([shape], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    block = ice_block(8e-6)
    cuts = open_cuts(block, pattern, ABOVE, probe=probe)
    for part in range(10):
        view = shifted(ABOVE, y_m=-part * 10e-9)
        times_s = (part * pattern.total_s / 10, (part + 1) * pattern.total_s / 10)
        mill(block, cuts, pattern, probe, view, from_s=times_s[0], until_s=times_s[1])
    still = mill_all(ice_block(8e-6), [shape], ABOVE, probe=probe)[0]
    drifted, expected = edges_at(cuts[0], w_m=-1e-12), edges_at(still, w_m=-1e-12)
    assert drifted[1] == pytest.approx(expected[1], abs=0.5e-9)
    assert drifted[0] == pytest.approx(expected[0] - 90e-9, abs=1e-9)


def test_a_cleaning_cross_section_mills_only_the_lines_of_its_time() -> None:
    block, probe = ice_block(20e-6), probe_for(POLISH_A)
    shape = rectangle(cross_section=CrossSection.CLEANING, scan_direction=ScanDirection.BOTTOM_TO_TOP)
    pattern = draw_pattern([shape], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    cuts = open_cuts(block, pattern, ABOVE)
    mill(block, cuts, pattern, probe, ABOVE, from_s=0, until_s=pattern.total_s / 2)
    assert depth_at(cuts[0], block, v_m=-0.25e-6) == pytest.approx(12e-6, rel=1e-2)
    assert depth_at(cuts[0], block, v_m=0.25e-6) < 0.1e-6
    assert edges_at(cuts[0], w_m=-14e-6)[1] == pytest.approx(0.0, abs=1e-9)


def test_a_regular_cross_section_is_a_staircase_that_is_deepest_at_the_face() -> None:
    block = ice_block(20e-6)
    shape = rectangle(height_m=4e-6, depth_m=10e-6, cross_section=CrossSection.REGULAR)
    pattern = draw_pattern([shape], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    cut = mill_all(block, [shape], ABOVE, probe=clean(POLISH_A))[0]
    depths_m = [depth_at(cut, block, v_m=v_m) for v_m in np.arange(1.8e-6, -2e-6, -0.4e-6)]
    assert depths_m == pytest.approx(np.arange(1, 11) * 1e-6, rel=1e-3)
    assert pattern.total_s == pytest.approx(0.55 * 4e-6 * 4e-6 * 10e-6 * ICE_DOSE_C_PER_M3 / POLISH_A)


def test_shapes_are_milled_one_after_the_other() -> None:
    block = ice_block(30e-6)
    shapes = trenches(spacing_um=4.0)
    pattern = draw_pattern(shapes, current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    cuts = open_cuts(block, pattern, ABOVE)
    mill(block, cuts, pattern, probe_for(POLISH_A), ABOVE, from_s=0, until_s=pattern.total_s / 2)
    assert depth_at(cuts[0], block) == pytest.approx(20e-6, rel=1e-2)
    assert not np.isfinite(cuts[1].front_m).any()


def test_a_fiducial_is_two_crossed_bars() -> None:
    block = ice_block(10e-6)
    cuts = mill_all(block, FiducialPattern(depth_um=2).shapes(), ABOVE, current_a=1e-9)
    assert len(cuts) == 2

    def depth_m(x_m: float, y_m: float) -> float:
        fronts = []
        for cut in cuts:
            u_m, v_m, _ = cut.axes @ (np.array([x_m, y_m, 0.0]) - cut.origin)
            inside = abs(u_m) < -cut.u0_m and abs(v_m) < -cut.v0_m
            fronts.append(depth_at(cut, block, u_m, v_m) if inside else 0.0)
        return max(fronts)

    along = 3.5e-6 / math.sqrt(2)
    for x_m, y_m in ((along, along), (-along, along), (along, -along), (-along, -along)):
        assert depth_m(x_m, y_m) == pytest.approx(2e-6, rel=1e-2)
    assert depth_m(0.0, 0.0) == pytest.approx(4e-6, rel=2e-2)
    for x_m, y_m in ((3.5e-6, 0.0), (0.0, 3.5e-6), (-3.5e-6, 0.0)):
        assert depth_m(x_m, y_m) < 1e-9


def test_a_later_cut_goes_on_from_the_floor_of_an_earlier_one() -> None:
    block = ice_block(30e-6)
    for _ in range(2):
        cut = mill_all(block, [rectangle(depth_m=6e-6)], ABOVE, probe=clean(POLISH_A))[0]
    assert depth_at(cut, block) == pytest.approx(12e-6, rel=1e-5)


def test_a_cut_from_another_direction_is_skipped_like_vacuum() -> None:
    block, probe = ice_block(10e-6), clean(POLISH_A)
    tunnel = rectangle(width_m=2e-6, height_m=2e-6, depth_m=30e-6)
    mill_all(block, [tunnel], milling_view((0, 0, 5e-6)), probe=probe)
    cut = mill_all(block, [rectangle(width_m=0.6e-6, height_m=0.4e-6, depth_m=6e-6)], ABOVE, probe=probe)[0]
    gap_m = 2e-6 / math.cos(math.radians(15))
    assert depth_at(cut, block) == pytest.approx(6e-6 + gap_m, abs=0.2e-6)


def test_nothing_stands_where_a_polish_meets_an_older_trench() -> None:
    block = ice_block(8e-6)
    rough = mill_all(block, [rectangle(height_m=2e-6, y_m=1.5e-6, depth_m=16e-6)], ABOVE, current_a=100e-12)[0]
    fine = mill_all(block, [rectangle(height_m=0.5e-6, y_m=0.35e-6, depth_m=16e-6)], ABOVE)[0]
    low_m, high_m = edges_at(fine, w_m=-1e-9)
    assert high_m + 0.35e-6 > edges_at(rough, w_m=-1e-9)[0] + 1.5e-6
    assert low_m + 0.35e-6 == pytest.approx(0.1e-6, abs=20e-9)


def test_a_pattern_that_drifts_out_of_its_grid_takes_the_grid_along() -> None:
    block, probe = ice_block(8e-6), probe_for(POLISH_A)
    pattern = draw_pattern([rectangle()], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    cuts = open_cuts(block, pattern, ABOVE)
    rows, columns = cuts[0].front_m.shape
    mill(block, cuts, pattern, probe, shifted(ABOVE, x_m=2e-6, y_m=-2e-6), from_s=0, until_s=pattern.total_s)
    assert cuts[0].front_m.shape > (rows, columns)
    assert edges_at(cuts[0], w_m=-1e-12, u_m=2e-6)[1] == pytest.approx(-1.5e-6, abs=0.03e-6)


@pytest.mark.parametrize(
    ("direction", "far_m"),
    [(ScanDirection.LEFT_TO_RIGHT, -1.5e-6), (ScanDirection.RIGHT_TO_LEFT, 1.5e-6)],
)
def test_a_sideways_scan_starts_on_the_side_that_it_is_named_after(direction: ScanDirection, far_m: float) -> None:
    block = ice_block(20e-6)
    shape = rectangle(width_m=4e-6, height_m=2e-6, cross_section=CrossSection.CLEANING, scan_direction=direction)
    pattern = draw_pattern([shape], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    cuts = open_cuts(block, pattern, ABOVE)
    mill(block, cuts, pattern, probe_for(POLISH_A), ABOVE, from_s=0, until_s=pattern.total_s / 2)
    depths_m = []
    for x_m in (far_m, -far_m):
        u_m, v_m, _ = cuts[0].axes @ (np.array([x_m, 0.0, 0.0]) - cuts[0].origin)
        depths_m.append(depth_at(cuts[0], block, u_m, v_m))
    assert depths_m[0] == pytest.approx(12e-6, rel=1e-2)
    assert depths_m[1] < 0.1e-6


@pytest.mark.parametrize("angle_deg", [8.0, 15.0, 38.0])
def test_the_path_through_the_ice_is_measured_along_the_beam(angle_deg: float) -> None:
    block = ice_block(2e-6)
    path_m = 2e-6 / math.sin(math.radians(angle_deg))
    for dose_ratio, is_through in ((0.98, False), (1.02, True)):
        view = milling_view((0.0, 0.0, 1e-6), angle_deg=angle_deg)
        shape = rectangle(depth_m=dose_ratio * path_m, height_m=2e-6)
        cut = mill_all(block, [shape], view, probe=clean(POLISH_A))[0]
        rows, columns = cut.front_m.shape
        middle = cut.origin + cut.axes[2] * float(cut.front_m[rows // 2, columns // 2])
        assert bool(middle[2] < 0) is is_through


def test_a_tilted_sample_refuses_to_be_milled_on() -> None:
    block = ice_block()
    pattern = draw_pattern([rectangle()], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    cuts = open_cuts(block, pattern, ABOVE)
    tilted = milling_view((0.0, 0.0, 0.0), angle_deg=89.0)
    with pytest.raises(MillingError, match="draw it again"):
        mill(block, cuts, pattern, probe_for(POLISH_A), tilted, from_s=0, until_s=1)
    assert not np.isfinite(cuts[0].front_m).any()


def test_a_beam_from_below_the_film_is_refused() -> None:
    block = ice_block()
    pattern = draw_pattern([rectangle()], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    with pytest.raises(MillingError, match="from above"):
        open_cuts(block, pattern, replace(ABOVE, direction=np.array([0.0, 0.0, 1.0])))
    assert not block.cuts


@pytest.mark.parametrize(("from_s", "until_s"), [(-1.0, 1.0), (2.0, 1.0), (0.0, 1e6)])
def test_time_outside_the_pattern_is_refused(from_s: float, until_s: float) -> None:
    block = ice_block()
    pattern = draw_pattern([rectangle()], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    cuts = open_cuts(block, pattern, ABOVE)
    with pytest.raises(MillingError, match="the drawn pattern lasts"):
        mill(block, cuts, pattern, probe_for(POLISH_A), ABOVE, from_s=from_s, until_s=until_s)


def test_impossible_patterns_are_refused() -> None:
    with pytest.raises(MillingError, match="no shape"):
        draw_pattern([], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    with pytest.raises(MillingError, match="above zero"):
        draw_pattern([rectangle()], current_a=0.0, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    with pytest.raises(MillingError, match="depth above 0 m"):
        draw_pattern([rectangle(depth_m=0.0)], current_a=POLISH_A, dose_c_per_m3=ICE_DOSE_C_PER_M3)


def test_the_probe_follows_the_table_and_its_settings() -> None:
    assert probe_for(50e-12).sigma_m * 2.3548 == pytest.approx(45e-9, rel=1e-4)
    assert probe_for(0.3e-9).sigma_m * 2.3548 == pytest.approx(175e-9, rel=1e-4)
    assert 15e-9 < probe_for(POLISH_A).sigma_m < 25e-9
    widths_m = [probe_for(current_a).sigma_m for current_a in np.geomspace(1e-12, 1e-7, 60)]
    assert (np.diff(widths_m) > 0).all()
    half = probe_for(POLISH_A, ProbeSettings(width_ratio=0.5))
    assert half.sigma_m == pytest.approx(probe_for(POLISH_A).sigma_m / 2)


@pytest.mark.parametrize("current_a", [0.0, -1e-12, 0.5e-12, 2e-7])
def test_a_current_without_a_known_probe_is_refused(current_a: float) -> None:
    with pytest.raises(MillingError, match="no probe width"):
        probe_for(current_a)
