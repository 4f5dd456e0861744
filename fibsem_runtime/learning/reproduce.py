"""The stages by which the shipped weights were trained, each from the weights of the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
import torch

from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.learning.dataset import CLASSES
from fibsem_runtime.learning.material import Material
from fibsem_runtime.learning.network import SegmentationNetwork
from fibsem_runtime.learning.train import Progress, Recipe, train

_SAVE_EVERY: Final = 100
_log = structlog.get_logger(__name__)

Watch = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One training; ``everything``: it also sees what is left out of the others."""

    name: str
    everything: bool
    recipe: Recipe


STAGES: Final = (
    Stage(name="without", everything=False, recipe=Recipe(seed=1, step_count=7000, settling_count=5000)),
    Stage(name="all", everything=True, recipe=Recipe(seed=2, step_count=500, peak_rate_ratio=4e-4, settling_count=0)),
)
"""The first stage is judged, and its confidence fitted, on what it left out; the second goes on with everything."""


def run_stages(
    material: Material, work: Path, *, encoder_weights: Path | None, watch: Watch, stages: Sequence[Stage] = STAGES
) -> list[Path]:
    """Train stage after stage and return the weights of each in ``work``; a stage whose weights are there is done."""
    work.mkdir(parents=True, exist_ok=True)
    paths = [work / f"{stage.name}.pt" for stage in stages]
    for index, (stage, path) in enumerate(zip(stages, paths, strict=True)):
        if path.exists():
            _log.info("stage.done_before", stage=stage.name, weights=str(path))
            continue
        initial = paths[index - 1] if index else None
        run_stage(material, stage, path, encoder_weights=encoder_weights, initial=initial, watch=watch)
    return paths


def run_stage(
    material: Material, stage: Stage, path: Path, *, encoder_weights: Path | None, initial: Path | None, watch: Watch
) -> None:
    """Train one stage and write its weights; they are saved beside now and then, under ``.part``."""
    part = path.with_name(path.name + ".part")

    def save_and_tell(progress: Progress, average: SegmentationNetwork) -> None:
        watch(progress)
        if progress.step % _SAVE_EVERY == 0:
            torch.save(average.state_dict(), part)

    start = torch.load(initial, map_location="cpu", weights_only=True) if initial else None
    sources = material.sources(everything=stage.everything)
    network = train(sources, stage.recipe, encoder_weights=encoder_weights, initial_state=start, watch=save_and_tell)
    torch.save(network.state_dict(), part)
    part.replace(path)


def load_network(path: Path) -> SegmentationNetwork:
    """Return the network with the weights in ``path``; raise `ModelError` when they are of another one."""
    network = SegmentationNetwork(len(CLASSES))
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path} holds no weights of this network ({' '.join(str(error).split())[:160]})") from error
    return network.eval()
