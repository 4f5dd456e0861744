"""Draw labelled frames of on-grid lamellae with the simulator: images/labels for `fibsem_runtime.learning`.

Every frame has its own scene, milling angle, trenches, beam and contrast. The label is the truth: the lamella is what
is seen of the slab that stands between the trenches, as the simulator measures it.

    python benchmarks/training_frames.py OUTPUT --scenes 60 --seed 1
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from drivers.simulator.mask import class_mask
from drivers.simulator.milling import draw_pattern, mill, open_cuts, probe_for
from drivers.simulator.optics import Conditions, OpticsSettings, auto_contrast, render
from drivers.simulator.projection import Errors, column_rays, to_specimen
from drivers.simulator.sample import Cell, Sample
from drivers.simulator.scene import SceneSettings, build_sample
from drivers.simulator.settings import GeometrySettings
from drivers.simulator.view import View
from fibsem_runtime.core import BeamType, ImagePoint, ImageSettings, SpecimenPosition, StagePosition
from fibsem_runtime.hal.shapes import CrossSection, RectangleShape, ScanDirection

UM = 1e-6
WIDTH_PX, HEIGHT_PX = 1152, 768
DOSE_C_PER_M3 = 2e8
"""The inverse of 5 um3/nC, the rate that the on-grid preset assumes for ice."""
PRESET_EVERY = 3


@dataclass(frozen=True, kw_only=True)
class Site:
    """One lamella to be: where the ion beam aims, and its size."""

    target: SpecimenPosition
    width_m: float
    thickness_m: float


def ion_and_electron_views(
    milling_angle_rad: float, electron_tilt_rad: float, upside_down: bool
) -> dict[BeamType, View]:
    """Return both views at the tilt that gives the milling angle (ion) and at some tilt (electron)."""
    chain = GeometrySettings().chain()
    views = {}
    for beam, tilt_rad in (
        (BeamType.ION, milling_angle_rad + chain.pretilt_rad - (math.pi / 2 - chain.ion_column_tilt_rad)),
        (BeamType.ELECTRON, electron_tilt_rad),
    ):
        scan_rad = math.pi if upside_down else 0.0
        rays = column_rays(chain, beam, scan_rotation_rad=scan_rad, content_shift=ImagePoint(0.0, 0.0))
        pose = StagePosition(x_m=0, y_m=0, z_m=chain.eucentric_z_m, r_rad=chain.rotation_reference_rad, t_rad=tilt_rad)
        views[beam] = to_specimen(chain, rays, pose, Errors())
    return views


def aim(view: View, target: SpecimenPosition, offset_m: tuple[float, float]) -> View:
    """Return the view moved so that the target lies at an offset from the image's centre."""
    away = np.array([target.x_m, target.y_m, target.z_m]) - view.origin
    shift = (away @ view.right - offset_m[0]) * view.right + (away @ view.up - offset_m[1]) * view.up
    return View(origin=view.origin + shift, right=view.right, up=view.up, direction=view.direction)


def mill_site(sample: Sample, view: View, site: Site, rng: np.random.Generator) -> None:
    """Open an upper and a lower trench, sometimes with stress relief, around the site in the middle of the view."""
    half = site.thickness_m / 2
    shapes = []
    for side in (1, -1):
        height = rng.uniform(2.0, 6.0) * UM
        shapes.append(
            RectangleShape(
                centre=ImagePoint(0.0, side * (half + height / 2)),
                width_m=site.width_m,
                height_m=height,
                depth_m=rng.uniform(15, 40) * UM,
                scan_direction=ScanDirection.TOP_TO_BOTTOM if side > 0 else ScanDirection.BOTTOM_TO_TOP,
                cross_section=CrossSection.CLEANING if rng.random() < 0.5 else CrossSection.RECTANGLE,
            )
        )
    if rng.random() < 0.5:
        reach = site.width_m / 2 + rng.uniform(1.0, 5.0) * UM
        size = {"width_m": 0.5 * UM, "height_m": rng.uniform(8, 15) * UM, "depth_m": 20 * UM}
        shapes += [RectangleShape(centre=ImagePoint(side * reach, 0.0), **size) for side in (1, -1)]
    _mill(sample, view, shapes, current_a=float(rng.choice([0.1e-9, 0.3e-9, 0.74e-9, 1e-9])))


def mill_cross(sample: Sample, view: View, rng: np.random.Generator) -> None:
    """Mill a fiducial cross in the middle of the view: milled, but no lamella."""
    angle = rng.choice([0.0, math.pi / 4])
    long, wide = rng.uniform(4, 10) * UM, rng.uniform(0.4, 1.2) * UM
    shapes = [
        RectangleShape(
            centre=ImagePoint(0.0, 0.0), width_m=long, height_m=wide, depth_m=1.5 * UM, rotation_rad=angle + turn
        )
        for turn in (0.0, math.pi / 2)
    ]
    _mill(sample, view, shapes, current_a=0.3e-9)


