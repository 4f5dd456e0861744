"""Frames of lift-out: a block between trenches, and the posts or the mesh that it is landed on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from fibsem_runtime.app.dataset.bench import Bench, Shot, shoot_both
from fibsem_runtime.app.dataset.ranges import RANGES
from fibsem_runtime.core import BeamType, CancelToken
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal.manipulator import ManipulatorPose, ManipulatorPosition
from fibsem_runtime.hal.truth import SiteKind
from fibsem_runtime.milling import MillingStage, RectanglePattern, TrenchPattern

BLOCK_UM: Final = ((30.0, 42.0), (8.0, 12.0))
SERIAL_BLOCK_UM: Final = ((38.0, 48.0), (18.0, 26.0))
"""Width and height of a block: 40 x 10 µm (methods.md section 8) and 45 µm wide (section 9), varied."""

AWAY_UM: Final = (26.0, 60.0)
ASIDE_UM: Final = (-12.0, 12.0)
ABOVE_UM: Final = (8.0, 30.0)
"""Where the tip stops on its way, left of coincidence, beside and above it (methods.md section 8: 25 µm and more)."""

LANDING_HFW_UM: Final = (400.0, 150.0, 150.0, 80.0)
"""Field widths of the landing (methods.md section 8, steps 8 to 11)."""


def shoot_lift_out(bench: Bench) -> Iterator[Shot]:
    """Yield frames of one block and of the posts of a half-moon."""
    yield from _shoot(bench, BLOCK_UM, SiteKind.POST)


def shoot_serial_lift_out(bench: Bench) -> Iterator[Shot]:
    """Yield frames of one volume block and of the bars of a receiver mesh."""
    yield from _shoot(bench, SERIAL_BLOCK_UM, SiteKind.MESH)


def _shoot(
    bench: Bench, block_um: tuple[tuple[float, float], tuple[float, float]], landing: SiteKind
) -> Iterator[Shot]:
    draw = bench.draw
    bench.set_scan_rotation(math.radians(draw.choice(RANGES.scan_rotation_deg)))
    here = bench.microscope.stage.position()
    sites = bench.truth.sites()
    block = draw.choice([site for site in sites if site.kind is SiteKind.BLOCK])
    bench.go_to(bench.kinematics.ion_pose(here), block.position)
    if draw.happens(0.3):
        yield bench.shoot(BeamType.ION, "untouched")
    for stage in _trenches(bench, *(draw.uniform(*ends) for ends in block_um)):
        bench.mill(stage)
    yield from shoot_both(bench, "trench")
    bench.go_to(bench.kinematics.electron_pose(here), block.position)
    yield from shoot_both(bench, "trench")
    yield from _approach(bench)
    place = draw.choice([site for site in sites if site.kind is landing])
    pose = bench.kinematics.milling_pose(here, math.radians(draw.uniform(*RANGES.milling_angle_deg)))
    for at, state in ((bench.kinematics.electron_pose(here), "landing"), (pose, "landing")):
        bench.go_to(at, place.position)
        yield from shoot_both(bench, state, hfw_um=LANDING_HFW_UM)
    yield from _approach(bench)


def _approach(bench: Bench) -> Iterator[Shot]:
    """Yield frames with the needle on its way to coincidence, where the instrument has one, and park it again."""
    manipulator = bench.microscope.manipulator
    if manipulator is None:
        return
    manipulator.insert(ManipulatorPose.STANDBY, cancel=bench.cancel)
    try:
        for ends_um in sorted(bench.draw.uniform(*AWAY_UM) for _ in range(2))[::-1]:
            place = (-ends_um, bench.draw.uniform(*ASIDE_UM), 0.5 * ends_um + bench.draw.uniform(*ABOVE_UM))
            x_m, y_m, z_m = (value * UM for value in place)
            manipulator.move_to(ManipulatorPosition(x_m=x_m, y_m=y_m, z_m=z_m), cancel=bench.cancel)
            yield from shoot_both(bench, "needle", hfw_um=LANDING_HFW_UM)
    finally:
        manipulator.retract(cancel=CancelToken())


def _trenches(bench: Bench, width_um: float, spacing_um: float) -> list[MillingStage]:
    """Return the two trenches of a block and, in half of the cases, the slot that opens one of its sides."""
    draw = bench.draw
    height_um, depth_um = draw.uniform(8.0, 16.0), draw.uniform(14.0, 30.0)
    trench = TrenchPattern(
        width_um=width_um,
        spacing_um=spacing_um,
        upper_height_um=height_um,
        lower_height_um=height_um * draw.uniform(1.0, 1.6),
        depth_um=depth_um,
    )
    stages = [MillingStage(name="trench", current_na=15.0, hfw_um=150, pattern=trench)]
    if draw.happens(0.5):
        side_um = draw.choice((-1.0, 1.0)) * (width_um / 2 + 1.5)
        slot = RectanglePattern(
            point_um=(side_um, 0.0), width_um=3.0, height_um=spacing_um + 2 * height_um, depth_um=depth_um
        )
        stages.append(MillingStage(name="side", current_na=7.0, hfw_um=150, pattern=slot))
    return stages
