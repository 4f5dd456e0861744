"""Build what lies on the shuttle: one body a place, all from one seed."""

from __future__ import annotations

import numpy as np

from drivers.simulator.bodies import Body, BodyKind
from drivers.simulator.copper import build_posts, build_receiver
from drivers.simulator.frozen import build_block, build_waffle
from drivers.simulator.scene import SEED_STREAM, build_sample
from drivers.simulator.scene_kinds import AnyScene, LiftOutSettings, SerialLiftOutSettings, WaffleSettings
from fibsem_runtime.core.units import UM


def build_bodies(scene: AnyScene, *, seed: int) -> list[Body]:
    """Build the bodies of a scene in the specimen frame, the one around its origin first."""
    rng = np.random.default_rng([seed, SEED_STREAM])
    if isinstance(scene, WaffleSettings):
        waffle = build_waffle(scene, rng)
        return [Body(number=0, kind=BodyKind.WAFFLE, sample=waffle, surface_m=surface_height_m(scene))]
    if isinstance(scene, LiftOutSettings | SerialLiftOutSettings):
        return _two_grids(scene, rng)
    return [Body(number=0, kind=BodyKind.GRID, sample=build_sample(scene, seed=seed))]


def surface_height_m(scene: AnyScene) -> float:
    """Return how high the surface lies above the origin of the specimen frame: the stage begins that much lower."""
    if isinstance(scene, WaffleSettings):
        return scene.thickness_um * UM
    if isinstance(scene, LiftOutSettings | SerialLiftOutSettings):
        return scene.block.thickness_um * UM
    return 0.0


def _two_grids(scene: LiftOutSettings | SerialLiftOutSettings, rng: np.random.Generator) -> list[Body]:
    block = build_block(scene.block, rng)
    kind, landing = (
        (BodyKind.POSTS, build_posts(scene.landing, rng))
        if isinstance(scene, LiftOutSettings)
        else (BodyKind.RECEIVER, build_receiver(scene.landing, rng))
    )
    landing.x0_m += scene.landing_at_mm[0] * 1e-3
    landing.y0_m += scene.landing_at_mm[1] * 1e-3
    return [
        Body(number=0, kind=BodyKind.BLOCK, sample=block, surface_m=surface_height_m(scene)),
        Body(number=1, kind=kind, sample=landing, surface_m=scene.landing.thickness_um * UM),
    ]
