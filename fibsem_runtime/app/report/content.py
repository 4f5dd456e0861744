"""Everything the report says, gathered from the documents of an experiment; the template only lays it out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from fibsem_runtime.app.report.facts import CheckRow, MillingRow, check_rows, milling_rows
from fibsem_runtime.app.report.figures import AFTER, BEFORE, Figure, Mark, correction_figures, make_figure, step_figures
from fibsem_runtime.app.report.pictures import Picture, PictureBook
from fibsem_runtime.app.report.problems import Problem, find_problems
from fibsem_runtime.app.report.timeline import Timeline, make_timeline
from fibsem_runtime.app.result import LamellaResult, RunResult, StepResult, TruthResult, lamella_results
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.core.units import NM
from fibsem_runtime.events import (
    AnyDocument,
    CheckMade,
    Correction,
    Decision,
    ImageAcquired,
    LamellaAdded,
    RunStarted,
    RunStopped,
    StepFinished,
    StepStarted,
)
from fibsem_runtime.experiment import Experiment
from fibsem_runtime.workflow import MethodSettings, load_method
from fibsem_runtime.workflow.settings import MillPolishSettings

METHOD_FILE: Final = "method.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSection:
    """One step of one lamella, all attempts together."""

    result: StepResult
    attempt_count: int
    started_at: datetime | None
    failures: Sequence[StepFinished]
    measurements: Sequence[tuple[str, float]]
    figures: Sequence[Figure]
    correction_figures: Sequence[Figure]
    checks: Sequence[CheckRow]
    check_log: Sequence[CheckMade]
    milling: Sequence[MillingRow]
    corrections: Sequence[Correction]
    images: Sequence[ImageAcquired]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thickness:
    """Thickness of one lamella against its target; None where it is not known."""

    measured_m: float | None
    true_m: float | None
    target_m: float | None
    tolerance_m: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LamellaSection:
    """One lamella."""

    result: LamellaResult
    steps: Sequence[StepSection]
    thickness: Thickness
    detected_error_m: float | None
    truth: TruthResult | None
    duration_s: float
    reviewed_count: int
    last_figure: Figure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One experiment."""

    name: str
    method_name: str
    method: MethodSettings | None
    runs: Sequence[RunStarted]
    last_stop: RunStopped | None
    timeline: Timeline
    simulated_s: float
    wall_s: float | None
    problems: Sequence[Problem]
    lamellae: Sequence[LamellaSection]
    selection_figures: Sequence[Figure]
    selection_corrections: Sequence[Correction]
    image_count: int
    decision_count: int
    reviewed_count: int
    correction_count: int
    pictures: Sequence[Picture]


def gather(experiment: Experiment, result: RunResult | None) -> Report:
    """Read an experiment; ``result`` adds what documents cannot know: wall time and, on a simulator, the truth."""
    documents = experiment.documents()
    book = PictureBook(experiment)
    method = _read_method(experiment)
    step_names = [step.name for step in method.steps] if method else _step_names(documents)
    lamellae = lamella_results(experiment, step_names, None)
    runs = [d for d in documents if isinstance(d, RunStarted)]
    decisions = [d for d in documents if isinstance(d, Decision)]
    report = Report(
        name=experiment.directory.name,
        method_name=runs[-1].method if runs else "",
        method=method,
        runs=runs,
        last_stop=next((d for d in reversed(documents) if isinstance(d, RunStopped)), None),
        timeline=make_timeline(documents),
        simulated_s=_run_time_s(documents),
        wall_s=result.wall_s if result else None,
        problems=find_problems(documents, lamellae),
        lamellae=[_lamella(experiment, book, lamella, method, _truth_of(lamella, result)) for lamella in lamellae],
        selection_figures=_selection_figures(book, documents),
        selection_corrections=[d for d in documents if isinstance(d, Correction) and not d.lamella],
        image_count=sum(isinstance(d, ImageAcquired) for d in documents),
        decision_count=len(decisions),
        reviewed_count=sum(d.reviewed for d in decisions),
        correction_count=sum(lamella.corrections for lamella in lamellae),
        pictures=(),
    )
    return replace(report, pictures=book.pictures)


def _read_method(experiment: Experiment) -> MethodSettings | None:
    """Return the method as run; None when this program cannot read it, then there are no targets to compare with."""
    try:
        return load_method(str(experiment.directory / METHOD_FILE))
    except ConfigError:
        return None


