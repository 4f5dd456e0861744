"""The vectors of vendor-geometry.md as they reach the vendor's stage, and as the images show them.

Moves are read from the log of the fake: what was sent, in the vendor's own axes, minus where the stage stood.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import simulators
from thermofisher_fake import COMPUSTAGE_GEOMETRY, COMPUSTAGE_LIMITS, GEOMETRY, opened, virtual_instrument

from fibsem_runtime.contract.shifts import content_shift
from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings, StagePosition
from fibsem_runtime.core.errors import ConfigError, MotionError, StageLimitError
from fibsem_runtime.hal import Kinematics, Microscope, safe_route

SEM, FIB = BeamType.ELECTRON, BeamType.ION
ARCTIS = "compustage"
PRETILTS: list[Any] = [0, 27, 35, 45, ARCTIS]
F_RAD = math.radians(52)
PRINTED_UM = 0.5e-4 + 1e-6
STAGE_TOLERANCE_M = 1e-6


@contextmanager
def driver(pretilt: Any, *, has_image: bool = False, **options: Any) -> Iterator[tuple[Any, Microscope]]:
    """Open the driver on an instrument of this pre-tilt in degrees, or on one with a compustage."""
    is_compustage = pretilt == ARCTIS
    geometry = dict(COMPUSTAGE_GEOMETRY if is_compustage else {**GEOMETRY, "pretilt_deg": pretilt})
    stage = {"stage": COMPUSTAGE_LIMITS} if is_compustage else {}
    scene = {"scene": {}} if has_image else {}
    simulator = simulators.settings(geometry=geometry, **stage, **scene)
    with (
        virtual_instrument(simulator, is_compustage=is_compustage, **options) as instrument,
        opened(instrument, geometry={**geometry, "is_compustage": is_compustage}) as microscope,
    ):
        yield instrument, microscope


def go(microscope: Microscope, target: StagePosition) -> StagePosition:
    """Drive there on a way that nothing objects to."""
    here = microscope.stage.position()
    for waypoint in safe_route(here, target):
        here = microscope.stage.move_to(waypoint, cancel=CancelToken())
    return here


def sent_um(instrument: Any, here: StagePosition) -> tuple[float, float, float]:
    """Return the last move that was sent, in micrometres; axes that were not sent did not move."""
    position = [call.arguments[0] for call in instrument.calls if call.name.endswith("absolute_move")][-1]
    starts = (here.x_m, here.y_m, here.z_m)
    return tuple(  # type: ignore[return-value]
        0.0 if asked is None else (asked - start_m) * 1e6
        for asked, start_m in zip((position.x, position.y, position.z), starts, strict=True)
    )


def stable_move_um(
    instrument: Any, microscope: Microscope, beam_type: BeamType, turn_rad: float
) -> tuple[float, float, float]:
    """Centre what the image shows at (5, 10) µm and return the move that was sent."""
    microscope.beam(beam_type).set_scan_rotation(turn_rad)
    here = microscope.stage.position()
    target = Kinematics(microscope.chain).stable_move(
        here,
        beam_type,
        ImagePoint(5e-6, 10e-6),
        scan_rotation_rad=microscope.beam(beam_type).settings().scan_rotation_rad,
    )
    go(microscope, target)
    return sent_um(instrument, here)


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize(
    ("pretilt", "t_deg", "r_deg", "beam_type", "dy_um", "dz_um"),
    [
        (0, 0, 0, SEM, 10.0000, 0),
        (0, 0, 0, FIB, 16.2427, 0),
        (35, 35, 0, SEM, 8.1915, -5.7358),
        (35, 35, 0, FIB, 13.3052, -9.3164),
        (35, 12, 0, SEM, 8.8989, -6.2311),
        (35, 12, 0, FIB, 31.6496, -22.1613),
        (35, 17, 180, SEM, 13.3052, 9.3164),
        (35, 17, 180, FIB, 8.1915, 5.7358),
        (ARCTIS, -23, 0, SEM, 10.8636, 0),
        (ARCTIS, -23, 0, FIB, 38.6370, 0),
    ],
)
def test_the_printed_stable_moves_reach_the_stage(
    pretilt: Any, t_deg: float, r_deg: float, beam_type: BeamType, dy_um: float, dz_um: float, turn_rad: float
) -> None:
    with driver(pretilt) as (instrument, microscope):
        here = microscope.stage.position()
        go(microscope, replace(here, r_rad=math.radians(r_deg), t_rad=math.radians(t_deg)))
        sign = 1 if turn_rad == 0 else -1
        expected = (5 * sign, dy_um * sign, dz_um * sign)
        assert stable_move_um(instrument, microscope, beam_type, turn_rad) == pytest.approx(expected, abs=PRINTED_UM)


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize(
    ("pretilt", "pose"),
    # Without the turned-over pose of a compustage, where two sources give y two signs (vendor-geometry.md section 5).
    [
        (pretilt, pose)
        for pretilt in PRETILTS
        for pose in ("electron", "ion", "milling")
        if (pretilt, pose) != (ARCTIS, "ion")
    ],
)
@pytest.mark.parametrize("beam_type", list(BeamType))
def test_stable_moves_follow_the_formula_for_every_pretilt(
    pretilt: Any, beam_type: BeamType, pose: str, turn_rad: float
) -> None:
    """vendor-geometry.md section 5: d = dy / cos(t - cp - v); Δy = d cos cp, Δz = -d sin cp."""
    with driver(pretilt) as (instrument, microscope):
        kinematics = Kinematics(microscope.chain)
        here = microscope.stage.position()
        target = {
            "electron": kinematics.electron_pose(here),
            "ion": kinematics.ion_pose(here),
            "milling": kinematics.milling_pose(here, math.radians(30)),
        }[pose]
        reached = go(microscope, target)
        pretilt_rad = 0.0 if pretilt == ARCTIS else math.radians(pretilt)
        cp_rad = -pretilt_rad if pose == "ion" else pretilt_rad
        cos = math.cos(reached.t_rad - cp_rad - (F_RAD if beam_type is FIB else 0.0))
        sign = 1 if turn_rad == 0 else -1
        d_um = sign * 10 / cos
        expected = (5 * sign, d_um * math.cos(cp_rad), -d_um * math.sin(cp_rad))
        assert stable_move_um(instrument, microscope, beam_type, turn_rad) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize(
    ("pretilt", "t_rad", "dy_um", "dz_um"),
    [
        (35, 0.0, 0, 12.6902),
        (35, 0.2, 2.5211, 12.4372),
        (35, 0.4, 4.9418, 11.6884),
        (0, math.radians(12), 2.6384, 12.4129),
        (0, math.radians(52), 10.0, 7.8129),
        (ARCTIS, math.radians(-23), -4.9584, 11.6814),
    ],
)
def test_the_printed_vertical_moves_reach_the_stage(
    pretilt: Any, t_rad: float, dy_um: float, dz_um: float, turn_rad: float
) -> None:
    with driver(pretilt) as (instrument, microscope):
        microscope.ion_beam.set_scan_rotation(turn_rad)
        here = go(microscope, replace(microscope.stage.position(), t_rad=t_rad))
        found_rad = microscope.ion_beam.settings().scan_rotation_rad
        go(microscope, Kinematics(microscope.chain).vertical_move(here, 10e-6, scan_rotation_rad=found_rad))
        sign = 1 if turn_rad == 0 else -1
        assert sent_um(instrument, here) == pytest.approx((0, sign * dy_um, sign * dz_um), abs=PRINTED_UM)


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize("t_deg", [-10, 12, 35])
@pytest.mark.parametrize("pretilt", PRETILTS)
def test_vertical_moves_follow_the_formula_for_every_pretilt(pretilt: Any, t_deg: float, turn_rad: float) -> None:
    """vendor-geometry.md section 6, exact: h = dy / sin f; Δy = h sin t, Δz = h cos t, whatever the pre-tilt."""
    with driver(pretilt) as (instrument, microscope):
        t_rad = math.radians(min(t_deg, 14) if pretilt == ARCTIS else t_deg)
        microscope.ion_beam.set_scan_rotation(turn_rad)
        here = go(microscope, replace(microscope.stage.position(), t_rad=t_rad))
        go(microscope, Kinematics(microscope.chain).vertical_move(here, 10e-6, scan_rotation_rad=turn_rad))
        h_um = (10 if turn_rad == 0 else -10) / math.sin(F_RAD)
        expected = (0.0, h_um * math.sin(t_rad), h_um * math.cos(t_rad))
        assert sent_um(instrument, here) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize("beam_type", list(BeamType))
@pytest.mark.parametrize("pretilt", PRETILTS)
def test_a_beam_shift_is_sent_as_the_image_shows_it(pretilt: Any, beam_type: BeamType, turn_rad: float) -> None:
    """Section 9: image-aligned on Thermo Fisher, so that the scan rotation changes nothing."""
    with driver(pretilt) as (instrument, microscope):
        beam = microscope.beam(beam_type)
        beam.set_scan_rotation(turn_rad)
        beam.set_shift(ImagePoint(2e-6, -1e-6))
        (sent,) = [call.arguments[0] for call in instrument.calls if call.name.endswith(".beam_shift=")]
        assert (sent.x, sent.y) == (2e-6, -1e-6)


@pytest.mark.parametrize(
    ("pretilt", "milling_deg", "electron_t_deg", "ion_t_deg", "milling_t_deg"),
    [
        (35, 15, 35, 17, 12),
        (35, 9, 35, 17, 6),
        (27, 15, 27, 25, 4),
        (ARCTIS, 15, 0, -128, -23),
        (0, 15, 0, 52, -23),
        (45, 15, 45, 7, 22),
    ],
)
def test_the_printed_poses_are_reached(
    pretilt: Any, milling_deg: float, electron_t_deg: float, ion_t_deg: float, milling_t_deg: float
) -> None:
    with driver(pretilt) as (_, microscope):
        kinematics, is_arctis = Kinematics(microscope.chain), pretilt == ARCTIS
        here = microscope.stage.position()
        electron = go(microscope, kinematics.electron_pose(here))
        assert (math.degrees(electron.t_rad), electron.r_rad) == pytest.approx((electron_t_deg, 0), abs=1e-3)
        ion = go(microscope, kinematics.ion_pose(electron))
        assert math.degrees(ion.t_rad) == pytest.approx(ion_t_deg, abs=1e-3)
        assert abs(math.degrees(ion.r_rad)) == pytest.approx(0 if is_arctis else 180, abs=1e-3)
        target = kinematics.milling_pose(electron, math.radians(milling_deg))
        assert math.degrees(target.t_rad) == pytest.approx(milling_t_deg, abs=1e-3)
        if microscope.stage.limits.t_rad.contains(target.t_rad):
            assert math.degrees(kinematics.milling_angle(go(microscope, target))) == pytest.approx(
                milling_deg, abs=1e-3
            )
        else:
            with pytest.raises(StageLimitError, match="tilt"):
                go(microscope, target)


@pytest.mark.parametrize("pretilt", [0, 27, 35, 45])
def test_half_a_turn_about_the_configured_centre_mirrors_x_and_y(pretilt: float) -> None:
    """vendor-geometry.md section 7: (x, y) → (-x, -y) about the rotation centre."""
    geometry = {**GEOMETRY, "pretilt_deg": pretilt, "rotation_centre_x_mm": 0.8, "rotation_centre_y_mm": -0.5}
    with virtual_instrument(simulators.settings(geometry={**GEOMETRY, "pretilt_deg": pretilt})) as instrument:
        with opened(instrument, geometry=geometry) as microscope:
            here = go(microscope, replace(microscope.stage.position(), x_m=1e-3, y_m=2e-3, t_rad=0.0))
            turned = go(microscope, Kinematics(microscope.chain).rotate(here, math.pi))
            assert (turned.x_m, turned.y_m) == pytest.approx((0.6e-3, -3e-3), abs=1e-9)
            assert turned.z_m == pytest.approx(here.z_m, abs=1e-9)


@pytest.mark.parametrize("turns", [-1, 1])
def test_rotations_that_are_read_a_turn_off_mean_the_same(turns: int) -> None:
    with driver(35, read_turns=turns) as (_, microscope):
        here = microscope.stage.position()
        assert here.r_rad == pytest.approx(turns * math.tau)
        kinematics = Kinematics(microscope.chain)
        assert math.degrees(
            kinematics.milling_angle(go(microscope, kinematics.milling_pose(here, 0.3)))
        ) == pytest.approx(math.degrees(0.3), abs=1e-6)


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
@pytest.mark.parametrize("pretilt", PRETILTS)
def test_images_move_as_the_chain_says_for_every_pretilt(pretilt: Any, turn_rad: float) -> None:
    """A stable move, a vertical move and a beam shift, seen in frames that came through the driver."""
    frame = ImageSettings(width_px=384, height_px=256, hfw_m=50e-6, dwell_time_s=5e-6)
    with driver(pretilt) as (_, microscope):
        for each in BeamType:
            microscope.beam(each).set_scan_rotation(turn_rad)
        kinematics = Kinematics(microscope.chain)
        # Away from the poses' own tilt, where the limits of the stage allow it for every pre-tilt.
        pose = replace(microscope.stage.position(), t_rad=microscope.chain.pretilt_rad - math.radians(8))
        here = go(microscope, pose)

        def images() -> dict[BeamType, Any]:
            return {each: microscope.beam(each).acquire(frame, cancel=CancelToken()) for each in BeamType}

        def moved() -> dict[BeamType, ImagePoint]:
            after = images()
            return {each: content_shift(before[each], after[each]) for each in BeamType}

        before = images()
        offset = ImagePoint(4e-6, -3e-6)
        there = go(microscope, kinematics.stable_move(here, SEM, offset, scan_rotation_rad=turn_rad))
        assert (moved()[SEM] + offset).length_m < STAGE_TOLERANCE_M
        go(microscope, here)
        assert there != here
        go(microscope, kinematics.vertical_move(here, 4e-6, scan_rotation_rad=turn_rad))
        seen = moved()
        assert seen[SEM].length_m < STAGE_TOLERANCE_M
        assert (seen[FIB] - ImagePoint(0.0, -4e-6)).length_m < STAGE_TOLERANCE_M
        go(microscope, here)
        for each in BeamType:
            microscope.beam(each).set_shift(ImagePoint(2e-6, 1e-6))
        assert all((shift - ImagePoint(2e-6, 1e-6)).length_m < STAGE_TOLERANCE_M for shift in moved().values())


def test_a_compustage_refuses_z_while_the_objective_is_inserted_and_the_error_says_so() -> None:
    with driver(ARCTIS, is_objective_inserted=True) as (_, microscope):
        here = microscope.stage.position()
        microscope.stage.move_to(replace(here, x_m=here.x_m + 5e-6), cancel=CancelToken())
        with pytest.raises(MotionError, match="objective"):
            microscope.stage.move_to(replace(here, z_m=here.z_m + 5e-6), cancel=CancelToken())


def test_a_compustage_refuses_to_rotate() -> None:
    with driver(ARCTIS) as (instrument, microscope):
        here = microscope.stage.position()
        with pytest.raises(StageLimitError, match="rotation"):
            microscope.stage.move_to(replace(here, r_rad=math.pi), cancel=CancelToken())
        assert not any(call.name.endswith("absolute_move") for call in instrument.calls)


@pytest.mark.parametrize(("pretilt", "configured"), [(35, True), (ARCTIS, False)])
def test_settings_of_another_kind_of_stage_are_refused(pretilt: Any, configured: bool) -> None:
    with virtual_instrument(simulators.settings(), is_compustage=pretilt == ARCTIS) as instrument:
        with pytest.raises(ConfigError, match="is_compustage"):
            with opened(instrument, geometry={**GEOMETRY, "is_compustage": configured}):
                pass


def test_the_electron_focus_survives_a_tilt() -> None:
    with driver(35) as (instrument, microscope):
        before_m = microscope.electron_beam.settings().working_distance_m
        here = microscope.stage.position()
        go(microscope, replace(here, t_rad=here.t_rad - 0.2))
        assert microscope.electron_beam.settings().working_distance_m == pytest.approx(before_m, abs=1e-9)
        assert "electron_beam.working_distance=" in [call.name for call in instrument.calls]


def test_a_move_to_where_the_stage_stands_ends_at_once() -> None:
    with driver(35) as (_, microscope):
        here = microscope.stage.position()
        nearly = replace(here, x_m=here.x_m + 15e-9)
        assert microscope.stage.move_to(here, cancel=CancelToken()) == here
        assert np.isclose(microscope.stage.move_to(nearly, cancel=CancelToken()).x_m, here.x_m, atol=20e-9)
