"""Frames of a waffle: trenches milled from above, then a lamella thinned between them from the side."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from fibsem_runtime.app.dataset.bench import Bench, Shot, shoot_both
from fibsem_runtime.app.dataset.ranges import RANGES
from fibsem_runtime.core import BeamType
from fibsem_runtime.hal import CrossSection
from fibsem_runtime.hal.truth import Site, SiteKind
from fibsem_runtime.milling import MillingStage, TrenchPattern

WIDTH_RATIO: Final = (0.7, 1.2)
"""Trench widths over the published 22 µm (methods.md section 6), thinned parts over 14 µm (section 7)."""

STAGES: Final = (
    ("rough_1", 2.0, 14.0, 4.5, 5.0),
    ("rough_2", 0.74, 14.0, 1.5, 2.0),
    ("polish_1", 0.06, 12.0, 0.45, 0.6),
)
"""Name, current in nA, width, spacing and trench height in µm (methods.md section 7, legacy)."""

DEPTH_UM: Final = 60.0
"""Through a slab of 30 µm at 25° the beam goes 71 µm; a lamella is thinned over most of that (calc)."""


def shoot_waffle(bench: Bench) -> Iterator[Shot]:
    """Yield frames of one site: untouched, with trenches from both orientations, and thinned to a drawn stage."""
    draw = bench.draw
    bench.set_scan_rotation(math.radians(draw.choice(RANGES.scan_rotation_deg)))
    sites = [site for site in bench.truth.sites() if site.kind is SiteKind.WAFFLE]
    site: Site = draw.choice(sites)
    here = bench.microscope.stage.position()
    bench.go_to(bench.kinematics.ion_pose(here), site.position)
    if draw.happens(0.3):
        yield bench.shoot(BeamType.ION, "untouched")
    width_ratio = draw.uniform(*WIDTH_RATIO)
    bench.mill(_trenches(bench, 22.0 * width_ratio))
    yield from shoot_both(bench, "trench")
    bench.go_to(bench.kinematics.electron_pose(here), site.position)
    yield from shoot_both(bench, "trench")
    pose = bench.kinematics.milling_pose(here, math.radians(draw.uniform(*RANGES.milling_angle_deg)))
    bench.go_to(pose, site.position)
    yield from shoot_both(bench, "trench")
    for name, current_na, width_um, spacing_um, height_um in STAGES[: draw.choice((0, 1, 2, 3))]:
        bench.mill(
            MillingStage(
                name=name,
                current_na=current_na,
                hfw_um=150,
                pattern=TrenchPattern(
                    width_um=width_um * width_ratio,
                    spacing_um=spacing_um,
                    upper_height_um=height_um,
                    lower_height_um=height_um,
                    depth_um=DEPTH_UM,
                    cross_section=CrossSection.CLEANING,
                ),
            )
        )
        yield from shoot_both(bench, name)


def _trenches(bench: Bench, width_um: float) -> MillingStage:
    draw = bench.draw
    pattern = TrenchPattern(
        width_um=width_um,
        spacing_um=draw.uniform(20.0, 28.0),
        upper_height_um=draw.uniform(10.0, 18.0),
        lower_height_um=draw.uniform(16.0, 32.0),
        depth_um=draw.uniform(20.0, 55.0),
    )
    return MillingStage(name="trench", current_na=7.0, hfw_um=180, pattern=pattern)
