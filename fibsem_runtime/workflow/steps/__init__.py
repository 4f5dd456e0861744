"""The steps of lamella preparation, one file each; a step is one function from settings and context to measurements."""

from __future__ import annotations

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.workflow.context import Context
from fibsem_runtime.workflow.settings import (
    AlignSiteSettings,
    AnyStepSettings,
    MillFiducialSettings,
    MillPolishSettings,
    MillRoughSettings,
)
from fibsem_runtime.workflow.steps import align_site, mill_fiducial, mill_polish, mill_rough

__all__ = ["run_step"]


def run_step(context: Context, settings: AnyStepSettings) -> dict[str, float]:
    """Run the step that the settings belong to and return its measurements."""
    match settings:
        case AlignSiteSettings():
            return align_site.run(context, settings)
        case MillFiducialSettings():
            return mill_fiducial.run(context, settings)
        case MillRoughSettings():
            return mill_rough.run(context, settings)
        case MillPolishSettings():
            return mill_polish.run(context, settings)
    raise ConfigError(f"no step is registered for {type(settings).__name__}")
