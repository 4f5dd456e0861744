"""What happens to the sample besides milling: bending, growing layers, redeposition, motion of the film."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import simulators
from ice_blocks import edges_at, ice_block, mill_all, milling_view, rectangle, trenches, view_from_above

from drivers.simulator.bending import bend, bend_due, is_relieved, watch_lamella
from drivers.simulator.bodies import Body, BodyKind
from drivers.simulator.deposits import ICE_STEP_M, Deposits
from drivers.simulator.faces import U_AXIS, V_AXIS, displaced, grow_on_faces
from drivers.simulator.lamella import measure_lamella
from drivers.simulator.lamella_site import open_site
from drivers.simulator.process_settings import BendingSettings, ProcessSettings, RedepositionSettings
from drivers.simulator.process_state import LamellaState, Layer, LayerKind, ProcessState
from drivers.simulator.redeposition import redeposit
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.slab import find_slab
from drivers.simulator.truth import SimulatorTruth
from fibsem_runtime.core import BeamType, SpecimenPosition
from fibsem_runtime.hal import Microscope

TARGET = SpecimenPosition(x_m=0.0, y_m=0.0, z_m=1.5e-6)
VIEW = milling_view((0.0, 0.0, 1.5e-6))
ABOVE = view_from_above()
HOUR_S = 3600.0


def rough_lamella(*, slots: bool = False, spacing_um: float = 0.55) -> Sample:
    """A slab between two trenches that are cut through, 0.5 µm if not told, with slots beyond its ends or without."""
    block = ice_block(3e-6, film_m=12e-9, width_m=50e-6)
    shapes = trenches(spacing_um=spacing_um, height_um=3, width_um=6, depth_um=25)
    if slots:
        shapes += [rectangle(width_m=0.5e-6, height_m=4e-6, depth_m=25e-6, x_m=x_m) for x_m in (-6e-6, 6e-6)]
    mill_all(block, shapes, VIEW, current_a=100e-12)
    return block


def watched(sample: Sample, *, seed: int = 1, settings: BendingSettings | None = None) -> list[LamellaState]:
    lamellae: list[LamellaState] = []
    place_m = np.array([0.0, 0.0, 1.5e-6])
    watch_lamella(sample, lamellae, place_m, VIEW, settings or BendingSettings(), seed=seed, now_s=0.0)
    return lamellae


@pytest.fixture(scope="module")
def plain() -> Sample:
    return rough_lamella()


def test_a_bent_slab_is_as_thick_as_before_and_stands_elsewhere() -> None:
    block = rough_lamella()
    before = measure_lamella(block, TARGET, VIEW)
    slab = find_slab(block, TARGET, VIEW)
    assert before.thickness_m is not None and before.offset is not None and slab is not None
    assert len(bend(block, slab, 0.6e-6)) == 2
    after = measure_lamella(block, TARGET, VIEW)
    assert after.thickness_m is not None and after.offset is not None
    # Along the beam the bent part begins later on the old surface, where the slab is a little thicker.
    assert after.thickness_m == pytest.approx(before.thickness_m, rel=0.04)
    # At least the mean of a raised cosine over the middle half of its width, at most its height.
    assert 0.6e-6 * (0.5 + 1 / math.pi) < after.offset.y_m - before.offset.y_m < 0.6e-6


@pytest.mark.parametrize(("spacing_um", "bulge_m"), [(0.55, 0.8e-6), (0.55, -1.2e-6), (0.25, -0.8e-6)])
def test_a_bent_slab_still_hangs_between_its_sides_and_on_nothing_else(spacing_um: float, bulge_m: float) -> None:
    block = rough_lamella(spacing_um=spacing_um)
    slab = find_slab(block, TARGET, VIEW)
    assert slab is not None
    bend(block, slab, bulge_m)
    assert measure_lamella(block, TARGET, VIEW).attached_to == ("left", "right")


def test_slots_beyond_both_ends_relieve_a_slab(plain: Sample) -> None:
    rates = []
    for block in (plain, rough_lamella(slots=True)):
        site, slab = open_site(block, TARGET, VIEW), find_slab(block, TARGET, VIEW)
        assert site is not None and slab is not None
        rates.append((is_relieved(site, slab), watched(block)[0].hazard_per_s))
    assert [found for found, _ in rates] == [False, True]
    assert rates[1][1] == pytest.approx(0.1 * rates[0][1])


def test_the_published_share_is_bent_after_ten_hours(plain: Sample) -> None:
    fates = [watched(plain, seed=seed)[0] for seed in range(100)]
    share = np.mean([one.hazard_per_s * 10 * HOUR_S > one.fate_score for one in fates])
    assert share == pytest.approx(9 / 20, abs=3 * math.sqrt(0.45 * 0.55 / 100))


def test_a_slab_bends_once_and_not_before_its_time() -> None:
    block = rough_lamella()
    lamellae = watched(block)
    due_s = lamellae[0].fate_score / lamellae[0].hazard_per_s
    fronts = [cut.front_m.copy() for cut in block.cuts]
    for now_s, count in ((0.999 * due_s, 0), (1.001 * due_s, 2), (2 * due_s, 0)):
        assert len(bend_due({0: block}, lamellae, VIEW, BendingSettings(), seed=1, now_s=now_s)) == count
        if now_s < due_s:
            assert all(np.array_equal(a, cut.front_m) for a, cut in zip(fronts, block.cuts, strict=True))
    assert lamellae[0].bend_m is not None and 0.4e-6 <= abs(lamellae[0].bend_m) <= 1.2e-6


def test_a_thick_slab_is_not_at_risk(plain: Sample) -> None:
    assert watched(plain, settings=BendingSettings(thickness_um=0.3)) == []


def test_a_fiducial_cross_is_not_taken_for_a_lamella() -> None:
    block = ice_block(3e-6, film_m=12e-9, width_m=50e-6)
    arms = [rectangle(width_m=0.8e-6, height_m=6e-6, depth_m=25e-6, rotation_rad=a) for a in (-0.25, 0.25)]
    mill_all(block, arms, VIEW, current_a=1e-9)
    slab = find_slab(block, TARGET, VIEW)
    assert slab is not None and slab.is_through
    assert watched(block, settings=BendingSettings(thickness_um=10)) == []


@pytest.mark.parametrize("axis", [U_AXIS, V_AXIS])
def test_a_displaced_front_is_interpolated_and_never_made_up(axis: int) -> None:
    front = np.full((9, 9), -np.inf)
    rows, columns = np.indices(front.shape)
    front[2:7, 2:7] = (3.0 * rows + 5.0 * columns)[2:7, 2:7]
    moved = displaced(front, 0.5, axis)
    step = 5.0 if axis == U_AXIS else 3.0
    assert moved[4, 4] == front[4, 4] + step / 2
    assert np.isfinite(moved).sum() == 20
    assert np.array_equal(displaced(front, 0, axis), front)


def test_what_grows_on_faces_narrows_a_trench_by_its_thickness_on_every_side() -> None:
    block = ice_block(4e-6)
    cut = mill_all(block, [rectangle(width_m=2e-6, height_m=1e-6, depth_m=3e-6)], ABOVE)[0]
    low_m, high_m = edges_at(cut, w_m=-2e-6)
    floor_m = float(cut.front_m.max())
    grow_on_faces(block, [50e-9])
    narrow = edges_at(cut, w_m=-2e-6)
    # 50 nm of floor have grown too; the slope of the walls turns that into less than a nanometre.
    assert narrow == pytest.approx((low_m + 50e-9, high_m - 50e-9), abs=3e-9)
    assert float(cut.front_m.max()) == pytest.approx(floor_m - 50e-9, abs=1e-10)


def test_nothing_grows_between_two_cuts_that_overlap() -> None:
    block = ice_block(2e-6)
    shapes = [rectangle(height_m=1e-6, depth_m=6e-6, y_m=y_m) for y_m in (-0.49e-6, 0.49e-6)]
    cuts = mill_all(block, shapes, ABOVE)
    grow_on_faces(block, [60e-9, 60e-9])
    reach_m = max(edges_at(cut, w_m=-1e-9)[0] for cut in cuts), min(edges_at(cut, w_m=-1e-9)[1] for cut in cuts)
    assert reach_m[0] < reach_m[1]


def _slot_and_weld() -> tuple[Sample, list[Cut], list[Cut]]:
    """A slot of 0.16 µm, and a pattern milled across it."""
    block = ice_block(2e-6, width_m=20e-6)
    mill_all(block, [rectangle(width_m=4e-6, height_m=0.15e-6, depth_m=5e-6)], ABOVE, current_a=20e-12)
    milled = mill_all(block, [rectangle(width_m=1e-6, height_m=2e-6, depth_m=1.9e-6)], ABOVE, current_a=100e-12)
    before = [replace(cut, front_m=np.full_like(cut.front_m, -np.inf)) for cut in milled]
    return block, milled, before


def test_redeposition_closes_a_narrow_slot_beside_the_milled_pattern() -> None:
    block, milled, before = _slot_and_weld()
    slot = block.cuts[0]
    widths_m = [_width_m(slot, u_m) for u_m in (0.65e-6, 1.8e-6)]
    changed = redeposit(block, milled, before, RedepositionSettings(enabled=True, sticking_fraction=0.2))
    assert [cut is slot for cut in changed] == [True]
    assert _width_m(slot, 0.65e-6) == 0.0 < widths_m[0]
    assert _width_m(slot, 1.8e-6) == pytest.approx(widths_m[1], abs=2e-9)


def _width_m(cut: Cut, u_m: float) -> float:
    column = cut.front_m[:, round((u_m - cut.u0_m) / cut.du_m)]
    return float((column > -1e-6).sum() * cut.dv_m)


def test_faces_that_the_pattern_has_not_opened_stay_clean() -> None:
    block, milled, before = _slot_and_weld()
    mill_all(block, [rectangle(width_m=4e-6, height_m=0.2e-6, depth_m=5e-6, y_m=1.8e-6)], ABOVE, current_a=20e-12)
    apart = block.cuts[-1].front_m.copy()
    redeposit(block, milled, before, RedepositionSettings(enabled=True))
    assert np.array_equal(apart, block.cuts[-1].front_m)


def deposits_on(block: Sample, settings: ProcessSettings | None = None) -> Deposits:
    return Deposits([Body(number=0, kind=BodyKind.GRID, sample=block)], settings or ProcessSettings())


def test_a_layer_covers_the_surface_and_less_the_faces() -> None:
    block = ice_block(3e-6, width_m=20e-6)
    cut = mill_all(block, [rectangle(depth_m=2e-6, height_m=2e-6)], ABOVE)[0]
    floor_m, top_m = float(cut.front_m.max()), float(block.top_m[3, 3])
    state = ProcessState()
    deposits_on(block).add(state, Layer(body=0, kind=LayerKind.SPUTTERED, thickness_m=40e-9))
    assert float(block.top_m[3, 3]) == pytest.approx(top_m + 40e-9, abs=1e-11)
    assert float(block.coating_m[3, 3]) == pytest.approx(40e-9, abs=1e-11)
    assert float(cut.front_m.max()) == pytest.approx(floor_m - 20e-9, abs=1e-11)


def test_gas_is_deposited_thickest_under_the_needle_and_holes_stay_open() -> None:
    block = ice_block(3e-6, width_m=20e-6)
    top_m = block.top_m.copy()
    top_m[0, 0] = float(block.bottom_m[0, 0])
    block.top_m = top_m
    layer = Layer(body=0, kind=LayerKind.GAS, thickness_m=1e-6, x_m=5e-6, y_m=0.0, sigma_m=5e-6)
    deposits_on(block).add(ProcessState(), layer)
    middle = block.top_m.shape[0] // 2
    assert float(block.top_m[middle, middle + 10]) == pytest.approx(4e-6, abs=1e-9)
    assert float(block.top_m[middle, middle]) == pytest.approx(3e-6 + 1e-6 * math.exp(-0.5), abs=1e-9)
    assert block.top_m[0, 0] == block.bottom_m[0, 0]


def test_ice_grows_with_time_however_often_one_looks() -> None:
    settings = ProcessSettings.model_validate({"ice_growth": {"enabled": True, "rate_nm_per_h": 60}})
    tops = []
    for times_h in ((3.0,), (0.1, 0.9, 1.7, 3.0)):
        block, state = ice_block(1e-6, width_m=10e-6), ProcessState()
        deposits = deposits_on(block, settings)
        for time_h in times_h:
            deposits.grow_ice(state, time_h * HOUR_S)
        tops.append(block.top_m)
        assert state.ice_count * ICE_STEP_M == pytest.approx(180e-9)
    assert np.array_equal(tops[0], tops[1])
    assert float(tops[0][2, 2]) == pytest.approx(1.18e-6, abs=1e-11)


def processing(**processes: Any) -> Microscope:
    instrument = simulators.microscope(simulators.settings(processes=processes))
    simulators.ready_to_mill(instrument)
    return instrument


def test_the_film_moves_under_the_ion_beam_and_stays_where_it_has_gone() -> None:
    instrument = processing(film_motion={"enabled": True, "typical_um": 0.3, "charge_nc": 1.0})
    machine = instrument.driver.machine  # type: ignore[attr-defined]
    before = machine.view(BeamType.ION)
    instrument.milling.draw(simulators.PATTERN, simulators.CONDITIONS)
    instrument.milling.run(cancel=simulators.no_cancel())
    moved_m = machine.view(BeamType.ION).origin - before.origin
    along_m = [float(moved_m @ axis) for axis in (before.right, before.up, before.direction)]
    assert 20e-9 < abs(along_m[1]) < 2.5e-6
    assert (along_m[0], along_m[2]) == pytest.approx((0.0, 0.0), abs=1e-12)
    spent_c = sum(site.charge_c for site in machine.state.processes.film_sites)
    assert spent_c == pytest.approx(sum(s.area_m2 * s.depth_m for s in simulators.PATTERN) * simulators.ICE_DOSE)


@pytest.mark.parametrize("is_damaged", [True, False])
def test_the_dead_layer_of_both_faces_is_not_in_the_undamaged_thickness(is_damaged: bool) -> None:
    instrument = processing(damage={"enabled": is_damaged, "layer_nm": 45})
    instrument.milling.draw(trenches(spacing_um=1.2, height_um=2, width_um=5, depth_um=20), simulators.CONDITIONS)
    machine = instrument.driver.machine  # type: ignore[attr-defined]
    view = machine.view(BeamType.ION)
    instrument.milling.run(cancel=simulators.no_cancel())
    x_m, y_m, z_m = view.origin + (1e-6 - view.origin[2]) / view.direction[2] * view.direction
    target = SpecimenPosition(x_m=float(x_m), y_m=float(y_m), z_m=float(z_m))
    truth = SimulatorTruth(machine=machine)
    whole_m, sound_m = truth.lamella(target).thickness_m, truth.undamaged_thickness_m(target)
    assert whole_m is not None and sound_m is not None and whole_m > 0.5e-6
    assert whole_m - sound_m == pytest.approx(90e-9 if is_damaged else 0.0)


def test_an_uneven_coating_leaves_curtains_on_the_milled_face() -> None:
    ripples_m = []
    for variation_m in (0.0, 60e-9):
        block = ice_block(3e-6, coating_m=0.2e-6, film_m=12e-9, width_m=40e-6)
        columns = np.arange(block.top_m.shape[1]) * block.pitch_m
        coating_m = block.coating_m + np.float32(variation_m) * np.sin(columns / 0.5e-6).astype(np.float32)
        block.top_m = block.top_m - block.coating_m + coating_m
        block.coating_m = coating_m
        cut = mill_all(block, [rectangle(width_m=3e-6, depth_m=16e-6)], VIEW, current_a=300e-12)[0]
        middle = cut.front_m.shape[1] // 2
        places_m = (np.arange(middle - 20, middle + 20, 2) * cut.du_m + cut.u0_m).tolist()
        ripples_m.append(float(np.std([edges_at(cut, w_m=0.0, u_m=u_m)[0] for u_m in places_m])))
    assert ripples_m[0] < 0.1e-9
    assert ripples_m[1] > 1e-9
