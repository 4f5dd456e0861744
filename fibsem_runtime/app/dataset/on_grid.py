"""Frames of cells on a film, before, between and after the stages that make lamellae of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from fibsem_runtime.app.dataset.bench import Bench, Shot, shoot_both
from fibsem_runtime.app.dataset.ranges import RANGES
from fibsem_runtime.core import BeamType, SpecimenPosition
from fibsem_runtime.hal import CrossSection
from fibsem_runtime.hal.truth import Site, SiteKind
from fibsem_runtime.milling import FiducialPattern, MicroExpansionPattern, MillingStage, TrenchPattern

STAGES: Final = (
    ("rough_1", 0.74, 10.0, 4.6, 3.5),
    ("rough_2", 0.3, 9.5, 1.6, 2.0),
    ("polish_1", 0.1, 9.2, 0.7, 0.6),
    ("polish_2", 0.06, 9.0, 0.3, 0.4),
)
"""Name, current in nA, width, spacing and trench height in µm (methods.md sections 5 and 11, on-grid)."""

WIDTH_RATIO: Final = (0.8, 1.5)
"""Widths of published lamellae, 8 to 14 µm (methods.md sections 5, 7), over those of `STAGES`."""

HEIGHT_RATIO: Final = (1.0, 1.5)
DEPTH_UM: Final = (14.0, 28.0)
"""Trenches from not quite through a cell to well through it (assumed)."""

WHERE_FIDUCIALS_ARE_UM: Final = 24.0
"""Distance of the fiducial from the lamella (methods.md section 5: 25 µm)."""

NEIGHBOUR_M: Final = 30e-6
"""Sites nearer to each other would be in each other's trenches, which at 8° reach 20 µm along the film (calc)."""

INNER_M: Final = 45e-6
"""How far from the middle of the square a site may be, so that its field shows more than bars (assumed)."""


def shoot_on_grid(bench: Bench) -> Iterator[Shot]:
    """Yield frames of none to two lamellae, each milled to a drawn stage, with or without a fiducial."""
    draw = bench.draw
    bench.set_scan_rotation(math.radians(draw.choice(RANGES.scan_rotation_deg)))
    angle_rad = math.radians(draw.uniform(*RANGES.milling_angle_deg))
    pose = bench.kinematics.milling_pose(bench.microscope.stage.position(), angle_rad)
    sites = _sites(bench)
    bench.go_to(bench.kinematics.electron_pose(bench.microscope.stage.position()), sites[0].position)
    yield bench.shoot(BeamType.ELECTRON, "untouched")
    for site in sites[: draw.choice((0, 1, 1, 1, 1, 2))]:
        bench.go_to(pose, site.position)
        yield from _mill_site(bench)
    bench.go_to(pose, sites[0].position)
    yield from shoot_both(bench, "finished")


def _sites(bench: Bench) -> list[Site]:
    """Return the sites in a drawn order, those left out that are too near to one before them or to the bars."""
    cells = [site for site in bench.truth.sites() if site.kind is SiteKind.CELL]
    chosen: list[Site] = []
    for index in bench.draw.rng.permutation(len(cells)):
        place = cells[int(index)].position
        is_inner = math.hypot(place.x_m, place.y_m) < INNER_M
        if is_inner and all(_distance_m(place, other.position) > NEIGHBOUR_M for other in chosen):
            chosen.append(cells[int(index)])
    return chosen or cells[:1]


def _distance_m(one: SpecimenPosition, other: SpecimenPosition) -> float:
    return math.hypot(one.x_m - other.x_m, one.y_m - other.y_m)


def _mill_site(bench: Bench) -> Iterator[Shot]:
    """Mill one site stage by stage up to a drawn one; frames after most."""
    draw = bench.draw
    width_ratio, height_ratio = draw.uniform(*WIDTH_RATIO), draw.uniform(*HEIGHT_RATIO)
    depth_um = draw.uniform(*DEPTH_UM)
    if draw.happens(0.6):
        bench.mill(_fiducial(bench))
    stages = STAGES[: draw.choice((1, 2, 2, 3, 4, 4))]
    for number, (name, current_na, width_um, spacing_um, height_um) in enumerate(stages):
        bench.mill(
            MillingStage(
                name=name,
                current_na=current_na,
                hfw_um=100,
                pattern=TrenchPattern(
                    width_um=width_um * width_ratio,
                    spacing_um=spacing_um,
                    upper_height_um=height_um * height_ratio,
                    lower_height_um=height_um * height_ratio,
                    depth_um=depth_um,
                    cross_section=CrossSection.CLEANING,
                ),
            )
        )
        if number == 0 and draw.happens(0.5):
            bench.mill(_stress_relief(width_um * width_ratio))
        if draw.happens(0.75):
            yield from shoot_both(bench, name)


def _fiducial(bench: Bench) -> MillingStage:
    draw = bench.draw
    side = draw.choice((-1.0, 1.0))
    pattern = FiducialPattern(
        point_um=(side * WHERE_FIDUCIALS_ARE_UM, 0.0),
        width_um=draw.uniform(0.5, 1.2),
        height_um=draw.uniform(6.0, 12.0),
        rotation_deg=draw.choice((0.0, 45.0)),
        depth_um=draw.uniform(1.0, 4.0),
    )
    return MillingStage(name="fiducial", current_na=1.0, hfw_um=100, pattern=pattern)


def _stress_relief(width_um: float) -> MillingStage:
    pattern = MicroExpansionPattern(width_um=0.5, height_um=12.0, distance_um=width_um / 2 + 4.0, depth_um=20.0)
    return MillingStage(name="stress_relief", current_na=0.74, hfw_um=100, pattern=pattern)
