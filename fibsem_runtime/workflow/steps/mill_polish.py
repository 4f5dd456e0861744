"""Thin the lamella to its target and measure it."""

from __future__ import annotations

from fibsem_runtime.core import BeamType, ImagePoint
from fibsem_runtime.core.errors import VerificationError
from fibsem_runtime.core.frames import image_to_pixel
from fibsem_runtime.core.units import NM, UM, format_quantity
from fibsem_runtime.imaging import measure_slab
from fibsem_runtime.workflow.context import Context
from fibsem_runtime.workflow.mill import mill_stages
from fibsem_runtime.workflow.settings import MillPolishSettings
from fibsem_runtime.workflow.site import return_to_target
from fibsem_runtime.workflow.steps.lamella import acquire_at_target, track_fiducial


def run(context: Context, settings: MillPolishSettings) -> dict[str, float]:
    """Mill all polishing stages with drift correction and verify the thickness (check C13)."""
    target = return_to_target(context)
    context.acquire(BeamType.ION, settings.frame.to_image_settings(), purpose="before")
    tracking = track_fiducial(context, settings.frame, settings.alignment)
    spent_s = mill_stages(context, settings.stages, target.offset, tracking)
    context.acquire(BeamType.ION, settings.frame.to_image_settings(), purpose="after")
    thickness_m = _measure_thickness(context, settings, target.offset)
    return {"milled_s": spent_s, "thickness_m": thickness_m}


def _measure_thickness(context: Context, settings: MillPolishSettings, offset: ImagePoint) -> float:
    """Image the lamella in the middle of a small field and measure its edges; raise when it is not as asked."""
    frame = acquire_at_target(context, settings.thickness_frame, offset, purpose="thickness")
    centre = image_to_pixel(ImagePoint(0.0, 0.0), frame.image.shape, frame.image.pixel_size_m)
    slab = measure_slab(frame.image, centre, width_m=4 * UM)
    deviation_m = abs(slab.thickness_m - settings.target_thickness_nm * NM)
    tolerance_m = settings.thickness_tolerance_nm * NM
    found = f"{format_quantity(slab.thickness_m, 'm')} thick, asked were {settings.target_thickness_nm:.0f} nm"
    passed = deviation_m <= tolerance_m
    if not context.check("C13", measured=deviation_m, threshold=tolerance_m, unit="m", passed=passed, message=found):
        raise VerificationError(
            f"the lamella measures {format_quantity(slab.thickness_m, 'm')}, asked were "
            f"{settings.target_thickness_nm:.0f} ± {settings.thickness_tolerance_nm:.0f} nm; look at its images"
        )
    return slab.thickness_m
