"""Dose and time: one model, the published times (milling.md sections 6 and 7)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.hal.shapes import CrossSection, MillingSettings
from fibsem_runtime.milling import (
    CLEANING_TIME_RATIO,
    REMOVAL_RATES_M3_PER_C,
    DriftCorrectedStrategy,
    Material,
    MillingStage,
    Overheads,
    RectanglePattern,
    TrenchPattern,
    beam_time_s,
    dose_c_per_m3,
    edge_recession_m,
    estimate_time,
    lamella_thickness_for,
    trench_spacing_for,
    volume_m3,
)

NC = 1e-9


def zachs(name: str, width_um: float, height_um: float, current_pa: float) -> MillingStage:
    """Return one stage of Zachs 2020: two rectangles, 10 µm of ice in cross-section mode."""
    pattern = TrenchPattern(
        width_um=width_um,
        spacing_um=1,
        upper_height_um=height_um,
        lower_height_um=height_um,
        depth_um=10,
        cross_section=CrossSection.CLEANING,
    )
    return MillingStage(name=name, pattern=pattern, current_pa=current_pa)


ROUGH = [zachs("rough_1", 9, 5, 700), zachs("rough_2", 8, 2, 300), zachs("rough_3", 7.5, 1, 100)]
POLISH = [zachs("polish", 7, 0.5, 50)]


@pytest.mark.parametrize(
    ("stage", "charge_nc", "minutes"),
    [(ROUGH[0], 180, 4.3), (ROUGH[1], 64, 3.6), (ROUGH[2], 30, 5.0), (POLISH[0], 14, 4.67)],
    ids=["rough_1", "rough_2", "rough_3", "polish"],
)
def test_the_recipe_of_zachs_takes_its_published_charge_and_time(
    stage: MillingStage, charge_nc: float, minutes: float
) -> None:
    seconds = stage.beam_time_s()
    assert seconds * stage.beam_current_a == pytest.approx(charge_nc * NC, rel=1e-9)
    assert seconds / 60 == pytest.approx(minutes, abs=0.05)


def test_the_recipe_of_zachs_takes_its_published_total_time() -> None:
    """12.8 and 4.67 min by the model, about 12 and 4.75 min reported."""
    assert estimate_time(ROUGH).beam_s / 60 == pytest.approx(12.8, abs=0.1)
    assert estimate_time(POLISH).beam_s / 60 == pytest.approx(4.67, abs=0.01)


def test_ice_takes_two_nanocoulombs_per_square_micrometre_at_ten_micrometres() -> None:
    """20 mC/cm² per µm of depth = 0.2 nC/µm² per µm."""
    assert dose_c_per_m3(Material.ICE) * 10e-6 == pytest.approx(2 * NC / 1e-12)
    assert REMOVAL_RATES_M3_PER_C[Material.ICE] == pytest.approx(5.0 * 1e-18 / NC)


@pytest.mark.parametrize("material", Material)
def test_only_materials_with_rectangle_rates_are_faster_as_cleaning_cross_sections(material: Material) -> None:
    ratio = dose_c_per_m3(material, CrossSection.CLEANING) / dose_c_per_m3(material)
    is_calibrated = material in (Material.ICE, Material.GIS_PLATINUM)
    assert ratio == pytest.approx(1.0 if is_calibrated else CLEANING_TIME_RATIO)
    assert dose_c_per_m3(material, CrossSection.REGULAR) == dose_c_per_m3(material)


@given(
    current_a=st.floats(1e-12, 1e-7),
    depth_um=st.floats(0.1, 50),
    width_um=st.floats(0.1, 50),
    factor=st.floats(0.1, 10),
)
def test_time_is_charge_over_current(current_a: float, depth_um: float, width_um: float, factor: float) -> None:
    shapes = RectanglePattern(width_um=width_um, height_um=2, depth_um=depth_um).shapes()
    conditions = MillingSettings(
        beam_current_a=current_a,
        voltage_v=30e3,
        hfw_m=80e-6,
        application="ice",
        dose_c_per_m3=dose_c_per_m3(Material.ICE),
    )
    seconds = beam_time_s(shapes, conditions)
    assert seconds * current_a / conditions.dose_c_per_m3 == pytest.approx(volume_m3(shapes))
    faster = MillingSettings(
        beam_current_a=current_a * factor,
        voltage_v=30e3,
        hfw_m=80e-6,
        application="ice",
        dose_c_per_m3=conditions.dose_c_per_m3,
    )
    assert beam_time_s(shapes, faster) == pytest.approx(seconds / factor)


def test_no_current_is_an_error_not_an_endless_time() -> None:
    conditions = MillingSettings(beam_current_a=0, voltage_v=30e3, hfw_m=80e-6, application="ice", dose_c_per_m3=1.0)
    with pytest.raises(ConfigError, match="above 0 A"):
        beam_time_s(RectanglePattern().shapes(), conditions)


def test_the_estimate_counts_current_changes_and_every_alignment_but_no_disabled_stage() -> None:
    stage = POLISH[0].model_copy(update={"strategy": DriftCorrectedStrategy(interval_s=60)})
    costs = Overheads(current_change_s=20, alignment_frame_s=1, auto_contrast_s=2, frame_count=3)
    alignments = math.ceil(stage.beam_time_s() / 60)
    assert alignments == 5
    assert estimate_time([stage], overheads=costs).overhead_s == pytest.approx(2 * 20 + alignments * 5)
    assert estimate_time([stage.model_copy(update={"enabled": False})]).total_s == 0


def test_at_twice_the_needed_dose_the_cut_ends_where_the_pattern_does() -> None:
    assert edge_recession_m(beam_sigma_m=20e-9, dose_ratio=2) == pytest.approx(0, abs=1e-15)
    assert edge_recession_m(beam_sigma_m=20e-9, dose_ratio=4) == pytest.approx(20e-9 * 0.67449, rel=1e-4)
    assert edge_recession_m(beam_sigma_m=20e-9, dose_ratio=1.2) < 0


@given(sigma_m=st.floats(0, 200e-9), dose_ratio=st.floats(1.01, 100), thickness_m=st.floats(100e-9, 3e-6))
def test_the_spacing_for_a_thickness_leaves_that_thickness(
    sigma_m: float, dose_ratio: float, thickness_m: float
) -> None:
    try:
        spacing_m = trench_spacing_for(thickness_m, beam_sigma_m=sigma_m, dose_ratio=dose_ratio)
    except ConfigError:
        assert thickness_m + 2 * edge_recession_m(beam_sigma_m=sigma_m, dose_ratio=dose_ratio) <= 0
        return
    left_m = lamella_thickness_for(spacing_m, beam_sigma_m=sigma_m, dose_ratio=dose_ratio)
    assert left_m == pytest.approx(thickness_m, rel=1e-9)


@pytest.mark.parametrize("dose_ratio", [1.0, 0.5, 0.0, -3.0])
def test_a_dose_that_does_not_cut_through_has_no_edge(dose_ratio: float) -> None:
    with pytest.raises(ConfigError, match="does not cut through"):
        edge_recession_m(beam_sigma_m=20e-9, dose_ratio=dose_ratio)


def test_a_lamella_between_too_wide_cuts_is_gone_not_negative() -> None:
    assert lamella_thickness_for(50e-9, beam_sigma_m=100e-9, dose_ratio=10) == 0
