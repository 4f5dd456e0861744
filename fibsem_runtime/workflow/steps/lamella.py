"""What rough milling and polishing share: tracking on the fiducial and finding the lamella."""

from __future__ import annotations

from fibsem_runtime.core import BeamType, ImagePoint
from fibsem_runtime.core.errors import VerificationError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.events import FeatureProposal
from fibsem_runtime.workflow.alignment import align_to_reference, reference_settings
from fibsem_runtime.workflow.context import Context, Frame
from fibsem_runtime.workflow.decisions import decide_points
from fibsem_runtime.workflow.mill import Tracking
from fibsem_runtime.workflow.settings import AlignmentSettings, FrameSettings
from fibsem_runtime.workflow.site import find_reference

FEATURES = ("LamellaCentre", "LamellaTopEdge", "LamellaBottomEdge")


def track_fiducial(context: Context, frame: FrameSettings, alignment: AlignmentSettings) -> Tracking:
    """Align at imaging current on the fiducial and return what later alignments need."""
    reference = find_reference(context)
    request = reference_settings(reference, width_px=frame.width_px, height_px=frame.height_px)
    align_to_reference(context, reference, request, alignment, purpose="align-return")
    return Tracking(reference=reference, request=request, settings=alignment)


def acquire_at_target(context: Context, settings: FrameSettings, offset: ImagePoint, *, purpose: str) -> Frame:
    """Take an ion image with the target at ``offset`` in its middle, by beam shift; the shift is restored."""
    beam = context.microscope.ion_beam
    shift = beam.settings().shift
    beam.set_shift(shift - offset)
    try:
        return context.acquire(BeamType.ION, settings.to_image_settings(), purpose=purpose)
    finally:
        beam.set_shift(shift)


def verify_lamella(context: Context, frame: Frame, tolerance_m: float) -> dict[str, float]:
    """Find the lamella in an image that has the target in its middle and compare the two (checks C3 and C9)."""
    if context.detector is None or not context.options.use_detection:
        context.check("C3", measured=None, threshold=None, unit="", passed=False, message="detection is switched off")
        return {}
    detection = context.detector.find(frame.image, FEATURES)
    proposals = [
        FeatureProposal(feature=f.name, point=f.point, confidence=f.confidence, reason=f.reason)
        for f in detection.features
    ]
    points = decide_points(
        context,
        "Is this the lamella?",
        proposals,
        frame,
        model=detection.model,
        model_sha256=detection.model_sha256,
    )
    if "LamellaCentre" not in points:
        raise VerificationError("the image after milling shows no lamella at the target; look at its images")
    error_m = frame.image.to_metres(points["LamellaCentre"]).length_m
    if not context.check("C9", measured=error_m, threshold=tolerance_m, unit="m", passed=error_m <= tolerance_m):
        raise VerificationError(
            f"the lamella stands {format_quantity(error_m, 'm')} from its target, allowed are "
            f"{format_quantity(tolerance_m, 'm')}; look at its images before milling on"
        )
    return {"detected_error_m": error_m}
