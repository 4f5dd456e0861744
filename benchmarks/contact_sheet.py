"""Draw the contact sheet of docs/simulator-images.md: simulated frames, alone or beside the real ones.

    python benchmarks/contact_sheet.py docs/images/contact-sheet.jpg
    python benchmarks/contact_sheet.py /tmp/beside.jpg --data ../shared/data

With ``--data`` every simulated frame stands beside the real image of the same kind and about the same field of view.
Real images are not part of this repository, so that sheet stays outside of it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from bench_session import Session

from drivers.simulator.scene_kinds import PostSettings
from fibsem_runtime.core import BeamType, Image, SpecimenPosition
from fibsem_runtime.hal import CrossSection
from fibsem_runtime.hal.truth import SiteKind
from fibsem_runtime.imaging import draw_scale_bar, draw_title, read_image, side_by_side, to_rgb
from fibsem_runtime.milling import FiducialPattern, RectanglePattern, TrenchPattern

TILE_PX = 480
COLUMNS = 4
ELECTRON, ION = BeamType.ELECTRON, BeamType.ION
POST_WIDTH_M = PostSettings().post_width_um * 1e-6
LIFT_OUT = "autoliftout/train/"


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One simulated frame, what it shows, and the real image of the same kind, empty when there is none."""

    title: str
    image: Image
    real: str


def lift_out_tiles() -> Iterator[Tile]:
    """Yield a block between trenches, the needle beside it, a post of the half-moon, and the block lifted to it."""
    session = Session({"kind": "lift-out"})
    place = session.place(SiteKind.BLOCK)
    session.go(session.kinematics.ion_pose, place)
    trench = {"width_um": 40, "spacing_um": 10, "upper_height_um": 12, "lower_height_um": 12, "depth_um": 25}
    session.mill(TrenchPattern(**trench), 15)
    session.mill(RectanglePattern(point_um=(24.5, 0), width_um=9, height_um=34, depth_um=25), 7)
    yield Tile(
        title="block between trenches, ion 150 um",
        image=session.shoot(ION, 150, 20),
        real=f"{LIFT_OUT}ref_trench_jcut_high_res_ib.tif",
    )
    yield Tile(
        title="the same, electron 150 um",
        image=session.shoot(ELECTRON, 150, 50),
        real=f"{LIFT_OUT}ref_trench_jcut_high_res_eb.tif",
    )
    session.go(session.kinematics.electron_pose, place)
    session.needle((-30, 0, 4), (-26, 0, -3))
    yield Tile(
        title="needle beside the block, ion 150 um",
        image=session.shoot(ION, 150, 20),
        real=f"{LIFT_OUT}needle_liftout_start_position_ib.tif",
    )
    yield Tile(
        title="the same, electron 150 um",
        image=session.shoot(ELECTRON, 150, 50),
        real=f"{LIFT_OUT}needle_liftout_start_position_eb.tif",
    )
    session.retract()
    post = session.place(SiteKind.POST)
    session.go(session.kinematics.ion_pose, replace(post, x_m=post.x_m - 35e-6, y_m=post.y_m + 60e-6))
    yield Tile(
        title="landing post, ion 150 um",
        image=session.shoot(ION, 150, 20),
        real=f"{LIFT_OUT}ref_landing_high_res_ib.tif",
    )
    session.go(session.kinematics.electron_pose, replace(post, x_m=post.x_m - 10e-6, y_m=post.y_m + 15e-6))
    yield Tile(
        title="landing post, electron 150 um",
        image=session.shoot(ELECTRON, 150, 50),
        real=f"{LIFT_OUT}landing_needle_ready_position_eb.tif",
    )
    session.go(session.kinematics.electron_pose, place)
    yield from lifted_tiles(session, replace(post, x_m=post.x_m - POST_WIDTH_M / 2, y_m=post.y_m + 40e-6))


def lifted_tiles(session: Session, wall: SpecimenPosition) -> Iterator[Tile]:
    """Yield the block on the needle, and welded to the wall of a post; the stage is where it was trenched."""
    session.mill(RectanglePattern(point_um=(0, 8), width_um=48, height_um=3, depth_um=30), 15)
    tip_um = session.approach((-22.6, -1.5), until_um=-17)
    session.mill(RectanglePattern(point_um=(tip_um, 1.2), width_um=5, height_um=1, depth_um=3), 0.74)
    session.mill(RectanglePattern(point_um=(21, 5), width_um=2, height_um=26, depth_um=40), 7)
    session.needle((tip_um, 0, 40))
    yield Tile(
        title="block on the needle, ion 150 um",
        image=session.shoot(ION, 150, 20),
        real=f"{LIFT_OUT}needle_liftout_land_ib.tif",
    )
    session.retract()
    session.go(session.kinematics.electron_pose, wall)
    tip_um = session.approach((-46, -2), until_um=-36)
    yield Tile(
        title="block at the post, ion 150 um",
        image=session.shoot(ION, 150, 20),
        real=f"{LIFT_OUT}landing_lamella_contact_2_ib.tif",
    )
    yield Tile(
        title="the same, electron 150 um",
        image=session.shoot(ELECTRON, 150, 50),
        real=f"{LIFT_OUT}landing_lamella_contact_2_eb.tif",
    )
    session.mill(RectanglePattern(point_um=(0.3, 5), width_um=1, height_um=12, depth_um=4), 0.74)
    session.mill(RectanglePattern(point_um=(tip_um + 3, 5), width_um=2, height_um=26, depth_um=40), 7)
    session.retract()
    yield Tile(
        title="block welded to the post, ion 80 um",
        image=session.shoot(ION, 80, 20),
        real=f"{LIFT_OUT}landing_lamella_final_weld_high_res_ib.tif",
    )
    yield Tile(
        title="the same, electron 150 um",
        image=session.shoot(ELECTRON, 150, 50),
        real=f"{LIFT_OUT}landing_lamella_needle_removal_high_res_eb.tif",
    )


