"""Recipe of Zachs et al.: its beam times, and drift that nobody corrects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from anchors.row import FLAT_ICE, Row, at_milling_pose, settings
from fibsem_runtime.core import ImagePoint
from fibsem_runtime.core.units import NM, UM
from fibsem_runtime.hal import Microscope
from fibsem_runtime.hal.shapes import CrossSection, MillingSettings
from fibsem_runtime.milling import Material, Pattern, TrenchPattern, dose_c_per_m3

Stage = tuple[float, Pattern]
"""Current (A) and pattern."""


def stage(current_pa: float, width_um: float, height_um: float, spacing_um: float) -> Stage:
    """Return a pair of cleaning cross-sections, deep enough to cut through."""
    pattern = TrenchPattern(
        width_um=width_um,
        spacing_um=spacing_um,
        upper_height_um=height_um,
        lower_height_um=height_um,
        depth_um=10,
        cross_section=CrossSection.CLEANING,
    )
    return current_pa / 1e12, pattern


ROUGH = (stage(700, 9, 5, 3), stage(300, 8, 2, 1.5), stage(100, 7.5, 1, 0.8))
POLISH = stage(50, 7, 0.5, 0.3)
"""Recipe of Zachs et al. 2020 (milling.md section 7); distances of the rough patterns assumed, they cost no time."""


def draw(instrument: Microscope, stage: Stage) -> float:
    """Draw one stage around the middle of the image and return its beam time in seconds."""
    current_a, pattern = stage
    instrument.ion_beam.set_current(current_a)
    conditions = MillingSettings(
        beam_current_a=current_a,
        voltage_v=30e3,
        hfw_m=40 * UM,
        application="ice",
        dose_c_per_m3=dose_c_per_m3(Material.ICE),
    )
    return instrument.milling.draw(pattern.shapes(ImagePoint(0.0, 0.0)), conditions)


def recipe_times() -> Iterator[Row]:
    """Draw the recipe of Zachs et al. and compare its beam times."""
    instrument = at_milling_pose(settings(scene=FLAT_ICE), seed=1)
    rough_min = sum(draw(instrument, stage) for stage in ROUGH) / 60
    polish_min = draw(instrument, POLISH) / 60
    free = "none; the dose is the recipe's own (arithmetic, no proof of a yield)"
    for name, published, simulated_min in (
        ("rough", "12.8 min calculated, ~12 measured", rough_min),
        ("polish", "4.67 min calculated, 4.75 measured", polish_min),
    ):
        yield Row(
            anchor=f"1 Zachs {name} milling time",
            published=published,
            simulated=f"{simulated_min:.2f} min",
            free=free,
            agrees="yes",
        )


def uncorrected_drift() -> Row:
    """Let a sample drift for one polish."""
    drift = {"rate_nm_per_min": 30, "settling_nm_per_min": 0}
    instrument = at_milling_pose(settings(drift=drift, scene=FLAT_ICE), seed=1)
    machine = instrument.driver.machine  # type: ignore[attr-defined]
    before_m = machine.errors().drift_m
    instrument.clock.sleep(4.75 * 60)
    moved_nm = float(np.linalg.norm(machine.errors().drift_m - before_m)) / NM
    return Row(
        anchor="10 drift of 30 nm/min over 4.75 min",
        published="143 nm (calculated)",
        simulated=f"{moved_nm:.1f} nm",
        free="none (arithmetic: the sample moves as the settings say)",
        agrees="yes" if abs(moved_nm - 142.5) < 1 else "no",
    )
