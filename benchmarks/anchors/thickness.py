"""Thickness of polished lamellae, and how far the faces of a trench lean."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from anchors.recipe import POLISH, Stage, draw, stage
from anchors.row import FLAT_ICE, Row, at_milling_pose, settings
from drivers.simulator.truth import SimulatorTruth
from fibsem_runtime.core import BeamType, CancelToken, SpecimenPosition
from fibsem_runtime.core.units import NM, UM

SETTLING_S = 180.0
"""Wait between stage move and milling: that of instrument 2 of Zachs et al. (physics.md section 5)."""

PROBES = (
    {"width_ratio": 0.5, "tail_fraction": 0.001, "tail_width_ratio": 3},
    {"width_ratio": 1.0, "tail_fraction": 0.01, "tail_width_ratio": 10},
)
"""Narrowest and widest probe of physics.md sections 4 and 10."""

OVERTILTS = (
    (300, 1.5, 2.0, "1.0 deg (AutoTEM, 0.3 nA), +-1 deg (Schaffer 2017)"),
    (100, 1.0, 1.0, "0.5 and 0.2 deg (AutoTEM, 0.1 nA)"),
    (30, 0.4, 0.5, "0 deg (AutoTEM, 30 pA)"),
)
"""Current in pA, distance and height of the trenches in um; recipes of physics.md section 4 and methods.md 13."""


def polished_thickness_nm(
    seed: int, drift: Mapping[str, float] | None, *, film_um: float = 2.0, **sections: Any
) -> float | None:
    """Polish for 4.67 min without looking, and return what the truth says; None when no slab is cut through."""
    scene = {**FLAT_ICE, "ice_film_um": film_um}
    instrument = at_milling_pose(settings(drift=drift, scene=scene, **sections), seed=seed)
    instrument.clock.sleep(SETTLING_S)
    draw(instrument, POLISH)
    machine = instrument.driver.machine  # type: ignore[attr-defined]
    view = machine.view(BeamType.ION)
    instrument.milling.run(cancel=CancelToken())
    # The point of the beam's axis half way through the ice, as the axis stood before the polish.
    x_m, y_m, z_m = view.origin + (film_um / 2 * UM - view.origin[2]) / view.direction[2] * view.direction
    target = SpecimenPosition(x_m=float(x_m), y_m=float(y_m), z_m=float(z_m))
    thickness_m = SimulatorTruth(machine=machine).lamella(target).thickness_m
    return thickness_m / NM if thickness_m is not None else None


def thickness_spread(seed_count: int) -> Iterator[Row]:
    """Polish many lamellae with drift alone, not corrected while milling."""
    for name, drift in (
        ("no drift", None),
        ("drift of the defaults (15 nm/min, settling 60)", {}),
        ("60 nm/min, the stage's specification", {"rate_nm_per_min": 60, "settling_nm_per_min": 0}),
    ):
        count = 1 if drift is None else seed_count
        found_nm = [polished_thickness_nm(seed, drift) for seed in range(1, count + 1)]
        whole_nm = [thickness_nm for thickness_nm in found_nm if thickness_nm is not None]
        spread_nm = statistics.stdev(whole_nm) if len(whole_nm) > 1 else 0.0
        low_nm, high_nm = min(whole_nm), max(whole_nm)
        yield Row(
            anchor=f"3 thickness, patterns 300 nm apart, {name}",
            published="117-379 nm, mean 243 (manual 258)",
            simulated=f"{low_nm:.0f}-{high_nm:.0f} nm, mean {statistics.mean(whole_nm):.0f}, sigma {spread_nm:.0f} "
            f"(n {len(whole_nm)} of {count})",
            free="ice of 7.7 um along the beam, 3 min of settling, both rectangles one after the other",
            agrees=_covers(low_nm, high_nm) if count > 1 else "baseline",
        )


def _covers(low_nm: float, high_nm: float) -> str:
    """Say how much of the published range of 262 nm the simulated one has."""
    return f"range {(high_nm - low_nm) / (379 - 117):.0%} of the published"


def thickness_over_ranges() -> Row:
    """Polish without drift at the ends of what is published about ice, its path and the probe."""
    found_nm = []
    for film_um, ice, probe in product((1.0, 2.0), (5.0, 13.0), PROBES):
        removal = {"ice_um3_per_nc": ice, "cell_um3_per_nc": ice}
        found_nm.append(polished_thickness_nm(1, None, film_um=film_um, removal=removal, probe=probe))
    whole_nm = [thickness_nm for thickness_nm in found_nm if thickness_nm is not None]
    return Row(
        anchor="3 mean thickness, no drift, over the published ranges of all coefficients",
        published="mean 243 nm",
        simulated=f"{min(whole_nm):.0f}-{max(whole_nm):.0f} nm (n {len(whole_nm)} of {len(found_nm)})",
        free="none chosen: ice 5-13 um3/nC, 3.9-7.7 um along the beam (assumed), probe width x 0.5-1, tail from "
        "0.001 of the current x 3 as wide to 0.01 x 10",
        agrees="touched at the thin end, where ice goes fast and its path is short: most overdose"
        if min(whole_nm) <= 244
        else "no",
    )


def faces_lean() -> Iterator[Row]:
    """Mill trenches without over-tilt and compare the lean of their faces with the over-tilts that people use."""
    for current_pa, spacing_um, height_um, published in OVERTILTS:
        found_deg = _lean_deg(stage(current_pa, 7, height_um, spacing_um))
        yield Row(
            anchor=f"over-tilt, {current_pa:g} pA",
            published=published,
            simulated=f"faces lean by {found_deg:.2f} deg",
            free="none fitted: probe width of the table read as FWHM, dose of the recipe, 7.7 um of ice",
            agrees="recipes, not measurements; same order and same fall with the current",
        )


def _lean_deg(one: Stage) -> float:
    """Return by how much the faces of a trench lean on average over the middle 60 % of the ice."""
    instrument = at_milling_pose(settings(scene=FLAT_ICE), seed=1)
    draw(instrument, one)
    instrument.milling.run(cancel=CancelToken())
    cut = instrument.driver.machine.sample.cuts[0]  # type: ignore[attr-defined]
    v_m = cut.v0_m + cut.dv_m * np.arange(cut.front_m.shape[0])
    # The surface of the ice is slanted against the beam: every ray enters it somewhere else.
    enters_m = (2 * UM - v_m * cut.axes[1][2]) / cut.axes[2][2]
    path_m = 2 * UM / abs(float(cut.axes[2][2]))
    depth = (cut.front_m[:, cut.front_m.shape[1] // 2] - enters_m) / path_m
    widths_m = [_crossings_m(v_m, depth, share) for share in (0.2, 0.8)]
    return math.degrees(math.atan((widths_m[0] - widths_m[1]) / 2 / (0.6 * path_m)))


def _crossings_m(v_m: np.ndarray, depth: np.ndarray, share: float) -> float:
    """Return the distance between the first and the last place that is deeper than ``share``, interpolated."""
    inside = np.flatnonzero(depth > share)
    ends_m = []
    for row, beyond in ((inside[0], -1), (inside[-1], 1)):
        outer = depth[row + beyond] if np.isfinite(depth[row + beyond]) else 0.0
        ends_m.append(v_m[row] + beyond * (v_m[1] - v_m[0]) * (depth[row] - share) / (depth[row] - outer))
    return float(ends_m[1] - ends_m[0])
