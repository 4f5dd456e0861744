"""Arguments in, answer and exit code out.

Each command imports what it needs when it is called, so that ``--help`` answers at once (docs/decisions/0001).
"""

from __future__ import annotations

import sys
import traceback as traceback_module
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from fibsem_runtime.cli.models import model_app
from fibsem_runtime.cli.options import ConfigOption, JsonOption, Supervise
from fibsem_runtime.cli.terminal import progress, stoppable

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
app.add_typer(model_app, name="model")


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
    with stoppable() as cancel, progress() as show:
        finished = run_experiment(request, cancel=cancel, progress=show)
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
    with stoppable() as cancel, progress() as show:
        result = synthesize(request, cancel=cancel, progress=show)
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
