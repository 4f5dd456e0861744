"""Shapes as DrawBeam objects, and what is left of them when part of their beam time is spent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from drivers.essence.ports import AnyLayerObject, Layer, LayerAnnulus, LayerDot, LayerLine, LayerObject
from drivers.essence.settings import DrawBeamSettings
from fibsem_runtime.core import ImagePoint
from fibsem_runtime.core.errors import MillingError, NotSupportedError, RefusedSettingError
from fibsem_runtime.hal.shapes import (
    CircleShape,
    CrossSection,
    LineShape,
    MillingSettings,
    RectangleShape,
    ScanDirection,
    Shape,
    ShapeKind,
)

DrawnShape: TypeAlias = RectangleShape | LineShape | CircleShape
"""Shapes that the public facts about DrawBeam suffice for (vendor-tescan.md A5)."""

_TRAVEL_RAD: Final = {
    ScanDirection.LEFT_TO_RIGHT: 0.0,
    ScanDirection.BOTTOM_TO_TOP: math.pi / 2,
    ScanDirection.RIGHT_TO_LEFT: math.pi,
    ScanDirection.TOP_TO_BOTTOM: -math.pi / 2,
}
"""Direction in which the milled line advances, counter-clockwise from image right."""

RATE_LIMITS_M3_PER_C: Final = (1e-11, 1e-7)
"""Rates that any material can have: silicon 3e-10, ice 5e-9 to 1.3e-8 (milling.md section 6), a factor 10 beyond.

