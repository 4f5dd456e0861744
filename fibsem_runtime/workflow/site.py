"""Where a lamella is, read from the documents of the run: the same after a crash as before it."""

from __future__ import annotations

from dataclasses import dataclass

from fibsem_runtime.core import Image, ImagePoint, StagePosition
from fibsem_runtime.core.errors import ExperimentError
from fibsem_runtime.events import ImageAcquired, ImageReference, LamellaAdded, TargetSet
from fibsem_runtime.workflow.context import Context

REFERENCE_PURPOSE = "alignment_reference"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Target:
    """Chosen place of a lamella: the ion image it was chosen on and the offset from that image's centre."""

    image: Image
    offset: ImagePoint
    stage_position: StagePosition
    shift: ImagePoint


def find_site(context: Context) -> LamellaAdded:
    """Return the document that added this lamella."""
    for document in context.experiment.documents(kind="lamella_added", lamella=context.lamella):
        if isinstance(document, LamellaAdded):
            return document
    raise ExperimentError(f"lamella {context.lamella} was never added to this experiment")


def find_target(context: Context) -> Target:
    """Return the last decided target; raise `ExperimentError` when none was set."""
    found = context.experiment.documents(kind="target_set", lamella=context.lamella)
    if not found or not isinstance(found[-1], TargetSet):
        raise ExperimentError(f"lamella {context.lamella} has no target; run the step that chooses it first")
    image = context.experiment.load_image(found[-1].image)
    stage_position, beam = image.metadata.stage_position, image.metadata.beam
    if stage_position is None or beam is None:
        raise ExperimentError(f"the target image {found[-1].image.path} does not say where it was taken")
    return Target(image=image, offset=image.to_metres(found[-1].point), stage_position=stage_position, shift=beam.shift)


def find_reference(context: Context) -> Image:
    """Return the alignment reference taken last; a step that needs one must not mill without it (check C1)."""
    found: list[ImageReference] = [
        d.image
        for d in context.experiment.documents(kind="image_acquired", lamella=context.lamella)
        if isinstance(d, ImageAcquired) and d.purpose == REFERENCE_PURPOSE
    ]
    context.check("C1", measured=float(len(found)), threshold=1.0, unit="images", passed=bool(found))
    if not found:
        raise ExperimentError(
            f"lamella {context.lamella} has no alignment reference; mill the fiducial first, nothing was milled"
        )
    return context.experiment.load_image(found[-1])


def return_to_target(context: Context) -> Target:
    """Move to the pose of the target image with its beam shift, at imaging current; alignment is the caller's."""
    target = find_target(context)
    context.use_imaging_current()
    context.move_stage(target.stage_position, purpose="return to the target")
    context.microscope.ion_beam.set_shift(target.shift)
    return target
