"""What a run prints as JSON, read back from the documents on disk and, on a simulator, from its truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from fibsem_runtime.core.units import NM
from fibsem_runtime.corrections import CHANGED
from fibsem_runtime.events import AnyDocument, CheckMade, Correction, StepFinished, StepStarted, TargetSet
from fibsem_runtime.experiment import Experiment
from fibsem_runtime.hal.truth import Truth

RESULT_FILE: Final = "result.json"

UNVERIFIED: Final = "unverified"
"""Status of a lamella that was milled with detection or alignment switched off."""


class Result(BaseModel):
    """Part of the JSON document; frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StepResult(Result):
    """How the last attempt of a step ended; ``unfinished`` when the run stopped inside it, ``pending`` before it."""

    name: str
    status: str
    duration_s: float
    message: str = ""


class TruthResult(Result):
    """What stands in the simulated sample; None where there is no lamella."""

    thickness_nm: float | None
    position_error_nm: float | None
    attached_to: list[str]


class LamellaResult(Result):
    """One lamella: ``completed`` only when every step of the method is and its checks were made, else `UNVERIFIED`."""

    name: str
    status: str
    steps: list[StepResult]
    corrections: int
    thickness_nm: float | None
    truth: TruthResult | None = None


class RunResult(Result):
    """The document that ``run --json`` prints."""

    experiment: str
    method: str
    driver: str
    seed: int
    lamellae: list[LamellaResult]
    simulated_s: float
    wall_s: float

    @property
    def is_complete(self) -> bool:
        """Tell whether there are lamellae and all of them are completed."""
        return bool(self.lamellae) and all(lamella.status == "completed" for lamella in self.lamellae)


def lamella_results(experiment: Experiment, steps: Sequence[str], truth: Truth | None) -> list[LamellaResult]:
    """Read the state of every lamella of an experiment; ``steps`` are the names of the method's steps in order."""
    names = [document.lamella for document in experiment.documents(kind="lamella_added")]
    return [_lamella_result(name, list(experiment.documents(lamella=name)), steps, truth) for name in names]


def _lamella_result(
    name: str, documents: Sequence[AnyDocument], steps: Sequence[str], truth: Truth | None
) -> LamellaResult:
    step_results = [_step_result(step, [d for d in documents if d.step == step]) for step in steps]
    return LamellaResult(
        name=name,
        status=_lamella_status([step.status for step in step_results], documents),
        steps=step_results,
        corrections=sum(isinstance(d, Correction) and d.classification in CHANGED for d in documents),
        thickness_nm=_measured_thickness_nm(documents),
        truth=None if truth is None else _truth_result(documents, truth),
    )


def _step_result(step: str, documents: Sequence[AnyDocument]) -> StepResult:
    last: StepResult | None = None
    for document in documents:
        if isinstance(document, StepStarted):
            last = StepResult(name=step, status="unfinished", duration_s=0.0)
        elif isinstance(document, StepFinished):
            last = StepResult(
                name=step, status=document.status, duration_s=document.duration_s, message=document.message
            )
    return last or StepResult(name=step, status="pending", duration_s=0.0)


def _lamella_status(statuses: Sequence[str], documents: Sequence[AnyDocument]) -> str:
    """Say completed only of what was verified too: a check that was switched off has measured nothing."""
    if all(status == "completed" for status in statuses):
        is_verified = all(d.passed or d.measured is not None for d in documents if isinstance(d, CheckMade))
        return "completed" if is_verified else UNVERIFIED
    return next((status for status in ("failed", "cancelled") if status in statuses), "unfinished")


def _measured_thickness_nm(documents: Sequence[AnyDocument]) -> float | None:
    measured = [
        d.measurements["thickness_m"] / NM
        for d in documents
        if isinstance(d, StepFinished) and "thickness_m" in d.measurements
    ]
    return measured[-1] if measured else None


def _truth_result(documents: Sequence[AnyDocument], truth: Truth) -> TruthResult | None:
    """Measure what stands at the last decided target; None when no target was decided."""
    targets = [d for d in documents if isinstance(d, TargetSet)]
    if not targets:
        return None
    found = truth.lamella(truth.specimen_point(targets[-1].image.frame_id, targets[-1].point))
    return TruthResult(
        thickness_nm=None if found.thickness_m is None else found.thickness_m / NM,
        position_error_nm=None if found.offset is None else found.offset.length_m / NM,
        attached_to=list(found.attached_to),
    )