A rate outside is a unit mistake: 3.0e-3 has been one (vendor-tescan.md A5, milling.md T17).
"""

_BEGUN: Final = 1e-9
"""Share of a shape below which it has not been begun."""

SMALLEST_REST_M: Final = 20e-9
SMALLEST_REST_FRACTION: Final = 1e-3
"""What is left of a begun shape and not worth an object of its own (assumed): lines of a cleaning cross-section that an
instrument may refuse as too small (al#51), and a thousandth of its beam time."""


def drawable(shapes: Iterable[Shape], kinds: frozenset[ShapeKind]) -> list[DrawnShape]:
    """Return the shapes when a layer can hold all of them; raise `NotSupportedError` naming the one that it cannot."""
    found: list[DrawnShape] = []
    for shape in shapes:
        if shape.kind not in kinds or not isinstance(shape, DrawnShape):
            known = ", ".join(sorted(kind.value.lower() for kind in kinds))
            raise NotSupportedError(
                f"a {shape.kind.value.lower()} was asked for, this interface to DrawBeam draws: {known}; nothing was "
                "drawn"
            )
        found.append(shape)
    return found


def dot_layer(
    point: ImagePoint, duration_s: float, *, field_m: float, current_a: float, drawbeam: DrawBeamSettings
) -> Layer:
    """Return the layer that exposes one point for a time; its rate plays no part."""
    return Layer(
        field_m=field_m,
        beam_current_a=current_a,
        spot_size_m=drawbeam.spot_size_m,
        rate_m3_per_c=RATE_LIMITS_M3_PER_C[1],
        dwell_time_s=drawbeam.dwell_time_s,
        spacing_ratio=drawbeam.spacing_ratio,
        objects=(LayerDot(point=point, duration_s=duration_s),),
    )


def layer_of(shapes: Sequence[DrawnShape], settings: MillingSettings, drawbeam: DrawBeamSettings) -> Layer:
    """Return the layer that mills ``shapes`` one after the other.

    Raises `MillingError` for an empty pattern and sizes that are not above zero, `RefusedSettingError` for a removal
    rate that no material has.
    """
    if not shapes:
        raise MillingError("asked to draw a pattern without shapes; nothing was drawn")
    for shape in shapes:
        if not min(shape.area_m2, shape.depth_m) > 0:
            raise MillingError(f"a shape needs a size and a depth above 0 m, got {shape}; nothing was drawn")
    return Layer(
        field_m=settings.hfw_m,
        beam_current_a=settings.beam_current_a,
        spot_size_m=drawbeam.spot_size_m,
        rate_m3_per_c=_rate_m3_per_c(settings),
        dwell_time_s=drawbeam.dwell_time_s,
        spacing_ratio=drawbeam.spacing_ratio,
        objects=tuple(_object(shape, drawbeam) for shape in shapes),
    )


def expected_s(shapes: Sequence[DrawnShape], settings: MillingSettings) -> float:
    """Return volume / (rate x current), with about half of it for a staircase (vendor-tescan.md A5)."""
    return sum(_charge_c(shape, settings.dose_c_per_m3) for shape in shapes) / settings.beam_current_a


def remaining_shapes(shapes: Sequence[DrawnShape], spent_fraction: float) -> list[DrawnShape]:
    """Return what is left to mill when ``spent_fraction`` of the beam time of all shapes, in order, is spent.

    Objects are milled one after the other: finished ones fall away. A whole-area rectangle is scanned many times, so
    that the rest is the rest of its depth; so are lines and discs (assumed). A cleaning cross-section is milled line by
    line, so that the rest is the part towards the face. Raises `NotSupportedError` within a staircase, whose order of
    passes is not public.
    """
    charges = [_charge_c(shape, 1.0) for shape in shapes]
    spent = spent_fraction * sum(charges)
    left: list[DrawnShape] = []
    for shape, charge in zip(shapes, charges, strict=True):
        done_fraction = min(1.0, max(0.0, spent / charge))
        spent -= charge
        if done_fraction < _BEGUN:
            left.append(shape)
        elif not _is_done(shape, done_fraction):
            left.append(_rest_of(shape, done_fraction))
    return left


def _is_done(shape: DrawnShape, done_fraction: float) -> bool:
    is_thin = (
        isinstance(shape, RectangleShape)
        and shape.cross_section is CrossSection.CLEANING
        and (1 - done_fraction) * _travel_length_m(shape) < SMALLEST_REST_M
    )
    return is_thin or 1 - done_fraction < SMALLEST_REST_FRACTION


def _rest_of(shape: DrawnShape, done_fraction: float) -> DrawnShape:
    if not isinstance(shape, RectangleShape):
        return replace(shape, depth_m=shape.depth_m * (1 - done_fraction))
    if shape.cross_section is CrossSection.REGULAR:
        raise NotSupportedError(
            "asked to go on within a staircase (RegularCrossSection), whose order of passes is not public; "
            "nothing was milled, draw it again or go on with the next stage"
        )
    if shape.cross_section is CrossSection.RECTANGLE:
        return replace(shape, depth_m=shape.depth_m * (1 - done_fraction))
    return _face_part(shape, 1 - done_fraction)


def _face_part(shape: RectangleShape, left_fraction: float) -> RectangleShape:
    """Return the part of a cleaning cross-section next to its face, the edge at which the milled line ends."""
    travel_rad = _TRAVEL_RAD[shape.scan_direction]
    length_m = _travel_length_m(shape)
    ahead_m = length_m * (1 - left_fraction) / 2
    direction_rad = travel_rad + shape.rotation_rad
    centre = shape.centre + ImagePoint(ahead_m * math.cos(direction_rad), ahead_m * math.sin(direction_rad))
    if _is_sideways(shape):
        return replace(shape, centre=centre, width_m=length_m * left_fraction)
    return replace(shape, centre=centre, height_m=length_m * left_fraction)


def _is_sideways(shape: RectangleShape) -> bool:
    return shape.scan_direction in (ScanDirection.LEFT_TO_RIGHT, ScanDirection.RIGHT_TO_LEFT)


def _travel_length_m(shape: RectangleShape) -> float:
    """Return how far the milled line travels."""
    return shape.width_m if _is_sideways(shape) else shape.height_m


def _object(shape: DrawnShape, drawbeam: DrawBeamSettings) -> AnyLayerObject:
    if isinstance(shape, LineShape):
        # A line is as wide as the spot of its layer; what the asked width adds or takes is made up for in depth.
        depth_m = shape.depth_m * shape.width_m / drawbeam.spot_size_m
        return LayerLine(start=shape.start, end=shape.end, depth_m=depth_m)
    if isinstance(shape, CircleShape):
        return LayerAnnulus(
            centre=shape.centre,
            outer_radius_m=shape.outer_diameter_m / 2,
            inner_radius_m=shape.inner_diameter_m / 2,
            depth_m=shape.depth_m,
        )
    return _rectangle(shape, drawbeam.advances_at_zero_angle)


def _rectangle(shape: RectangleShape, advances_at_zero_angle: ScanDirection) -> LayerObject:
    """Return the object turned so that its milled line advances as asked; DrawBeam names no direction."""
    turn_rad = math.remainder(_TRAVEL_RAD[shape.scan_direction] - _TRAVEL_RAD[advances_at_zero_angle], math.tau)
    is_quarter = abs(math.cos(turn_rad)) < 0.5
    return LayerObject(
        kind=shape.cross_section,
        centre_x_m=shape.centre.x_m,
        centre_y_m=shape.centre.y_m,
        width_m=shape.height_m if is_quarter else shape.width_m,
        height_m=shape.width_m if is_quarter else shape.height_m,
        depth_m=shape.depth_m,
        angle_rad=math.remainder(turn_rad + shape.rotation_rad, math.tau),
    )


def _charge_c(shape: DrawnShape, dose_c_per_m3: float) -> float:
    is_staircase = isinstance(shape, RectangleShape) and shape.cross_section is CrossSection.REGULAR
    half = 0.5 if is_staircase else 1.0
    return half * shape.area_m2 * shape.depth_m * dose_c_per_m3


def _rate_m3_per_c(settings: MillingSettings) -> float:
    low, high = RATE_LIMITS_M3_PER_C
    if not (settings.dose_c_per_m3 > 0 and low <= 1 / settings.dose_c_per_m3 <= high):
        raise RefusedSettingError(
            f"asked for a dose of {settings.dose_c_per_m3:g} C/m³, a material takes {1 / high:g} to {1 / low:g} C/m³ "
            "(DrawBeam's rate is its inverse, m³/A/s); nothing was drawn, correct the dose of the milling stage"
        )
    return 1 / settings.dose_c_per_m3
