"""Plain blocks of ice on the simulated stage, seen by a beam from above or at an angle, and ways to mill them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from drivers.simulator.milling import IonProbe, draw_pattern, mill, open_cuts, probe_for
from drivers.simulator.sample import Cut, Material, Sample
from drivers.simulator.view import View
from fibsem_runtime.core import ImagePoint
from fibsem_runtime.hal.shapes import CrossSection, RectangleShape, ScanDirection, Shape
from fibsem_runtime.milling import TrenchPattern, dose_c_per_m3
from fibsem_runtime.milling.dose import Material as Milled

ICE_DOSE_C_PER_M3 = dose_c_per_m3(Milled.ICE)
"""Charge per volume of the runtime's own dose model."""


def ice_block(
    thickness_m: float = 10e-6, *, coating_m: float = 0.0, film_m: float = 0.0, width_m: float = 80e-6
) -> Sample:
    """Return a flat block whose top is ``thickness_m`` plus the coating above the film."""
    pitch_m = 0.5e-6
    size = round(width_m / pitch_m) + 1
    shape = (size, size)
    return Sample(
        x0_m=-width_m / 2,
        y0_m=-width_m / 2,
        pitch_m=pitch_m,
        top_m=np.full(shape, thickness_m + coating_m, np.float32),
        bottom_m=np.full(shape, -film_m, np.float32),
        coating_m=np.full(shape, coating_m, np.float32),
        material=np.full(shape, Material.ICE, np.uint8),
    )


def view_from_above(*, x_m: float = 0.0, y_m: float = 0.0) -> View:
    """Look straight down; the image centre shows (x, y)."""
    return View(
        origin=np.array([x_m, y_m, 19e-3]),
        right=np.array([1.0, 0.0, 0.0]),
        up=np.array([0.0, 1.0, 0.0]),
        direction=np.array([0.0, 0.0, -1.0]),
    )


def milling_view(place_m: Sequence[float], *, angle_deg: float = 15.0) -> View:
    """Look at a place at a milling angle, from the side of -y."""
    angle_rad = math.radians(angle_deg)
    direction = np.array([0.0, math.cos(angle_rad), -math.sin(angle_rad)])
    return View(
        origin=np.array(place_m) - 19e-3 * direction,
        right=np.array([1.0, 0.0, 0.0]),
        up=np.array([0.0, math.sin(angle_rad), math.cos(angle_rad)]),
        direction=direction,
    )


def shifted(view: View, *, x_m: float = 0.0, y_m: float = 0.0) -> View:
    """Return the view after drift or beam shift: its image centre shows a place farther right and up."""
    return replace(view, origin=view.origin + x_m * view.right + y_m * view.up)


def rectangle(
    *,
    width_m: float = 4e-6,
    height_m: float = 1e-6,
    depth_m: float = 12e-6,
    x_m: float = 0.0,
    y_m: float = 0.0,
    cross_section: CrossSection = CrossSection.RECTANGLE,
    scan_direction: ScanDirection = ScanDirection.TOP_TO_BOTTOM,
    rotation_rad: float = 0.0,
) -> RectangleShape:
    """Return one rectangle."""
    return RectangleShape(
        centre=ImagePoint(x_m, y_m),
        width_m=width_m,
        height_m=height_m,
        depth_m=depth_m,
        rotation_rad=rotation_rad,
        scan_direction=scan_direction,
        cross_section=cross_section,
    )


def trenches(
    *, spacing_um: float, height_um: float = 1.0, width_um: float = 6.0, depth_um: float = 20.0
) -> list[Shape]:
    """Return the two cleaning cross-sections of a trench pattern."""
    pattern = TrenchPattern(
        width_um=width_um,
        spacing_um=spacing_um,
        upper_height_um=height_um,
        lower_height_um=height_um,
        depth_um=depth_um,
        cross_section=CrossSection.CLEANING,
    )
    return list(pattern.shapes())


def mill_all(
    sample: Sample,
    shapes: Sequence[Shape],
    view: View,
    *,
    current_a: float = 60e-12,
    probe: IonProbe | None = None,
    pieces: int = 1,
) -> list[Cut]:
    """Mill a whole pattern at the dose of the runtime's model, in equal pieces of its beam time."""
    pattern = draw_pattern(shapes, current_a=current_a, dose_c_per_m3=ICE_DOSE_C_PER_M3)
    chosen = probe or probe_for(current_a)
    cuts = open_cuts(sample, pattern, view, probe=chosen)
    times = np.linspace(0.0, pattern.total_s, pieces + 1)
    for from_s, until_s in pairwise(times):
        mill(sample, cuts, pattern, chosen, view, from_s=float(from_s), until_s=float(until_s))
    return cuts


def depth_at(cut: Cut, sample: Sample, u_m: float = 0.0, v_m: float = 0.0) -> float:
    """Return how deep a cut has gone below the top of a flat block seen from above; 0 where it has not begun."""
    column, row = round((u_m - cut.u0_m) / cut.du_m), round((v_m - cut.v0_m) / cut.dv_m)
    front_m = float(cut.front_m[row, column])
    return max(0.0, front_m + float(sample.top_m[0, 0])) if math.isfinite(front_m) else 0.0


def edges_at(cut: Cut, w_m: float, *, u_m: float = 0.0) -> tuple[float, float]:
    """Return the lowest and highest v at which a cut reaches ``w_m``, interpolated as the sample's rule says."""
    column = round((u_m - cut.u0_m) / cut.du_m)
    front_m = cut.front_m[:, column].astype(np.float64)
    inside = np.flatnonzero(front_m > w_m)
    low, high = inside[0], inside[-1]
    return (
        cut.v0_m + cut.dv_m * (low - (front_m[low] - w_m) / (front_m[low] - front_m[low - 1])),
        cut.v0_m + cut.dv_m * (high + (front_m[high] - w_m) / (front_m[high] - front_m[high + 1])),
    )
