"""Mill the cross that later alignments look at, and take the reference image of it."""

from __future__ import annotations

import math
from dataclasses import replace

from fibsem_runtime.core import BeamType, ImagePoint, ImageSettings, RelativeArea
from fibsem_runtime.core.errors import StepError
from fibsem_runtime.hal import RectangleShape
from fibsem_runtime.workflow.alignment import align_to_reference
from fibsem_runtime.workflow.context import Context
from fibsem_runtime.workflow.mill import mill_stages
from fibsem_runtime.workflow.settings import AlignmentSettings, MillFiducialSettings
from fibsem_runtime.workflow.site import REFERENCE_PURPOSE, return_to_target

# The target image is registered as a whole, before and after the cross is milled into it: half a pixel is good enough
# to place the cross and to tie the reference to the target.
_WHOLE_IMAGE = AlignmentSettings(tolerance_nm=60, max_passes=4, max_shift_um=10)


def run(context: Context, settings: MillFiducialSettings) -> dict[str, float]:
    """Mill the fiducial beside the target and acquire the alignment reference."""
    target = return_to_target(context)
    request = settings.frame.to_image_settings()
    area = _alignment_area(settings.stage.shapes(offset=target.offset), request, settings.area_expansion_ratio)
    align_to_reference(context, target.image, request, _WHOLE_IMAGE, purpose="align-target")
    spent_s = mill_stages(context, [settings.stage], target.offset, None)
    residual_m = align_to_reference(context, target.image, request, _WHOLE_IMAGE, purpose="align-target")
    context.acquire(BeamType.ION, replace(request, reduced_area=area), purpose=REFERENCE_PURPOSE)
    context.acquire(BeamType.ION, request, purpose="after")
    return {"milled_s": spent_s} | ({} if residual_m is None else {"residual_m": residual_m})


def _alignment_area(shapes: list[RectangleShape], request: ImageSettings, expansion_ratio: float) -> RelativeArea:
    """Return the part of the frame around all shapes, widened by ``expansion_ratio``; refuse one that is cut off."""
    half_width_m = max(math.hypot(s.width_m, s.height_m) for s in shapes) / 2 * expansion_ratio
    centre = ImagePoint(
        sum(s.centre.x_m for s in shapes) / len(shapes), sum(s.centre.y_m for s in shapes) / len(shapes)
    )
    height_m = request.pixel_size_m * request.height_px
    left_fraction = 0.5 + (centre.x_m - half_width_m) / request.hfw_m
    top_fraction = 0.5 - (centre.y_m + half_width_m) / height_m
    width_fraction, height_fraction = 2 * half_width_m / request.hfw_m, 2 * half_width_m / height_m
    if min(left_fraction, top_fraction, 1 - left_fraction - width_fraction, 1 - top_fraction - height_fraction) < 0:
        raise StepError(
            f"the fiducial at x {centre.x_m * 1e6:.1f} µm, y {centre.y_m * 1e6:.1f} µm does not fit into the field of "
            f"{request.hfw_m * 1e6:.0f} µm; move it nearer to the lamella or use a larger field"
        )
    return RelativeArea(
        left_fraction=left_fraction,
        top_fraction=top_fraction,
        width_fraction=width_fraction,
        height_fraction=height_fraction,
    )
