"""Put the image back where it was: registration on a reference, corrected by beam shift (check C2)."""

from __future__ import annotations

import math

from fibsem_runtime.core import BeamType, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import AlignmentError
from fibsem_runtime.core.image import Image
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.imaging import Registration, register
from fibsem_runtime.workflow.context import Context
from fibsem_runtime.workflow.settings import AlignmentSettings


def reference_settings(reference: Image, *, width_px: int, height_px: int) -> ImageSettings:
    """Return the request that repeats the frame ``reference`` was cut from; sizes are those of the full frame."""
    metadata = reference.metadata
    if metadata.dwell_time_s is None:
        raise AlignmentError("the alignment reference does not say its dwell time; acquire a new one")
    return ImageSettings(
        width_px=width_px,
        height_px=height_px,
        hfw_m=reference.pixel_size_m * width_px,
        dwell_time_s=metadata.dwell_time_s,
        reduced_area=metadata.reduced_area,
    )


def align_to_reference(
    context: Context, reference: Image, request: ImageSettings, settings: AlignmentSettings, *, purpose: str
) -> float | None:
    """Shift the ion beam until a fresh image lies on ``reference``; return the last deviation measured, in metres.

    A deviation within the tolerance is corrected as well, without another image: left alone it would grow to the
    tolerance and be taken back at once, and a cleaning cross-section would jump over that much of the sample. Works at
    whatever current the beam has. Returns None when alignment is switched off for the run. Raises `AlignmentError` when
    a registration is refused, a shift is larger than allowed or the deviation stays too large.
    """
    if not context.options.use_alignment:
        context.check(
            "C2", measured=None, threshold=settings.tolerance_m, unit="m", passed=False, message="switched off"
        )
        return None
    residual_m = math.inf
    for _ in range(settings.max_passes):
        moved = _measure(context, reference, request, settings, purpose)
        residual_m = moved.length_m
        beam = context.microscope.ion_beam
        beam.set_shift(beam.settings().shift - moved)
        if residual_m <= settings.tolerance_m:
            context.check("C2", measured=residual_m, threshold=settings.tolerance_m, unit="m", passed=True)
            return residual_m
    context.check("C2", measured=residual_m, threshold=settings.tolerance_m, unit="m", passed=False)
    raise AlignmentError(
        f"alignment ({purpose}) leaves {format_quantity(residual_m, 'm')} after {settings.max_passes} corrections, "
        f"allowed are {format_quantity(settings.tolerance_m, 'm')}; look for drift, charging or a damaged fiducial"
    )


def _measure(
    context: Context, reference: Image, request: ImageSettings, settings: AlignmentSettings, purpose: str
) -> ImagePoint:
    """Return how far the content has moved since the reference, x right and y up."""
    fresh = context.acquire(BeamType.ION, request, purpose=purpose)
    pixel_size_m = reference.pixel_size_m
    found: Registration = register(reference, fresh.image, max_shift_px=settings.max_shift_m / pixel_size_m)
    moved = ImagePoint(found.dx_px * pixel_size_m, -found.dy_px * pixel_size_m)
    if moved.length_m > settings.max_shift_m:
        raise AlignmentError(
            f"alignment ({purpose}) asks for a shift of {format_quantity(moved.length_m, 'm')}, allowed are "
            f"{format_quantity(settings.max_shift_m, 'm')}; the site is not where it was"
        )
    return moved
