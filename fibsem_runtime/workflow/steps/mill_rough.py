"""Open the trenches and the stress relief; the image afterwards must show the lamella."""

from __future__ import annotations

from fibsem_runtime.core import BeamType
from fibsem_runtime.core.units import UM
from fibsem_runtime.workflow.context import Context
from fibsem_runtime.workflow.mill import mill_stages
from fibsem_runtime.workflow.settings import MillRoughSettings
from fibsem_runtime.workflow.site import return_to_target
from fibsem_runtime.workflow.steps.lamella import acquire_at_target, track_fiducial, verify_lamella


def run(context: Context, settings: MillRoughSettings) -> dict[str, float]:
    """Mill all rough stages and verify that a lamella stands at the target."""
    target = return_to_target(context)
    context.acquire(BeamType.ION, settings.frame.to_image_settings(), purpose="before")
    tracking = track_fiducial(context, settings.frame, settings.alignment)
    spent_s = mill_stages(context, settings.stages, target.offset, tracking)
    context.acquire(BeamType.ION, settings.frame.to_image_settings(), purpose="after")
    verified = acquire_at_target(context, settings.verify_frame, target.offset, purpose="verify")
    measurements = verify_lamella(context, verified, settings.position_tolerance_um * UM)
    return {"milled_s": spent_s, **measurements}