def _mill(sample: Sample, view: View, shapes: list[RectangleShape], *, current_a: float) -> None:
    pattern = draw_pattern(shapes, current_a=current_a, dose_c_per_m3=DOSE_C_PER_M3)
    probe = probe_for(current_a)
    cuts = open_cuts(sample, pattern, view, probe=probe)
    mill(sample, cuts, pattern, probe, view, from_s=0.0, until_s=pattern.total_s)


def frame(
    sample: Sample, view: View, beam: BeamType, hfw_m: float, optics: OpticsSettings, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return one image with random current, dwell, focus and contrast."""
    settings = ImageSettings(
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        hfw_m=hfw_m,
        dwell_time_s=math.exp(rng.uniform(math.log(1e-7), math.log(5e-6))),
    )
    is_ion = beam is BeamType.ION
    conditions = Conditions(
        beam_type=beam,
        beam_current_a=float(rng.choice([10e-12, 20e-12, 50e-12]) if is_ion else rng.choice([25e-12, 50e-12, 100e-12])),
        voltage_v=30e3 if is_ion else float(rng.choice([2e3, 5e3])),
        defocus_m=rng.normal(0, 8 * UM),
        stigmation_x=0.0,
        stigmation_y=0.0,
        probe_sigma_m=10e-9 if is_ion else 2e-9,
        brightness_fraction=0.5,
        contrast_fraction=0.5,
    )
    brightness, contrast = auto_contrast(sample, view, settings, conditions, optics, rng)
    conditions = replace(
        conditions,
        brightness_fraction=float(np.clip(brightness + rng.normal(0, 0.03), 0, 1)),
        contrast_fraction=float(np.clip(contrast + rng.normal(0, 0.03), 0, 1)),
    )
    return np.asarray(render(sample, view, settings, conditions, optics, rng), np.uint8)


def random_scene(rng: np.random.Generator) -> SceneSettings:
    """Return a small square with few or many cells, thin or thick ice, holes or none."""
    return SceneSettings(
        map_width_um=150,
        pitch_um=0.2,
        square_um=float(rng.uniform(90, 135)),
        square_rotation_max_deg=20,
        cell_count=(4, 9),
        crowded_cell_count=int(rng.integers(0, 4)),
        cell_radius_um=(5, 12),
        cell_height_um=(2.5, 8),
        cell_texture_fraction=float(rng.uniform(0, 0.15)),
        ice_film_um=float(rng.choice([0, 0, 0.2, 0.8])),
        ice_halo_um=float(rng.uniform(0, 1)),
        coating_um=float(rng.uniform(0, 0.3)),
        roughness_nm=float(rng.uniform(0, 60)),
        crystal_count=int(rng.integers(0, 60)),
    )


def random_optics(rng: np.random.Generator) -> OpticsSettings:
    """Return another detector: contrast between materials, edges, texture and curtains."""
    usual = OpticsSettings()

    def other(value: float) -> float:
        return float(value * math.exp(rng.normal(0, 0.35)))

    def look(name: str) -> dict[str, float]:
        dumped = getattr(usual, name).model_dump()
        changed = (
            "film_yield",
            "ice_yield",
            "cell_yield",
            "bar_yield",
            "coating_yield",
            "edge_gain",
            "texture_fraction",
        )
        return dumped | {key: other(dumped[key]) for key in changed}

    return OpticsSettings.model_validate(
        usual.model_dump()
        | {
            "ion": look("ion"),
            "electron": look("electron"),
            "curtain_fraction": other(usual.curtain_fraction),
            "shadow_floor_fraction": min(1.0, other(usual.shadow_floor_fraction)),
        }
    )


def random_site(cell: Cell, rng: np.random.Generator) -> Site:
    """Return a lamella through a cell: from just roughed (4 µm) to polished (0.2 µm)."""
    return Site(
        target=SpecimenPosition(
            x_m=cell.x_m + rng.normal(0, 0.1) * cell.radius_x_m,
            y_m=cell.y_m + rng.normal(0, 0.15) * cell.radius_y_m,
            z_m=cell.height_m * rng.uniform(0.3, 0.6),
        ),
        width_m=rng.uniform(6, 16) * UM,
        thickness_m=math.exp(rng.uniform(math.log(0.2), math.log(4.0))) * UM,
    )


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A milled scene: where its lamellae should be, what to look at, and how each beam sees it."""

    sample: Sample
    targets: list[SpecimenPosition]
    centre: SpecimenPosition
    views: dict[BeamType, View]
    optics: OpticsSettings


def draw_random_scene(rng: np.random.Generator) -> Drawn:
    """Return a scene of any look, with no to three lamellae in any state and perhaps a fiducial."""
    sample = build_sample(random_scene(rng), seed=int(rng.integers(2**31)))
    views = ion_and_electron_views(
        math.radians(rng.uniform(8, 25)), math.radians(rng.uniform(10, 40)), bool(rng.random() < 0.5)
    )
    cells = _inner_cells(sample)
    chosen = [cells[i] for i in rng.permutation(len(cells))[: int(rng.choice([0, 1, 1, 1, 2, 3]))]]
    sites = [random_site(cell, rng) for cell in chosen]
    for site in sites:
        mill_site(sample, aim(views[BeamType.ION], site.target, (0.0, 0.0)), site, rng)
    centre = _point_of(chosen[0] if chosen else cells[0])
    if rng.random() < 0.6:
        beside = replace(centre, x_m=centre.x_m + rng.choice([-1, 1]) * rng.uniform(12, 20) * UM)
        mill_cross(sample, aim(views[BeamType.ION], beside, (0.0, 0.0)), rng)
    return Drawn(
        sample=sample, targets=[site.target for site in sites], centre=centre, views=views, optics=random_optics(rng)
    )


def draw_preset_scene(rng: np.random.Generator) -> Drawn:
    """Return a scene in the simulator's own look, milled as the on-grid preset does it, rough or polished."""
    scene = SceneSettings(map_width_um=150, square_um=120, cell_count=(5, 8))
    sample = build_sample(scene, seed=int(rng.integers(2**31)))
    views = ion_and_electron_views(math.radians(15), math.radians(35), True)
    target = _point_of(_inner_cells(sample)[0])
    view = aim(views[BeamType.ION], target, (0.0, 0.0))
    cross = {"centre": ImagePoint(24 * UM, 0.0), "width_m": 1 * UM, "height_m": 10 * UM, "depth_m": 4 * UM}
    _mill(sample, view, [RectangleShape(rotation_rad=math.pi * turn, **cross) for turn in (0.25, 0.75)], current_a=1e-9)
    stages = [(10.0, 4.6, 3.5, 0.74e-9), (9.5, 1.6, 1.9, 0.3e-9), (9.2, 0.7, 0.6, 0.1e-9), (9.0, 0.24, 0.35, 0.06e-9)]
    for width, spacing, height, current_a in stages[: int(rng.choice([2, 2, 4]))]:
        _mill(sample, view, trench(width * UM, spacing * UM, height * UM), current_a=current_a)
    relief = {"width_m": 0.5 * UM, "height_m": 12 * UM, "depth_m": 20 * UM}
    reliefs = [RectangleShape(centre=ImagePoint(side * 9 * UM, 0.0), **relief) for side in (1, -1)]
    _mill(sample, view, reliefs, current_a=0.74e-9)
    return Drawn(sample=sample, targets=[target], centre=target, views=views, optics=OpticsSettings())


def trench(width_m: float, spacing_m: float, height_m: float) -> list[RectangleShape]:
    """Return an upper and a lower cleaning cross-section that leave ``spacing_m`` between them."""
    return [
        RectangleShape(
            centre=ImagePoint(0.0, side * (spacing_m + height_m) / 2),
            width_m=width_m,
            height_m=height_m,
            depth_m=20 * UM,
            scan_direction=ScanDirection.TOP_TO_BOTTOM if side > 0 else ScanDirection.BOTTOM_TO_TOP,
            cross_section=CrossSection.CLEANING,
        )
        for side in (1, -1)
    ]


def _inner_cells(sample: Sample) -> list[Cell]:
    return [cell for cell in sample.cells if math.hypot(cell.x_m, cell.y_m) < 40 * UM] or sample.cells


def _point_of(cell: Cell) -> SpecimenPosition:
    return SpecimenPosition(x_m=cell.x_m, y_m=cell.y_m, z_m=0.4 * cell.height_m)


def write_scene(folder: Path, number: int, seed: int) -> int:
    """Draw one scene and write its frames; return how many show a lamella."""
    rng = np.random.default_rng([seed, number])
    drawn = draw_preset_scene(rng) if number % PRESET_EVERY == 0 else draw_random_scene(rng)
    plan = [(BeamType.ION, 80.0), (BeamType.ION, rng.uniform(30, 160))]
    if rng.random() < 0.4:
        plan.append((BeamType.ELECTRON, rng.uniform(40, 160)))
    shown = 0
    for index, (beam, hfw_um) in enumerate(plan):
        offset = rng.normal(0, 0.06, 2) * hfw_um * UM
        view = aim(drawn.views[beam], drawn.centre, (float(offset[0]), float(offset[1])))
        settings = ImageSettings(width_px=WIDTH_PX, height_px=HEIGHT_PX, hfw_m=hfw_um * UM)
        classes = class_mask(drawn.sample, view, settings, drawn.targets, drawn.views[BeamType.ION])
        pixels = frame(drawn.sample, view, beam, hfw_um * UM, drawn.optics, rng)
        name = f"scene{number:04d}_{index}_{'eb' if beam is BeamType.ELECTRON else 'ib'}.tif"
        tifffile.imwrite(folder / name, pixels)
        tifffile.imwrite(folder / "labels" / name, classes, compression="zlib")
        shown += int(classes.any())
    return shown


def main() -> None:
    """Write the frames of some scenes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    (arguments.output / "labels").mkdir(parents=True, exist_ok=True)
    shown = 0
    for number in range(arguments.first, arguments.first + arguments.scenes):
        shown += write_scene(arguments.output, number, arguments.seed)
        print(f"\rscene {number + 1 - arguments.first} of {arguments.scenes}, {shown} frames with a lamella", end="")
    print()


if __name__ == "__main__":
    main()
