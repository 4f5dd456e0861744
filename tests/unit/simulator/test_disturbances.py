"""Disturbances: sizes as published, repeatable by seed, switched off completely."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import simulators

from drivers.simulator.disturbances import Disturbances, stored_shift_m
from drivers.simulator.settings import SimulatorSettings
from drivers.simulator.state import StageState
from fibsem_runtime.core import BeamType, ImagePoint, StagePosition

HERE = StagePosition(x_m=0.0, y_m=0.0, z_m=0.03, r_rad=0.0, t_rad=0.6)
MINUTE_S = 60.0
SEEDS = range(400)


def disturbances(seed: int = 3, *, only: str = "", **changes: object) -> Disturbances:
    sections = {"disturbances": {only: changes}} if changes else {}
    return Disturbances(settings=simulators.settings(only=only, **sections).disturbances, seed=seed)


def length(vector: object) -> float:
    return float(np.linalg.norm(vector))  # type: ignore[arg-type]


def test_steady_drift_has_the_published_rate_in_one_direction_per_seed() -> None:
    drift, stage = disturbances(only="drift"), StageState(position=HERE)
    ten, twenty = (drift.drift_m(stage, minutes * MINUTE_S) for minutes in (10, 20))
    assert length(ten) == pytest.approx(150e-9)
    assert twenty == pytest.approx(2 * ten)
    other = disturbances(4, only="drift").drift_m(stage, 600.0)
    assert length(np.cross(ten, other)) > 0.01 * length(ten) * length(other)


def test_settling_decays_with_its_time_after_a_move() -> None:
    drift = disturbances(only="drift", rate_nm_per_min=0)
    stage = StageState(position=HERE, move_count=1, moved_at_s=100.0)
    reach_m = 60e-9 * 3
    assert length(drift.drift_m(stage, 100.0)) == 0.0
    assert length(drift.drift_m(stage, 100.0 + 180)) == pytest.approx(reach_m * (1 - math.exp(-1)))
    assert length(drift.drift_m(stage, 100.0 + 7200)) == pytest.approx(reach_m)
    first_s = drift.drift_m(stage, 101.0)
    assert length(first_s) == pytest.approx(1e-9, rel=0.01)


def test_the_bound_of_the_drift_speed_holds_at_any_time() -> None:
    drift = disturbances(only="drift")
    stage = StageState(position=HERE, move_count=1, moved_at_s=0.0)
    for start_s, end_s in pairwise(np.linspace(0.0, 1000.0, 50)):
        moved_m = length(drift.drift_m(stage, end_s) - drift.drift_m(stage, start_s))
        assert moved_m <= drift.drift_rate_m_per_s(stage, start_s) * (end_s - start_s) * (1 + 1e-9)


def test_recall_errors_of_long_moves_have_the_published_sigma() -> None:
    target = replace(HERE, x_m=1e-3)
    errors = np.array(
        [disturbances(seed, only="stage_recall").recall_error_m(StageState(position=HERE), target) for seed in SEEDS]
    )
    assert errors.std(axis=0) == pytest.approx([0.4e-6, 0.4e-6, 0.09e-6], rel=0.12)
    assert np.abs(errors.mean(axis=0)) == pytest.approx([0, 0, 0], abs=0.07e-6)


def test_a_short_move_changes_the_recall_error_by_its_share_only() -> None:
    recall = disturbances(only="stage_recall")
    stage = StageState(position=HERE, recall_error_m=(0.4e-6, -0.4e-6, 0.05e-6))
    after = recall.recall_error_m(stage, replace(HERE, x_m=0.5e-6))
    assert length(after - np.array(stage.recall_error_m)) < 0.02e-6
    tilted = recall.recall_error_m(stage, replace(HERE, t_rad=HERE.t_rad + math.radians(10)))
    assert length(tilted - np.array(stage.recall_error_m)) > 0.05e-6


def test_a_walk_of_short_moves_keeps_the_sigma_of_long_ones() -> None:
    recall, stage, errors = disturbances(only="stage_recall"), StageState(position=HERE), []
    for step in range(3000):
        target = replace(HERE, x_m=(step % 2) * 30e-6)
        x_m, y_m, z_m = recall.recall_error_m(stage, target)
        stage = StageState(position=target, move_count=stage.move_count + 1, recall_error_m=(x_m, y_m, z_m))
        errors.append(x_m)
    assert np.std(errors) == pytest.approx(0.4e-6, rel=0.1)


def test_heights_of_squares_scatter_by_the_published_sigma_and_vary_smoothly_within() -> None:
    heights = [disturbances(seed, only="height").height_m(0.0, 0.0) for seed in SEEDS]
    assert np.std(heights) == pytest.approx(15e-6, rel=0.12)
    within = disturbances(only="height", sigma_um=0)
    places = np.linspace(-100e-6, 100e-6, 81)
    along = [within.height_m(x_m, 0.0) for x_m in places]
    assert 0.1e-6 < np.ptp(along) < 12e-6
    assert np.abs(np.diff(along)).max() < 0.2 * np.diff(places).max()


def test_the_rotation_axis_is_25_to_50_um_off() -> None:
    for seed in range(30):
        errors = disturbances(seed, only="rotation_centre").errors(StageState(position=HERE), 0.0, np.zeros(3))
        assert 25e-6 <= length(errors.rotation_centre_m) <= 50e-6


def test_calibrated_currents_differ_by_the_residual_and_always_by_the_same() -> None:
    shifts = disturbances(only="current_shift")
    found = [shifts.ion_content_shift(current_a) for current_a in (20e-12, 0.3e-9, 1e-9)]
    assert all(0.1e-6 <= shift.length_m <= 0.3e-6 for shift in found)
    assert len(set(found)) == 3
    assert shifts.ion_content_shift(0.74 / 1e9) == shifts.ion_content_shift(740 / 1e12)


def test_uncalibrated_currents_have_the_stored_offsets() -> None:
    shifts = disturbances(only="current_shift", calibrated=False)
    assert shifts.ion_content_shift(300e-12) == ImagePoint(pytest.approx(-0.87e-6), pytest.approx(0.6e-6))
    between = stored_shift_m(math.sqrt(100e-12 * 300e-12))
    assert between == pytest.approx([-0.585e-6, 0.425e-6])


def test_without_disturbances_every_deviation_is_zero() -> None:
    none = disturbances()
    stage = StageState(position=HERE, move_count=3, moved_at_s=5.0)
    errors = none.errors(stage, 1e4, np.array([1e-5, 2e-5, 0.0]))
    vectors = (errors.drift_m, errors.recall_m, errors.tilt_axis_m, errors.rotation_centre_m)
    assert all(not vector.any() for vector in vectors)
    assert errors.height_m == 0.0
    assert none.ion_content_shift(1e-9) == ImagePoint(0.0, 0.0)
    assert none.ion_focus_error_m(1e-9) == 0.0
    assert none.drift_rate_m_per_s(stage, 1e4) == 0.0


@pytest.mark.parametrize("name", simulators.DISTURBANCES)
def test_every_disturbance_is_seen_by_a_beam_or_its_focus_and_none_without(name: str) -> None:
    def looks(found: SimulatorSettings) -> list[object]:
        instrument = simulators.microscope(found)
        machine = instrument.driver.machine  # type: ignore[attr-defined]
        here = instrument.stage.position()
        turned = replace(here, r_rad=math.pi, t_rad=0.1, x_m=50e-6)
        instrument.stage.move_to(turned, cancel=simulators.no_cancel())
        machine.spend(600.0)
        instrument.ion_beam.set_current(1e-9)
        return [machine.view(BeamType.ION).origin.tolist(), machine.focus_error_m(BeamType.ION)]

    ideal = looks(simulators.settings())
    assert looks(simulators.settings(only=name)) != ideal
    assert looks(simulators.settings()) == ideal