def _step_names(documents: Iterable[AnyDocument]) -> list[str]:
    return list(dict.fromkeys(d.step for d in documents if isinstance(d, StepStarted)))


def _run_time_s(documents: Sequence[AnyDocument]) -> float:
    """Return the instrument's time in all runs, without the pauses between them."""
    times: dict[str, list[float]] = {}
    for document in documents:
        times.setdefault(document.run_id, []).append(document.monotonic_s)
    return sum(max(values) - min(values) for values in times.values())


def _truth_of(lamella: LamellaResult, result: RunResult | None) -> TruthResult | None:
    """Return the truth of a lamella if it was measured after the last thing that happened to it."""
    for known in result.lamellae if result else ():
        if known.name == lamella.name and known.steps == lamella.steps:
            return known.truth
    return None


def _lamella(
    experiment: Experiment,
    book: PictureBook,
    result: LamellaResult,
    method: MethodSettings | None,
    truth: TruthResult | None,
) -> LamellaSection:
    documents = experiment.documents(lamella=result.name)
    finished = [d for d in documents if isinstance(d, StepFinished)]
    errors_m = [d.measurements["detected_error_m"] for d in finished if "detected_error_m" in d.measurements]
    steps = [_step(book, step, documents) for step in result.steps]
    return LamellaSection(
        result=result,
        steps=steps,
        thickness=_thickness(result, method, truth),
        detected_error_m=errors_m[-1] if errors_m else None,
        truth=truth,
        duration_s=sum(d.duration_s for d in finished),
        reviewed_count=sum(isinstance(d, Decision) and d.reviewed for d in documents),
        last_figure=_last_figure(result, steps),
    )


def _last_figure(result: LamellaResult, steps: Sequence[StepSection]) -> Figure | None:
    """Return the last overview of a lamella, titled with its name."""
    shown = [figure for step in steps for figure in step.figures if figure.title in (BEFORE, AFTER)]
    return replace(shown[-1], title=result.name) if shown else None


def _thickness(result: LamellaResult, method: MethodSettings | None, truth: TruthResult | None) -> Thickness:
    polish = [step for step in (method.steps if method else ()) if isinstance(step, MillPolishSettings)]
    return Thickness(
        measured_m=None if result.thickness_nm is None else result.thickness_nm * NM,
        true_m=None if truth is None or truth.thickness_nm is None else truth.thickness_nm * NM,
        target_m=polish[-1].target_thickness_nm * NM if polish else None,
        tolerance_m=polish[-1].thickness_tolerance_nm * NM if polish else None,
    )


def _step(book: PictureBook, result: StepResult, lamella_documents: Sequence[AnyDocument]) -> StepSection:
    documents = [d for d in lamella_documents if d.step == result.name]
    images = [d for d in documents if isinstance(d, ImageAcquired)]
    corrections = [d for d in documents if isinstance(d, Correction)]
    finished = [d for d in documents if isinstance(d, StepFinished)]
    started = [d for d in documents if isinstance(d, StepStarted)]
    first = images[0].sequence if images else 0
    earlier = [d for d in lamella_documents if isinstance(d, ImageAcquired) and d.sequence < first]
    return StepSection(
        result=result,
        attempt_count=len(started),
        started_at=started[0].wall_time if started else None,
        failures=[d for d in finished if d.status != "completed"],
        measurements=list(finished[-1].measurements.items()) if finished else [],
        figures=step_figures(book, images, earlier),
        correction_figures=correction_figures(book, corrections, images),
        checks=check_rows(documents),
        check_log=[d for d in documents if isinstance(d, CheckMade)],
        milling=milling_rows(documents, result.name),
        corrections=corrections,
        images=images,
    )


def _selection_figures(book: PictureBook, documents: Sequence[AnyDocument]) -> list[Figure]:
    """Return the overview with the sites on it, and what was corrected there."""
    images = [d for d in documents if isinstance(d, ImageAcquired) and not d.lamella]
    sites = [d for d in documents if isinstance(d, LamellaAdded)]
    figures: list[Figure] = []
    for image in images:
        marks = [
            Mark(kind="site", point=site.point, label=site.lamella)
            for site in sites
            if site.point is not None and site.image == image.image
        ]
        if marks:
            figures.append(make_figure(book, "sites", image.image, acquired=image, marks=marks))
    corrections = [d for d in documents if isinstance(d, Correction) and not d.lamella]
    return figures + correction_figures(book, corrections, images)
