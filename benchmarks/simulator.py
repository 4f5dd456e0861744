"""Time frames and milling of the simulator at the poses of a run, on sites with 1, 20 and 100 milled shapes.

    python benchmarks/simulator.py [--json] [--repeats N]

Prints a table, or with --json the medians that issue 3 asks for. The first frame is not counted: it compiles.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from dataclasses import dataclass

import numpy as np
import psutil

from drivers.simulator.milling import draw_pattern, mill, open_cuts, probe_for
from drivers.simulator.optics import Conditions, OpticsSettings, render
from drivers.simulator.sample import Cell, Sample
from drivers.simulator.scene import SceneSettings, build_sample
from drivers.simulator.view import View
from fibsem_runtime.core import BeamType, ImageSettings
from fibsem_runtime.hal.shapes import CrossSection
from fibsem_runtime.milling import (
    FiducialPattern,
    Material,
    MicroExpansionPattern,
    Pattern,
    TrenchPattern,
    dose_c_per_m3,
)

MILLING_ANGLE_RAD = math.radians(15)
OPTICS = OpticsSettings()
SHAPE_COUNTS = (1, 20, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """One view of a run."""

    name: str
    beam_type: BeamType
    direction: tuple[float, float, float]
    hfw_m: float

    def view(self, place: np.ndarray) -> View:
        """Look at a place of the sample."""
        return view_along(np.array(self.direction), place)


def view_along(direction: np.ndarray, place: np.ndarray) -> View:
    """Look along a direction at a place."""
    right = np.array([1.0, 0.0, 0.0])
    return View(origin=place - 0.0165 * direction, right=right, up=np.cross(-direction, right), direction=direction)


def _tilted(angle_rad: float) -> tuple[float, float, float]:
    return 0.0, math.sin(angle_rad), -math.cos(angle_rad)


ION_DIRECTION = (0.0, -math.cos(MILLING_ANGLE_RAD), -math.sin(MILLING_ANGLE_RAD))
POSES = (
    Pose(name="electron flat, 150 um", beam_type=BeamType.ELECTRON, direction=_tilted(0.0), hfw_m=150e-6),
    Pose(name="electron 23 deg, 80 um", beam_type=BeamType.ELECTRON, direction=_tilted(-0.4), hfw_m=80e-6),
    Pose(name="ion 15 deg, 150 um", beam_type=BeamType.ION, direction=ION_DIRECTION, hfw_m=150e-6),
    Pose(name="ion 15 deg, 80 um", beam_type=BeamType.ION, direction=ION_DIRECTION, hfw_m=80e-6),
    Pose(name="ion 15 deg, 20 um", beam_type=BeamType.ION, direction=ION_DIRECTION, hfw_m=20e-6),
)


def _trench(spacing_um: float, height_um: float) -> Pattern:
    return TrenchPattern(
        width_um=9.0,
        spacing_um=spacing_um,
        upper_height_um=height_um,
        lower_height_um=height_um,
        depth_um=20,
        cross_section=CrossSection.CLEANING,
    )


POLISH = (60e-12, _trench(0.24, 0.35))
SITE: tuple[tuple[float, Pattern], ...] = (
    (1e-9, FiducialPattern(point_um=(24, 0), width_um=1, height_um=10, rotation_deg=45, depth_um=4)),
    (0.74e-9, _trench(4.6, 3.5)),
    (0.74e-9, MicroExpansionPattern(width_um=0.5, height_um=12, distance_um=9, depth_um=20)),
    (0.3e-9, _trench(1.6, 1.9)),
    (0.3e-9, _trench(1.2, 0.8)),
    (0.1e-9, _trench(1.0, 0.6)),
    (0.1e-9, _trench(0.8, 0.6)),
    (0.1e-9, _trench(0.7, 0.6)),
    (60e-12, _trench(0.4, 0.5)),
    POLISH,
)
"""Ten stages of two shapes, about those of the on-grid preset."""


def mill_shapes(sample: Sample, cell: Cell, count: int) -> float:
    """Mill up to ``count`` shapes at a cell and return the milliseconds that the last stage took."""
    view = view_along(np.array(ION_DIRECTION), place_of(sample, cell))
    taken_ms = 0.0
    for current_a, pattern in SITE[: math.ceil(count / 2)]:
        shapes = pattern.shapes()[: min(2, count)]
        drawn = draw_pattern(shapes, current_a=current_a, dose_c_per_m3=dose_c_per_m3(Material.ICE))
        probe = probe_for(current_a)
        started_s = time.perf_counter()
        cuts = open_cuts(sample, drawn, view, probe=probe)
        mill(sample, cuts, drawn, probe, view, from_s=0.0, until_s=drawn.total_s)
        taken_ms = 1e3 * (time.perf_counter() - started_s)
    return taken_ms


def place_of(sample: Sample, cell: Cell) -> np.ndarray:
    """Return the point on top of a cell."""
    column, row = ((p - start) / sample.pitch_m for p, start in ((cell.x_m, sample.x0_m), (cell.y_m, sample.y0_m)))
    return np.array([cell.x_m, cell.y_m, float(sample.top_m[round(row), round(column)])])


def time_frames(sample: Sample, place: np.ndarray, width_px: int, repeats: int) -> dict[str, float]:
    """Return the median milliseconds of a frame at each pose."""
    times_ms: dict[str, float] = {}
    for pose in POSES:
        is_ion = pose.beam_type is BeamType.ION
        conditions = Conditions(
            beam_type=pose.beam_type,
            beam_current_a=20e-12 if is_ion else 50e-12,
            voltage_v=30000 if is_ion else 2000,
            defocus_m=2e-6,
            stigmation_x=0.0,
            stigmation_y=0.0,
            probe_sigma_m=6e-9,
            brightness_fraction=0.6,
            contrast_fraction=0.55,
        )
        settings = ImageSettings(width_px=width_px, height_px=width_px * 2 // 3, hfw_m=pose.hfw_m)
        taken_ms = []
        for repeat in range(repeats + 1):
            started_s = time.perf_counter()
            render(sample, pose.view(place), settings, conditions, OPTICS, np.random.default_rng(repeat))
            taken_ms.append(1e3 * (time.perf_counter() - started_s))
        times_ms[pose.name] = statistics.median(taken_ms[1:])
    return times_ms


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--repeats", type=int, default=5, help="frames a pose")
    arguments = parser.parse_args()
    frames: dict[int, dict[str, float]] = {}
    polish_ms = small_ms = 0.0
    for count in SHAPE_COUNTS:
        sample = build_sample(SceneSettings(), seed=3)
        cells = sorted(sample.cells, key=lambda c: math.hypot(c.x_m, c.y_m))[: math.ceil(count / 20)]
        for cell in cells:
            polish_ms = mill_shapes(sample, cell, min(count, 20))
        place = place_of(sample, cells[0])
        frames[count] = time_frames(sample, place, 1536, arguments.repeats)
        if count == 20:
            small_ms = statistics.median(time_frames(sample, place, 768, arguments.repeats).values())
    report = {
        "frame_1536x1024_ms": round(statistics.median(frames[20].values()), 1),
        "frame_768x512_ms": round(small_ms, 1),
        "mill_polish_ms": round(polish_ms, 1),
        "rss_mb": round(psutil.Process().memory_info().rss / 2**20),
        "frame_ms_by_shapes": {str(n): round(statistics.median(t.values()), 1) for n, t in frames.items()},
    }
    if arguments.json:
        print(json.dumps(report))
        return
    print(f"{'frame of 1536x1024, ms':30}" + "".join(f"{count:>8} shapes" for count in SHAPE_COUNTS))
    for pose in POSES:
        print(f"{pose.name:30}" + "".join(f"{frames[count][pose.name]:15.0f}" for count in SHAPE_COUNTS))
    for name, value in report.items():
        print(f"{name:30} {value}")


if __name__ == "__main__":
    main()
