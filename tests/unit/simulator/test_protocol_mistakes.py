"""Mistakes in a protocol show as they would on an instrument; each is set beside the right way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import simulators
from ice_blocks import (
    ICE_DOSE_C_PER_M3,
    ice_block,
    mill_all,
    milling_view,
    rectangle,
    trenches,
    view_from_above,
)

from drivers.simulator.lamella import measure_lamella
from drivers.simulator.pieces import find_pieces
from drivers.simulator.sample import Sample
from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings, RelativeArea, SpecimenPosition
from fibsem_runtime.core.errors import AlignmentError
from fibsem_runtime.core.units import UM
from fibsem_runtime.experiment import Experiment
from fibsem_runtime.hal import GuardSettings, Kinematics, guard
from fibsem_runtime.hal.shapes import MillingSettings
from fibsem_runtime.hal.truth import LamellaTruth
from fibsem_runtime.milling import FiducialPattern, MillingStage, TrenchPattern
from fibsem_runtime.workflow import Context, RunOptions, load_method
from fibsem_runtime.workflow.mill import Tracking, mill_stages
from fibsem_runtime.workflow.settings import AlignmentSettings

TARGET = SpecimenPosition(x_m=0.0, y_m=0.0, z_m=2.5e-6)
VIEW = milling_view((0.0, 0.0, 2.5e-6))


def roughed() -> Sample:
    """Return a cell-high block with rough trenches around a slab of 1.6 µm."""
    block = ice_block(2.5e-6, film_m=12e-9)
    mill_all(block, trenches(spacing_um=1.6, height_um=3.0, depth_um=24), VIEW, current_a=0.3e-9)
    return block


def polished(current_a: float) -> LamellaTruth:
    """Return what a polish for 200 nm at 60 pA leaves when it is done at another current."""
    block = roughed()
    mill_all(block, trenches(spacing_um=0.235, height_um=0.8, depth_um=24), VIEW, current_a=current_a)
    return measure_lamella(block, TARGET, VIEW)


def test_a_polish_at_the_right_current_leaves_a_thin_lamella() -> None:
    truth = polished(60e-12)
    assert truth.thickness_m == pytest.approx(200e-9, abs=50e-9)


def test_the_higher_the_current_of_a_polish_the_less_is_left() -> None:
    currents_a = (60e-12, 0.3e-9, 0.74e-9, 3e-9, 7e-9)
    thickness_nm = [(polished(current_a).thickness_m or 0.0) * 1e9 for current_a in currents_a]
    assert thickness_nm == sorted(thickness_nm, reverse=True)
    assert thickness_nm[2] < 150
    assert thickness_nm[3] < 50
    assert thickness_nm[4] < 10


def test_trenches_that_are_too_shallow_leave_the_lamella_on_its_bottom_and_without_a_thickness() -> None:
    block = ice_block(2.5e-6, film_m=12e-9)
    mill_all(block, trenches(spacing_um=0.6, height_um=2.0, depth_um=5), VIEW)
    truth = measure_lamella(block, TARGET, VIEW)
    assert truth.thickness_m is None
    assert "bottom" in truth.attached_to
    mill_all(block, trenches(spacing_um=0.6, height_um=2.0, depth_um=20), VIEW)
    repaired = measure_lamella(block, TARGET, VIEW)
    assert repaired.thickness_m is not None
    assert repaired.attached_to == ("left", "right")


def test_stress_relief_across_the_lamella_cuts_it_free() -> None:
    block = roughed()
    assert measure_lamella(block, TARGET, VIEW).attached_to == ("left", "right")
    for x_m in (-2.5e-6, 2.5e-6):
        mill_all(block, [rectangle(x_m=x_m, width_m=1e-6, height_m=4e-6, depth_m=24e-6)], VIEW, current_a=0.3e-9)
    assert measure_lamella(block, TARGET, VIEW).attached_to == ()


def block_between_trenches(*, is_undercut: bool) -> Sample:
    """Return a deep block with trenches on three sides, a thin wall polished between them, undercut or not."""
    block = ice_block(20e-6)
    above = view_from_above()
    around = [rectangle(y_m=side * 3.5e-6, width_m=12e-6, height_m=5e-6, depth_m=7e-6) for side in (-1, 1)]
    mill_all(block, [*around, rectangle(x_m=-5e-6, width_m=2e-6, height_m=4e-6, depth_m=7e-6)], above, current_a=3e-9)
    if is_undercut:
        from_the_side = milling_view((0.0, 0.0, 15.5e-6), angle_deg=38)
        mill_all(block, [rectangle(width_m=14e-6, height_m=2.4e-6, depth_m=22e-6)], from_the_side, current_a=3e-9)
    return block


def test_a_block_without_an_undercut_stays_attached_whatever_is_polished_and_severed() -> None:
    sever = [rectangle(x_m=5e-6, width_m=2e-6, height_m=4e-6, depth_m=7e-6)]
    polish = trenches(spacing_um=1.2, height_um=0.8, width_um=12, depth_um=7)
    for is_undercut, pieces in ((False, 0), (True, 1)):
        block = block_between_trenches(is_undercut=is_undercut)
        mill_all(block, polish, view_from_above(), current_a=0.3e-9)
        assert find_pieces(block, block.cuts) == []
        mill_all(block, sever, view_from_above(), current_a=3e-9)
        assert len(find_pieces(block, block.cuts)) == pieces


CROSS = FiducialPattern(point_um=(8, 0), width_um=1, height_um=6, rotation_deg=45, depth_um=4)
AREA = RelativeArea(left_fraction=0.6, top_fraction=0.35, width_fraction=0.2, height_fraction=0.3)
REQUEST = ImageSettings(width_px=768, height_px=512, hfw_m=40 * UM, dwell_time_s=1e-6)
ALIGNMENT = AlignmentSettings(tolerance_nm=60, max_shift_um=2)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    """A run at a milling pose on flat ice, nothing milled yet."""
    raw = simulators.microscope(simulators.settings(scene=simulators.SCENE | {"cell_count": [0, 0]}))
    kinematics = Kinematics(raw.chain)
    pose = kinematics.milling_pose(raw.stage.position(), math.radians(15))
    raw.stage.move_to(pose, cancel=CancelToken())
    raw.ion_beam.auto_contrast(cancel=CancelToken())
    with Experiment.create(tmp_path / "experiment") as experiment:
        yield Context(
            microscope=guard(raw, GuardSettings()),
            kinematics=kinematics,
            experiment=experiment,
            detector=None,
            operator=None,
            method=load_method("on-grid"),
            options=RunOptions(lamella_count=1),
            cancel=CancelToken(),
            lamella="lamella-01",
            step="rough",
        )


def mill_cross(context: Context) -> None:
    stage = MillingStage(name="cross", pattern=CROSS, current_na=1)
    mill_stages(context, [stage], ImagePoint(0.0, 0.0), None)


def track(context: Context) -> Tracking:
    """Take the alignment reference as it looks now."""
    request = replace(REQUEST, reduced_area=AREA)
    reference = context.acquire(BeamType.ION, request, purpose="reference")
    return Tracking(reference=reference.image, request=request, settings=ALIGNMENT)


def mill_trench(context: Context, tracking: Tracking) -> float:
    pattern = TrenchPattern(width_um=4, spacing_um=2, upper_height_um=1, lower_height_um=1, depth_um=2)
    stage = MillingStage(name="trench", pattern=pattern, current_pa=300)
    return mill_stages(context, [stage], ImagePoint(0.0, 0.0), tracking)


def cut_count(context: Context) -> int:
    machine = context.microscope.driver.microscope.driver.machine  # type: ignore[attr-defined]
    return len(machine.sample.cuts)


def test_with_its_fiducial_a_stage_is_milled(context: Context) -> None:
    mill_cross(context)
    before = cut_count(context)
    assert mill_trench(context, track(context)) > 0
    assert cut_count(context) == before + 2


def test_without_a_fiducial_in_the_reference_alignment_refuses_and_nothing_is_milled(context: Context) -> None:
    tracking = track(context)
    mill_cross(context)
    assert_refused(context, tracking)


def test_with_its_fiducial_burnt_away_alignment_refuses_and_nothing_is_milled(context: Context) -> None:
    mill_cross(context)
    tracking = track(context)
    burn(context)
    assert_refused(context, tracking)


def assert_refused(context: Context, tracking: Tracking) -> None:
    before = cut_count(context)
    with pytest.raises(AlignmentError):
        mill_trench(context, tracking)
    assert cut_count(context) == before


def burn(context: Context) -> None:
    """Mill the fiducial away."""
    beam, milling = context.microscope.ion_beam, context.microscope.milling
    imaging_a = beam.settings().beam_current_a
    beam.set_current(3e-9)
    conditions = MillingSettings(
        beam_current_a=3e-9, voltage_v=30e3, hfw_m=REQUEST.hfw_m, application="", dose_c_per_m3=ICE_DOSE_C_PER_M3
    )
    milling.draw([rectangle(x_m=8e-6, width_m=8e-6, height_m=8e-6, depth_m=10e-6)], conditions)
    milling.run(cancel=CancelToken())
    milling.stop()
    beam.set_current(imaging_a)
