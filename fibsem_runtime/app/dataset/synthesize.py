"""The command ``dataset synthesize``: draw scenes, work on them, take frames and label them by the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict

from fibsem_runtime import __version__
from fibsem_runtime.app.dataset.bench import Bench, Shot
from fibsem_runtime.app.dataset.lift_out import shoot_lift_out, shoot_serial_lift_out
from fibsem_runtime.app.dataset.on_grid import shoot_on_grid
from fibsem_runtime.app.dataset.ranges import RANGES, Draw
from fibsem_runtime.app.dataset.waffle import shoot_waffle
from fibsem_runtime.app.dataset.writer import DataSetWriter, new_folder
from fibsem_runtime.app.instrument import open_instrument
from fibsem_runtime.config import RuntimeConfig, load_config
from fibsem_runtime.core import BeamType, CancelToken
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.hal.truth import FrameTruth, SceneSource
from fibsem_runtime.workflow import Progress

DATASETS_FOLDER: Final = Path("datasets")

Recipe: TypeAlias = Callable[[Bench], Iterator[Shot]]

RECIPES: Final[Mapping[str, Recipe]] = {
    "on-grid": shoot_on_grid,
    "waffle": shoot_waffle,
    "lift-out": shoot_lift_out,
    "serial-lift-out": shoot_serial_lift_out,
}
"""What the operator does with each scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesizeRequest:
    """What a person asked for; ``out`` None is a folder named after the rest. Frames are 3:2."""

    scene: str
    frame_count: int
    seed: int
    out: Path | None = None
    config_path: Path | None = None
    width_px: int = 1536
    bit_depth: int = 8


class SynthesizeResult(BaseModel):
    """The document that ``dataset synthesize --json`` prints; ``frames_with`` counts the frames that show a class."""

    model_config = ConfigDict(frozen=True)

    folder: str
    scene: str
    seed: int
    frames: int
    scenes: int
    frames_with: dict[str, int]
    wall_s: float


def synthesize(
    request: SynthesizeRequest, *, cancel: CancelToken, progress: Progress | None = None
) -> SynthesizeResult:
    """Write a labelled data set: the same request and versions give the same bytes.

    Every scene has its own sample, detector and operator, drawn from the seed and the scene's number alone, so that a
    larger data set begins with the smaller one. Raises `ConfigError` when the driver has no such scene or the folder is
    not free; what was written by then is removed, also when the command is stopped.
    """
    started_s = time.monotonic()
    config = load_config(request.config_path)
    source = _source(config, request)
    folder = request.out or DATASETS_FOLDER / f"{request.scene}-seed{request.seed}-n{request.frame_count}"
    with new_folder(folder) as unfinished:
        writer = DataSetWriter(unfinished)
        scene = 0
        while len(writer.samples) < request.frame_count:
            _add_scene(request, config, source, scene, writer, cancel, progress)
            scene += 1
        writer.finish(_about(request, config))
    return SynthesizeResult(
        folder=str(folder),
        scene=request.scene,
        seed=request.seed,
        frames=len(writer.samples),
        scenes=scene,
        frames_with=writer.count_by_class(),
        wall_s=round(time.monotonic() - started_s, 1),
    )


def _source(config: RuntimeConfig, request: SynthesizeRequest) -> SceneSource:
    plugin = config.driver.plugin()
    if not isinstance(plugin, SceneSource):
        raise ConfigError(f"the driver {config.driver.name} makes no scenes; configure the simulator")
    known = [name for name in plugin.scene_names() if name in RECIPES]
    if request.scene not in known:
        raise ConfigError(f"there is no scene {request.scene!r}; the scenes are {', '.join(known)}")
    return plugin


def _add_scene(
    request: SynthesizeRequest,
    config: RuntimeConfig,
    source: SceneSource,
    scene: int,
    writer: DataSetWriter,
    cancel: CancelToken,
    progress: Progress | None,
) -> None:
    """Add the frames of one scene, no more than are still missing."""
    with closing(_labelled(request, config, source, scene, cancel)) as frames:
        for number, (shot, truth) in enumerate(frames):
            beam = "eb" if shot.image.metadata.beam_type is BeamType.ELECTRON else "ib"
            writer.add(f"scene{scene:04d}_{number:02d}_{beam}", scene, shot, truth)
            done = len(writer.samples)
            if progress is not None:
                progress(f"scene {scene + 1}", shot.state, done, request.frame_count)
            if done == request.frame_count:
                return


def _labelled(
    request: SynthesizeRequest, config: RuntimeConfig, source: SceneSource, scene: int, cancel: CancelToken
) -> Generator[tuple[Shot, FrameTruth], None, None]:
    """Yield the frames of one scene with their truth."""
    draw = Draw((request.seed, scene))
    scene_seed = int(draw.rng.integers(2**31))
    varied = source.vary(config.driver.validated_settings(), request.scene, seed=scene_seed)
    driver = config.driver.model_copy(update={"settings": varied.model_dump(mode="json")})
    with open_instrument(
        config.model_copy(update={"driver": driver, "seed": scene_seed}), state_directory=None
    ) as instrument:
        if instrument.truth is None:
            raise ConfigError(f"the driver {config.driver.name} does not know the truth; configure the simulator")
        bench = Bench(
            microscope=instrument.microscope,
            kinematics=instrument.kinematics,
            truth=instrument.truth,
            draw=draw,
            width_px=request.width_px,
            bit_depth=request.bit_depth,
            cancel=cancel,
        )
        for shot in RECIPES[request.scene](bench):
            yield shot, instrument.truth.frame(shot.image.metadata.frame_id)


def _about(request: SynthesizeRequest, config: RuntimeConfig) -> dict[str, Any]:
    return {
        "scene": request.scene,
        "seed": request.seed,
        "frames": request.frame_count,
        "width_px": request.width_px,
        "bit_depth": request.bit_depth,
        "driver": config.driver.name,
        "driver_settings": config.driver.settings,
        "versions": {"fibsem_runtime": __version__, "numpy": np.__version__, "opencv": cv2.__version__},
        "ranges": RANGES.model_dump(mode="json"),
    }
