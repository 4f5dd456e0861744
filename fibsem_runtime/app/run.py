"""The command ``run``: prepare lamellae, keep everything on disk, tell what was reached."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from fibsem_runtime import __version__
from fibsem_runtime.app.instrument import Instrument, open_configured_detector, open_instrument
from fibsem_runtime.app.logs import log_to_file
from fibsem_runtime.app.preflight import check_before_run
from fibsem_runtime.app.report import write_report
from fibsem_runtime.app.result import RESULT_FILE, RunResult, lamella_results
from fibsem_runtime.config import RuntimeConfig, load_config
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import ConfigError, ExperimentError, FibsemError
from fibsem_runtime.experiment import Experiment, write_text
from fibsem_runtime.workflow import (
    Context,
    MethodSettings,
    Progress,
    RunIdentity,
    RunOptions,
    load_method,
    method_text,
    run_method,
    validate_settings,
)

SIMULATOR_STATE = "simulator"
CONFIG_FILE, METHOD_FILE, LOG_FILE, REPORT_FILE = "config.yaml", "method.yaml", "log.jsonl", "report.html"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a person asked for on the command line; None leaves it to the configuration.

    ``use_detection`` and ``use_alignment`` are switched off only to see what they are worth, on a simulator.
    """

    config_path: Path | None = None
    method: str | None = None
    lamella_count: int | None = None
    seed: int | None = None
    supervise: str | None = None
    experiment: Path | None = None
    resume: bool = False
    use_detection: bool = True
    use_alignment: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The result of a run, where it lies, and the error that stopped it, if one did."""

    result: RunResult
    directory: Path
    report: Path
    error: FibsemError | None


def run(request: RunRequest, *, cancel: CancelToken, progress: Progress | None = None) -> Finished:
    """Prepare the lamellae that ``request`` asks for and write result and report, also when the run was stopped.

    Raises before anything moved when configuration, model, instrument or disk do not allow the run.
    """
    started_s = time.monotonic()
    config, directory = _resume_config(request) if request.resume else _new_config(request)
    method = load_method(str(directory / METHOD_FILE) if request.resume else config.method)
    detector = open_configured_detector(config) if request.use_detection else None
    with (
        _experiment(config, directory, resume=request.resume) as experiment,
        log_to_file(directory / LOG_FILE, run_id=experiment.run_id),
        open_instrument(config, state_directory=directory / SIMULATOR_STATE) as instrument,
    ):
        check_before_run(instrument.microscope, method, directory, lamella_count=config.lamellae)
        context = Context(
            microscope=instrument.microscope,
            kinematics=instrument.kinematics,
            experiment=experiment,
            detector=detector,
            operator=config.supervision.supervisor(),
            method=method,
            options=RunOptions(
                lamella_count=config.lamellae,
                mode=config.supervision.mode,
                gate_fraction=config.supervision.gate_fraction,
                use_alignment=request.use_alignment,
                use_detection=request.use_detection,
            ),
            cancel=cancel,
        )
        error = _run(context, config, resumed=request.resume, progress=progress)
        result = _result(experiment, config, method, instrument, wall_s=time.monotonic() - started_s)
        write_text(directory / RESULT_FILE, result.model_dump_json(indent=2) + "\n")
        report = write_report(experiment, directory / REPORT_FILE, result=result)
    return Finished(result=result, directory=directory, report=report, error=error)


def _run(context: Context, config: RuntimeConfig, *, resumed: bool, progress: Progress | None) -> FibsemError | None:
    identity = RunIdentity(driver=config.driver.name, seed=config.seed, software_version=__version__, resumed=resumed)
    try:
        run_method(context, identity, progress=progress)
    except FibsemError as error:
        _log.error("run_stopped", error_number=error.number, reason=str(error))
        return error
    return None


def _result(
    experiment: Experiment, config: RuntimeConfig, method: MethodSettings, instrument: Instrument, *, wall_s: float
) -> RunResult:
    return RunResult(
        experiment=str(experiment.directory),
        method=method.name,
        driver=config.driver.name,
        seed=config.seed,
        lamellae=lamella_results(experiment, [step.name for step in method.steps], instrument.truth),
        simulated_s=instrument.microscope.clock.monotonic_s(),
        wall_s=wall_s,
    )


def _new_config(request: RunRequest) -> tuple[RuntimeConfig, Path]:
    """Return the configuration with the command line's choices in it, and the directory of a new experiment."""
    config = _override(load_config(request.config_path), request)
    if not (request.use_detection and request.use_alignment) and config.driver.name != "simulator":
        raise ConfigError("detection and alignment can be switched off on the simulator only; leave them on")
    default = config.experiments_folder / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return config, (request.experiment or default).resolve()


def _override(config: RuntimeConfig, request: RunRequest) -> RuntimeConfig:
    changes: dict[str, object] = {
        name: value
        for name, value in (
            ("method", request.method),
            ("lamellae", request.lamella_count),
            ("seed", request.seed),
        )
        if value is not None
    }
    tree = config.model_dump(mode="json") | changes
    if request.supervise is not None:
        tree["supervision"]["mode"] = request.supervise
    return validate_settings(RuntimeConfig, tree, origin="command line: ")


def _resume_config(request: RunRequest) -> tuple[RuntimeConfig, Path]:
    """Return the configuration an experiment was started with; refuse a command line that asks for another one."""
    directory = (request.experiment or latest_experiment(load_config(request.config_path).experiments_folder)).resolve()
    if not (directory / CONFIG_FILE).is_file():
        raise ExperimentError(f"{directory} holds no experiment to resume; give its folder with --experiment")
    config = load_config(directory / CONFIG_FILE)
    asked = _override(config, request)
    for name in ("method", "lamellae", "seed"):
        before, now = getattr(config, name), getattr(asked, name)
        if before != now:
            raise ConfigError(
                f"the experiment {directory} was started with {name} {before}, now {now} is asked for; leave the "
                "option out to resume, or start a new experiment"
            )
    return asked, directory


def latest_experiment(folder: Path) -> Path:
    """Return the newest experiment below ``folder``."""
    found = sorted(path.parent for path in folder.glob(f"*/{CONFIG_FILE}"))
    if not found:
        raise ExperimentError(f"there is no experiment in {folder.resolve()}; give one with --experiment")
    return found[-1]


@contextmanager
def _experiment(config: RuntimeConfig, directory: Path, *, resume: bool) -> Iterator[Experiment]:
    """Open the experiment for writing; a new one in which nothing happened before an error is removed again."""
    if resume:
        with Experiment.resume(directory) as experiment:
            yield experiment
        return
    texts = {CONFIG_FILE: config.to_yaml(), METHOD_FILE: method_text(config.method)}
    created = Experiment.create(directory, name=directory.name, files=texts)
    is_used = False
    try:
        with created as experiment:
            try:
                yield experiment
            finally:
                is_used = any(True for _ in experiment.documents())
    except FibsemError:
        if not is_used:
            shutil.rmtree(directory, ignore_errors=True)
        raise
