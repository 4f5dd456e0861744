"""Build what lies on the shuttle: one body a place, all from one seed."""

from __future__ import annotations

import numpy as np

from drivers.simulator.bodies import Body, BodyKind, Pose
from drivers.simulator.copper import build_posts, build_receiver
from drivers.simulator.frozen import build_block, build_waffle
from drivers.simulator.sample import Sample
from drivers.simulator.scene import SEED_STREAM, build_sample
from drivers.simulator.scene_kinds import AnyScene, LiftOutSettings, SerialLiftOutSettings, WaffleSettings
from fibsem_runtime.core.units import UM


def build_bodies(scene: AnyScene, *, seed: int) -> list[Body]:
    """Build the bodies of a scene, the one at the middle of the first grid first.

    The surface that is worked on lies at z = 0 of the specimen frame but for cells on a film, whose film does.
    """
    rng = np.random.default_rng([seed, SEED_STREAM])
    if isinstance(scene, WaffleSettings):
        return [_lowered(0, BodyKind.WAFFLE, build_waffle(scene, rng), scene.thickness_um * UM)]
    if isinstance(scene, LiftOutSettings | SerialLiftOutSettings):
        return _two_grids(scene, rng)
    return [Body(number=0, kind=BodyKind.GRID, sample=build_sample(scene, seed=seed))]


def _two_grids(scene: LiftOutSettings | SerialLiftOutSettings, rng: np.random.Generator) -> list[Body]:
    block = _lowered(0, BodyKind.BLOCK, build_block(scene.block, rng), scene.block.thickness_um * UM)
    kind, landing = (
        (BodyKind.POSTS, build_posts(scene.landing, rng))
        if isinstance(scene, LiftOutSettings)
        else (BodyKind.RECEIVER, build_receiver(scene.landing, rng))
    )
    there_m = (scene.landing_at_mm[0] * 1e-3, scene.landing_at_mm[1] * 1e-3)
    return [block, _lowered(1, kind, landing, scene.landing.thickness_um * UM, there_m)]


def _lowered(number: int, kind: BodyKind, sample: Sample, by_m: float, at_m: tuple[float, float] = (0.0, 0.0)) -> Body:
    """Return a body at a place of the shuttle whose upper surface lies at z = 0 of the specimen frame."""
    return Body(number=number, kind=kind, sample=sample, pose=Pose(shift_m=np.array([*at_m, -by_m])))