def waffle_tiles() -> Iterator[Tile]:
    """Yield trenches in a waffle."""
    session = Session({"kind": "waffle"})
    place = session.place(SiteKind.WAFFLE)
    session.go(session.kinematics.ion_pose, place)
    for x_um in (-10.0, 9.0):
        session.mill(
            TrenchPattern(
                point_um=(x_um, 0), width_um=14, spacing_um=4, upper_height_um=8, lower_height_um=15, depth_um=20
            ),
            7,
            hfw_um=80,
        )
    yield Tile(
        title="trenches in a waffle, ion 80 um",
        image=session.shoot(ION, 80, 20),
        real="vendor_tiff/thermo_ion_hfw80um.tif",
    )


def on_grid_tiles() -> Iterator[Tile]:
    """Yield a polished lamella in a cell on a holey film."""
    session = Session({"holes": {"diameter_um": 2.0, "lattice_um": 4.0}, "square_um": 120}, scan_rotation_deg=180)
    place = session.place(SiteKind.CELL)
    session.go(lambda here: session.kinematics.milling_pose(here, math.radians(15)), place)
    cross = {"point_um": (24, 0), "width_um": 1, "height_um": 10, "depth_um": 4}
    session.mill(FiducialPattern(**cross), 1.0, hfw_um=80)
    for current_na, width_um, spacing_um, height_um in (
        (0.74, 10, 4.6, 3.5),
        (0.3, 9.5, 1.6, 1.9),
        (0.1, 9.2, 0.7, 0.6),
        (0.06, 9, 0.24, 0.35),
    ):
        session.mill(
            TrenchPattern(
                width_um=width_um,
                spacing_um=spacing_um,
                upper_height_um=height_um,
                lower_height_um=height_um,
                depth_um=25,
                cross_section=CrossSection.CLEANING,
            ),
            current_na,
            hfw_um=80,
        )
    yield Tile(
        title="on-grid lamella, electron 150 um",
        image=session.shoot(ELECTRON, 150, 100),
        real="vendor_tiff/thermo_electron_hfw150um.tif",
    )
    yield Tile(title="on-grid lamella, ion 80 um", image=session.shoot(ION, 80, 20), real="")
    yield Tile(title="on-grid lamella, ion 20 um", image=session.shoot(ION, 20, 20), real="")


def draw_tile(tile: Tile, data: Path | None) -> np.ndarray:
    """Return the picture of one tile, with the real image on its right when there is a place for it."""
    own = draw_title(draw_scale_bar(_shrunk(tile.image), _pixel_m(tile.image)), tile.title)
    if data is None:
        return own
    blank = np.zeros_like(own)
    real = _shrunk(read_image(data / tile.real)) if tile.real else draw_title(blank, "no real image of this kind")
    return side_by_side(own, real)


def _shrunk(image: Image) -> np.ndarray:
    size = (TILE_PX, TILE_PX * image.shape[0] // image.shape[1])
    return np.asarray(cv2.resize(to_rgb(image, stretch=False), size, interpolation=cv2.INTER_AREA))


def _pixel_m(image: Image) -> float:
    return image.pixel_size_m * image.shape[1] / TILE_PX


def arrange(pictures: list[np.ndarray], columns: int) -> np.ndarray:
    """Return pictures of one size in rows."""
    pictures = pictures + [np.zeros_like(pictures[0])] * (-len(pictures) % columns)
    return np.vstack([np.hstack(pictures[row : row + columns]) for row in range(0, len(pictures), columns)])


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="a .jpg or .png")
    parser.add_argument("--data", type=Path, help="folder with the real images")
    arguments = parser.parse_args()
    tiles = [tile for draw in (lift_out_tiles, waffle_tiles, on_grid_tiles) for tile in draw()]
    pictures = [draw_tile(tile, arguments.data) for tile in tiles]
    sheet = arrange(pictures, COLUMNS if arguments.data is None else COLUMNS // 2)
    cv2.imwrite(str(arguments.output), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 72])
    print(f"{len(tiles)} frames in {arguments.output}, {arguments.output.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
