"""Mill one stage: conditions, alignment at the milling current, beam time in journalled intervals."""

from __future__ import annotations

from dataclasses import dataclass

from fibsem_runtime.core import Image, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import BeamError, MillingError
from fibsem_runtime.events import MillingFinished, MillingStarted
from fibsem_runtime.experiment import journal
from fibsem_runtime.hal import MillingProgress, milling_conditions
from fibsem_runtime.milling import MillingStage
from fibsem_runtime.workflow.alignment import align_to_reference
from fibsem_runtime.workflow.context import Context
from fibsem_runtime.workflow.settings import AlignmentSettings


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Tracking:
    """What keeps the pattern in its place while milling: a reference image and how to repeat it."""

    reference: Image
    request: ImageSettings
    settings: AlignmentSettings


def mill_stages(context: Context, stages: list[MillingStage], target: ImagePoint, tracking: Tracking | None) -> float:
    """Mill every enabled stage around ``target`` and return the beam time spent now, in seconds.

    Stages that the journal knows as finished are left out; an interrupted one goes on where it stopped.
    """
    return sum(_mill_stage(context, stage, target, tracking) for stage in stages if stage.enabled)


def _mill_stage(context: Context, stage: MillingStage, target: ImagePoint, tracking: Tracking | None) -> float:
    spent = journal.milling_spent(context.experiment.documents(lamella=context.lamella), context.step, stage.name)
    if spent.finished:
        return 0.0
    with milling_conditions(context.microscope, stage.settings()):
        _track(context, tracking, stage)
        total_s = context.microscope.milling.draw(stage.shapes(offset=target), stage.settings())
        try:
            _spend(context, stage, tracking, from_s=min(spent.milled_s, total_s), total_s=total_s)
        finally:
            context.microscope.milling.stop()
    return total_s - spent.milled_s


def _spend(context: Context, stage: MillingStage, tracking: Tracking | None, *, from_s: float, total_s: float) -> None:
    """Mill from ``from_s`` to the end, re-aligning between intervals when the strategy asks for it."""
    interval_s = stage.realign_interval_s or total_s
    done_s, skip_s = from_s, from_s
    while True:
        # Checked before it is announced: announced beam time counts as spent when its end is not on record.
        context.cancel.raise_if_cancelled()
        until_s = min(done_s + interval_s, total_s)
        context.record(
            MillingStarted,
            stage=stage.name,
            beam_current_a=stage.settings().beam_current_a,
            from_s=done_s,
            until_s=until_s,
            total_s=total_s,
        )
        progress: MillingProgress = context.microscope.milling.run(
            duration_s=until_s - done_s, skip_s=skip_s, cancel=context.cancel
        )
        finished = progress.finished or progress.milled_s >= total_s - 1e-6
        context.record(
            MillingFinished, stage=stage.name, milled_s=progress.milled_s, total_s=total_s, finished=finished
        )
        if finished:
            return
        context.cancel.raise_if_cancelled()
        _refuse_stopped(context, stage, progress, done_s)
        done_s, skip_s = progress.milled_s, 0.0
        _track(context, tracking, stage)


def _refuse_stopped(context: Context, stage: MillingStage, progress: MillingProgress, done_s: float) -> None:
    """Raise when milling does not go on: here, because beam time that is announced again would count as spent."""
    reached = f"{progress.milled_s:.1f} of {progress.total_s:.1f} s of beam time"
    if not context.microscope.ion_beam.is_on():
        raise BeamError(
            f"the ion beam went off while {stage.name} was milled, at {reached}; switch it on at the instrument, then "
            "resume"
        )
    if progress.milled_s <= done_s:
        raise MillingError(f"milling of {stage.name} stands still at {reached}; look at the patterning window")


def _track(context: Context, tracking: Tracking | None, stage: MillingStage) -> None:
    if tracking is not None:
        align_to_reference(
            context, tracking.reference, tracking.request, tracking.settings, purpose=f"align-{stage.name}"
        )
