"""What went wrong, the most important first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fibsem_runtime.app.result import UNVERIFIED, LamellaResult
from fibsem_runtime.events import AnyDocument, RunStarted, RunStopped, StepFinished


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that a person should know: where it happened, what it says, whether it was overcome."""

    severity: Literal["serious", "overcome"]
    where: str
    anchor: str
    message: str
    error_number: int = 0


def find_problems(documents: Sequence[AnyDocument], lamellae: Sequence[LamellaResult]) -> list[Problem]:
    """Return the end of the run, the lamellae that are not completed, then the failures that a retry overcame."""
    completed = {
        (lamella.name, step.name) for lamella in lamellae for step in lamella.steps if step.status == "completed"
    }
    failed = [d for d in documents if isinstance(d, StepFinished) and d.status != "completed"]
    lost = [d for d in failed if (d.lamella, d.step) not in completed]
    overcome = [d for d in failed if (d.lamella, d.step) in completed]
    return [
        *_run_problems(documents),
        *(_step_problem(d, "serious") for d in lost),
        *_unexplained(lamellae, {d.lamella for d in lost}),
        *(_step_problem(d, "overcome") for d in overcome),
    ]


def _run_problems(documents: Sequence[AnyDocument]) -> list[Problem]:
    """Judge the last run only: an earlier one was continued."""
    ends = [d for d in documents if isinstance(d, RunStarted | RunStopped)]
    if not ends:
        return [_run_problem("no run of this experiment has started")]
    last = ends[-1]
    if isinstance(last, RunStarted):
        return [_run_problem("the run has no end on record: it goes on, or it was cut off; continue it with --resume")]
    if last.status != "completed":
        return [_run_problem(f"the run {last.status}: {last.reason}" if last.reason else f"the run {last.status}")]
    return []


def _run_problem(message: str) -> Problem:
    return Problem(severity="serious", where="run", anchor="summary", message=message)


def _step_problem(finished: StepFinished, severity: Literal["serious", "overcome"]) -> Problem:
    return Problem(
        severity=severity,
        where=f"{finished.lamella} · {finished.step}",
        anchor=finished.lamella,
        message=finished.message or finished.status,
        error_number=finished.error_number,
    )


def _unexplained(lamellae: Sequence[LamellaResult], explained: set[str]) -> list[Problem]:
    """Return lamellae that are not completed although no step says why."""
    return [
        Problem(
            severity="serious",
            where=lamella.name,
            anchor=lamella.name,
            message=_unfinished_steps(lamella),
        )
        for lamella in lamellae
        if lamella.status != "completed" and lamella.name not in explained
    ]


def _unfinished_steps(lamella: LamellaResult) -> str:
    if lamella.status == UNVERIFIED:
        return "unverified: every step was milled, but detection or alignment was switched off and nothing was checked"
    steps = ", ".join(f"{step.name} {step.status}" for step in lamella.steps if step.status != "completed")
    return f"{lamella.status}: {steps}"
