"""Arguments in, answer and exit code out.

Each command imports what it needs when it is called, so that ``--help`` answers at once (docs/decisions/0001).
"""

from __future__ import annotations

import sys
import traceback as traceback_module
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fibsem_runtime.app.model_making import ImportOptions
    from fibsem_runtime.app.models import ModelInfo
    from fibsem_runtime.core import CancelToken
    from fibsem_runtime.workflow import Progress

app = typer.Typer(
    name="fibsem-runtime",
    help="Prepare FIB-SEM lamellae, supervised or alone, on an instrument or in its simulator.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
corrections_app = typer.Typer(help="Look at what operators corrected.", no_args_is_help=True)
app.add_typer(corrections_app, name="corrections")
dataset_app = typer.Typer(help="Make data sets to train and evaluate on.", no_args_is_help=True)
app.add_typer(dataset_app, name="dataset")
model_app = typer.Typer(help="Look at, import, speed up and time models.", no_args_is_help=True)
app.add_typer(model_app, name="model")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; the shipped one when left out.", dir_okay=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]


ModelArgument = Annotated[str, typer.Argument(help="Name of a model; default is the configured one.")]
ImagesOption = Annotated[
    list[Path] | None, typer.Option("--images", help="Image file or folder of images; repeatable.")
]


class Supervise(StrEnum):
    """When a person is asked."""

    never = "never"
    uncertain = "uncertain"
    always = "always"


class InputScaling(StrEnum):
    """What an imported network takes: gray levels over 255, or as they are."""

    unit = "unit"
    raw = "raw"


class ProviderName(StrEnum):
    """What a model runs on."""

    tensorrt = "tensorrt"
    cuda = "cuda"
    cpu = "cpu"


@dataclass
class _Globals:
    """Options of the command line itself; the process has one."""

    show_traceback: bool = False


_globals = _Globals()


@app.callback()
def _root(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what happens to stderr.")] = False,
) -> None:
    from fibsem_runtime.app.logs import configure_logging

    _globals.show_traceback = traceback
    configure_logging(verbose=verbose)


@app.command()
def run(
    config: ConfigOption = None,
    method: Annotated[str | None, typer.Option(help="Method preset or file.")] = None,
    lamellae: Annotated[int | None, typer.Option(min=1, max=200, help="How many to prepare.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the simulator.")] = None,
    supervise: Annotated[Supervise | None, typer.Option(help="When a person is asked.")] = None,
    experiment: Annotated[Path | None, typer.Option(help="Folder of the experiment.", file_okay=False)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an experiment (the latest one).")] = False,
    no_detection: Annotated[bool, typer.Option("--no-detection", help="Simulator only: look at nothing.")] = False,
    no_alignment: Annotated[bool, typer.Option("--no-alignment", help="Simulator only: correct no drift.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Prepare lamellae and keep everything that happened on disk."""
    from fibsem_runtime.app.run import RunRequest
    from fibsem_runtime.app.run import run as run_experiment

    request = RunRequest(
        config_path=config,
        method=method,
        lamella_count=lamellae,
        seed=seed,
        supervise=supervise.value if supervise else None,
        experiment=experiment,
        resume=resume,
        use_detection=not no_detection,
        use_alignment=not no_alignment,
    )
    with _stoppable() as cancel, _progress() as progress:
        finished = run_experiment(request, cancel=cancel, progress=progress)
    if as_json:
        print(finished.result.model_dump_json(indent=2))
    else:
        from fibsem_runtime.app.tables import run_table

        print(run_table(finished))
    if finished.error is not None:
        raise finished.error
    if not finished.result.is_complete:
        raise typer.Exit(_incomplete_exit_code())


@app.command()
def detect(
    images: Annotated[list[Path], typer.Argument(help="TIFF files.", show_default=False)],
    model: Annotated[str | None, typer.Option(help="Name of a model; the configured one when left out.")] = None,
    features: Annotated[str | None, typer.Option(help="Names with commas between; all when left out.")] = None,
    pixel_size_nm: Annotated[float | None, typer.Option(min=0.001, help="For files that do not say it.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find key points in image files, without a microscope."""
    from fibsem_runtime.app.detect import detect as detect_in
    from fibsem_runtime.app.tables import detect_table
    from fibsem_runtime.config import load_config, with_model

    result = detect_in(
        with_model(load_config(config), model),
        images,
        features=[name.strip() for name in (features or "").split(",") if name.strip()],
        pixel_size_m=None if pixel_size_nm is None else pixel_size_nm * 1e-9,
    )
    print(result.model_dump_json(indent=2) if as_json else detect_table(result))


@app.command()
def check(
    config: ConfigOption = None,
    method: Annotated[str | None, typer.Option(help="Method preset or file.")] = None,
    connect: Annotated[bool, typer.Option("--connect", help="Ask the instrument as well; nothing moves.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell whether a configuration is fit to run and how long a run takes."""
    from fibsem_runtime.app.check import check as check_config
    from fibsem_runtime.app.tables import check_table
    from fibsem_runtime.config import load_config, with_method

    result = check_config(with_method(load_config(config), method), connect=connect)
    print(result.model_dump_json(indent=2) if as_json else check_table(result))


@app.command()
def doctor(
    driver: Annotated[str | None, typer.Option(help="Driver to look at; the configured one when left out.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what this computer lacks and how to get it."""
    from fibsem_runtime.app.doctor import diagnose
    from fibsem_runtime.app.tables import doctor_table
    from fibsem_runtime.config import load_config

    result = diagnose(load_config(config), driver=driver)
    print(result.model_dump_json(indent=2) if as_json else doctor_table(result))
    if not result.is_healthy:
        raise typer.Exit(1)


@corrections_app.command("list")
def corrections_list(
    experiment: Annotated[Path, typer.Argument(help="Folder of the experiment.")],
    feature: Annotated[str | None, typer.Option(help="Only this feature.")] = None,
    classification: Annotated[str | None, typer.Option(help="Only this class.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List every proposal's features with what was decided about them."""
    from fibsem_runtime.app.corrections import CorrectionsResult, read_corrections
    from fibsem_runtime.app.tables import corrections_table

    result: CorrectionsResult = read_corrections(experiment, feature=feature, classification=classification)
    print(result.model_dump_json(indent=2) if as_json else corrections_table(result))


@dataset_app.command("synthesize")
def dataset_synthesize(
    scene: Annotated[str, typer.Option(help="What lies on the shuttle; an unknown name lists the known ones.")],
    n: Annotated[int, typer.Option("--n", min=1, max=100_000, help="How many frames.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")],
    out: Annotated[Path | None, typer.Option(help="New folder; below datasets when left out.", file_okay=False)] = None,
    width: Annotated[int, typer.Option(min=96, max=6144, help="Width of a frame in pixels; it is 3:2.")] = 1536,
    bits: Annotated[int, typer.Option(help="8 or 16.")] = 8,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write labelled frames of the simulator: images, class and object masks, key points, thickness."""
    from fibsem_runtime.app.dataset import SynthesizeRequest, synthesize
    from fibsem_runtime.app.tables import synthesize_table

    request = SynthesizeRequest(
        scene=scene, frame_count=n, seed=seed, out=out, config_path=config, width_px=width, bit_depth=bits
    )
    with _stoppable() as cancel, _progress() as progress:
        result = synthesize(request, cancel=cancel, progress=progress)
    print(result.model_dump_json(indent=2) if as_json else synthesize_table(result))


@app.command()
def report(
    experiment: Annotated[Path, typer.Argument(help="Folder of the experiment.")],
    output: Annotated[Path | None, typer.Option(help="Where to write; beside the experiment when left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the HTML report of an experiment again."""
    import json

    from fibsem_runtime.app.report_file import write_experiment_report

    path = write_experiment_report(experiment, output)
    print(json.dumps({"report": str(path)}) if as_json else path)


@model_app.command("list")
def model_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the installed models and whether they are whole."""
    from fibsem_runtime.app.model_tables import models_table
    from fibsem_runtime.app.models import list_installed
    from fibsem_runtime.config import load_config

    result = list_installed(load_config(config))
    print(result.model_dump_json(indent=2) if as_json else models_table(result))


@model_app.command("info")
def model_info(name: ModelArgument = "default", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell all that is known about a model: origin, files, proof, measured speed and error."""
    from fibsem_runtime.app.models import describe
    from fibsem_runtime.config import load_config, with_model

    _show_model(describe(with_model(load_config(config), name)), as_json=as_json)


@model_app.command("bench")
def model_bench(
    name: ModelArgument = "default",
    image: Annotated[Path | None, typer.Option(help="TIFF file; a drawn frame of 1536x1024 when left out.")] = None,
    provider: Annotated[ProviderName | None, typer.Option(help="The configured ones when left out.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, fp16 or int8; what suits the provider else.")] = None,
    runs: Annotated[int, typer.Option(min=1, max=10_000, help="Timed detections.")] = 30,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time a detection stage by stage, all features of the model at once."""
    from fibsem_runtime.app.model_bench import bench
    from fibsem_runtime.app.model_tables import bench_table
    from fibsem_runtime.config import load_config, with_engine, with_model

    chosen = with_engine(with_model(load_config(config), name), provider=provider, precision=precision)
    result = bench(chosen, file=image, run_count=runs)
    print(result.model_dump_json(indent=2) if as_json else bench_table(result))


@model_app.command("import")
def model_import(
    source: Annotated[Path, typer.Argument(help="Checkpoint (.pt), ONNX graph, or folder of a Hugging Face model.")],
    name: Annotated[str | None, typer.Option(help="Name to give; that of the file when left out.")] = None,
    images: ImagesOption = None,
    size: Annotated[str | None, typer.Option(help="Input of the network, WIDTHxHEIGHT in multiples of 32.")] = None,
    scaling: Annotated[InputScaling | None, typer.Option(help="Only where the file does not show it.")] = None,
    classes: Annotated[str, typer.Option(help="Names with commas between, where they are not the usual ones.")] = "",
    licence: Annotated[str | None, typer.Option(help="Licence to record.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a foreign model and prove on images that its masks stay the same; nothing in it is run."""
    _require_learning()
    from fibsem_runtime.app.model_making import import_file
    from fibsem_runtime.config import load_config

    options = _import_options(name, size, scaling, classes, licence, images)
    with _bar() as show:
        info = import_file(load_config(config), source, options, watch=show)
    _show_model(info, as_json=as_json)


@model_app.command("pull")
def model_pull(
    published: Annotated[str, typer.Argument(metavar="NAME", help="Name of a published model.")],
    name: Annotated[str | None, typer.Option(help="Name to give; the published one when left out.")] = None,
    images: ImagesOption = None,
    size: Annotated[str | None, typer.Option(help="Input of the network, WIDTHxHEIGHT in multiples of 32.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a published model where there is a network, and import it."""
    _require_learning()
    from fibsem_runtime.app.model_pull import pull
    from fibsem_runtime.config import load_config

    options = _import_options(name, size, None, "", None, images)
    with _bar() as show:
        info = pull(load_config(config), published, options, watch=show)
    _show_model(info, as_json=as_json)


@model_app.command("optimise")
def model_optimise(
    name: ModelArgument = "default",
    images: ImagesOption = None,
    threshold: Annotated[float | None, typer.Option(min=0.5, max=1, help="Share of pixels that must agree.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Clean up the graph, make int8 and fp16, keep each whose masks agree, and record the speed-up."""
    _require_learning()
    from fibsem_runtime.app.model_making import optimise
    from fibsem_runtime.config import load_config, with_model

    with _bar() as show:
        info = optimise(with_model(load_config(config), name), images or [], threshold_fraction=threshold, watch=show)
    _show_model(info, as_json=as_json)


def _require_learning() -> None:
    from fibsem_runtime.app.extras import require_extra

    require_extra("learn", "torch", "onnx", "safetensors")


def _import_options(
    name: str | None,
    size: str | None,
    scaling: InputScaling | None,
    classes: str,
    licence: str | None,
    images: list[Path] | None,
) -> ImportOptions:
    from fibsem_runtime.app.model_making import ImportOptions

    stated = scaling.value if scaling else None
    return ImportOptions(name=name, size=size, scaling=stated, classes=classes, licence=licence, images=images or [])


def _show_model(info: ModelInfo, *, as_json: bool) -> None:
    from fibsem_runtime.app.model_tables import info_table

    print(info.model_dump_json(indent=2) if as_json else info_table(info))


@contextmanager
def _stoppable() -> Iterator[CancelToken]:
    """Turn the first Ctrl-C or termination into a clean stop; the second one ends the process at once."""
    import signal

    from fibsem_runtime.core import CancelToken

    cancel = CancelToken()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _frame: object) -> None:
        sys.stderr.write("\nstopping safely; press Ctrl-C again to leave at once\n")
        cancel.cancel(f"stopped by {signal.Signals(number).name}")
        signal.signal(number, previous[signal.Signals(number)])

    for number in previous:
        signal.signal(number, stop)
    try:
        yield cancel
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show finished steps of a run."""
    with _bar() as show:
        yield lambda lamella, step, done, total: show(f"{lamella} {step}", done, total)


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar of what is done on a terminal; elsewhere show nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("starting", total=None)

        def show(text: str, done: int, total: int) -> None:
            bar.update(task, description=text, completed=done, total=total)

        yield show


def _incomplete_exit_code() -> int:
    from fibsem_runtime.core.errors import StepError

    return StepError.exit_code


def main() -> None:
    """Run the command line; errors print one line a problem and end with the exit code of their family."""
    try:
        app()
    except Exception as error:  # noqa: BLE001 - the process boundary
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    from fibsem_runtime.core.errors import FibsemError

    if _globals.show_traceback:
        traceback_module.print_exception(error)
    if isinstance(error, FibsemError):
        sys.stderr.write(f"error {error.number}: {error}\n")
        return error.exit_code
    sys.stderr.write(
        f"unexpected {type(error).__name__}: {error}\nRun again with --traceback and report what it prints.\n"
    )
    return 1
