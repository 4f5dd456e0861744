"""Run a method: every lamella through every step, with recovery, and the truth about what was completed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fibsem_runtime.core.errors import Cancelled, DecisionTimeoutError, FibsemError
from fibsem_runtime.events import RunStarted, RunStopped, StepFinished, StepStarted
from fibsem_runtime.experiment import journal
from fibsem_runtime.workflow.context import Context
from fibsem_runtime.workflow.decisions import confirm
from fibsem_runtime.workflow.recovery import Recovery
from fibsem_runtime.workflow.selection import select_sites
from fibsem_runtime.workflow.settings import AnyStepSettings, Order
from fibsem_runtime.workflow.steps import run_step

COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIdentity:
    """What the first document of a run says about it."""

    driver: str
    seed: int
    software_version: str
    resumed: bool


Progress = Callable[[str, str, int, int], None]
"""Be told lamella, step, finished and total number of steps before each step."""


class StopRun(Exception):  # noqa: N818 - carries a decision, not an error of its own
    """Leave the loop over lamellae because the recovery policy says so."""

    def __init__(self, cause: FibsemError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def run_method(context: Context, identity: RunIdentity, *, progress: Progress | None = None) -> None:
    """Prepare the lamellae of a method; steps that the journal knows as completed are not repeated.

    Returns when every lamella is completed or given up. Raises the error that stopped the run; the instrument is in
    its safe state and everything done so far is on disk.
    """
    context.record(
        RunStarted,
        method=context.method.name,
        driver=identity.driver,
        seed=identity.seed,
        software_version=identity.software_version,
        resumed=identity.resumed,
    )
    status, reason = FAILED, "an unexpected error ended the run"
    try:
        _run_all(context, progress)
        status, reason = COMPLETED, ""
    except StopRun as stop:
        status, reason = FAILED, str(stop)
        raise stop.cause from stop
    except Cancelled as error:
        status, reason = CANCELLED, str(error)
        raise
    except FibsemError as error:
        status, reason = FAILED, str(error)
        raise
    finally:
        try:
            context.microscope.driver.safe_state()
        finally:
            context.record(RunStopped, status=status, reason=reason)


def _run_all(context: Context, progress: Progress | None) -> None:
    lamellae = select_sites(context)
    given_up: set[str] = set()
    pairs = list(_in_order(context, lamellae))
    for done, (lamella, step) in enumerate(pairs):
        context.cancel.raise_if_cancelled()
        if lamella in given_up:
            continue
        bound = context.bind(lamella=lamella, step=step.name, step_mode=step.supervise)
        if journal.step_completed(context.experiment.documents(lamella=lamella), step.name):
            continue
        if progress is not None:
            progress(lamella, step.name, done, len(pairs))
        if not _run_with_recovery(bound, step):
            given_up.add(lamella)


def _in_order(context: Context, lamellae: list[str]) -> Iterator[tuple[str, AnyStepSettings]]:
    steps = context.method.steps
    if context.method.order is Order.BY_STEP:
        return ((lamella, step) for step in steps for lamella in lamellae)
    return ((lamella, step) for lamella in lamellae for step in steps)


def _run_with_recovery(context: Context, step: AnyStepSettings) -> bool:
    """Run one step until it is completed (True) or the lamella is given up (False); raise `StopRun` to end the run."""
    attempt = 1
    while True:
        error = _attempt(context, step, attempt)
        if error is None:
            return True
        recovery = context.method.recovery.choose(error, attempt)
        if isinstance(error, DecisionTimeoutError):
            recovery = Recovery.STOP_RUN
        if recovery is Recovery.ASK_OPERATOR:
            again = confirm(context, f"{step.name} failed: {error} Try again?", confidence=0.0)
            recovery = Recovery.RETRY if again else Recovery.SKIP_LAMELLA
        if recovery is Recovery.STOP_RUN:
            raise StopRun(error)
        if recovery is Recovery.SKIP_LAMELLA:
            return False
        attempt += 1


def _attempt(context: Context, step: AnyStepSettings, attempt: int) -> FibsemError | None:
    """Run one attempt and record how it ended; a failed one leaves the instrument in its safe state."""
    clock = context.microscope.clock
    started_s = clock.monotonic_s()
    context.record(StepStarted, attempt=attempt)

    def finish(status: str, message: str = "", error_number: int = 0, **facts: object) -> None:
        context.record(
            StepFinished,
            status=status,
            message=message,
            error_number=error_number,
            duration_s=clock.monotonic_s() - started_s,
            **facts,
        )

    try:
        measurements = run_step(context, step)
    except Cancelled as error:
        finish(CANCELLED, str(error), error.number)
        raise
    except FibsemError as error:
        finish(FAILED, str(error), error.number)
        context.microscope.driver.safe_state()
        return error
    finish(COMPLETED, measurements=measurements)
    return None
