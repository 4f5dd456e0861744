"""What is drawn: checked before anything is, drawn in the vendor's order, and what is left of it after beam time.

Patterns are milled in series, one after the other: cross-sections need it (vendor-thermofisher.md section 13), and it
makes known what an interrupted run has already milled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from drivers.thermofisher import patterns
from drivers.thermofisher.sdk import Sdk
from drivers.thermofisher.settings import ThermoFisherSettings
from fibsem_runtime.core import ImagePoint
from fibsem_runtime.core.errors import MillingError, RefusedSettingError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.hal.field import outside_field
from fibsem_runtime.hal.shapes import CrossSection, MillingSettings, RectangleShape, ScanDirection, Shape

SERIAL: Final = "Serial"

_STAIRCASE_TIME_RATIO: Final = 0.55
"""Time of a regular cross-section over that of a rectangle: a staircase of ten steps (assumed, as the simulator)."""

_TIME_TOLERANCE_RATIO: Final = 0.05
_SAME_RATIO: Final = 1e-3
"""How near beam time and other attributes of a pattern must read back (assumed)."""

_SMALLEST_REST_M: Final = 20e-9
_SMALLEST_REST_S: Final = 0.1
"""What is left of a begun pattern and not worth one of its own: lines of a cleaning cross-section that an instrument
refuses as too small (al#51; a 4096th of an 80 µm field, assumed), or less than beam time is known to."""

_DIRECTIONS: Final = {
    ScanDirection.TOP_TO_BOTTOM: (0.0, -1.0),
    ScanDirection.BOTTOM_TO_TOP: (0.0, 1.0),
    ScanDirection.LEFT_TO_RIGHT: (1.0, 0.0),
    ScanDirection.RIGHT_TO_LEFT: (-1.0, 0.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Shapes in milling order with the conditions, application file and beam time of each."""

    shapes: tuple[Shape, ...]
    settings: MillingSettings
    files: tuple[str, ...]
    durations_s: tuple[float, ...]

    @property
    def total_s(self) -> float:
        """Return the beam time of everything."""
        return sum(self.durations_s)


def plan(shapes: Sequence[Shape], settings: MillingSettings, config: ThermoFisherSettings) -> Drawing:
    """Return what to draw; raise `MillingError` before anything is drawn when it cannot be milled as asked.

    The time of a shape is area x depth x dose / current: depths are those of the material that is milled, not of the
    application file's (milling.md section 7).
    """
    problem = outside_field(shapes, hfw_m=settings.hfw_m)
    if problem or not shapes:
        raise MillingError(
            f"the pattern does not fit its field: {problem}" if problem else "there is no shape to draw and mill"
        )
    files = config.applications.get(settings.application)
    if files is None:
        raise MillingError(
            f"asked for the application {settings.application!r}, driver.settings.applications knows "
            f"{', '.join(sorted(config.applications))}; add its files there, nothing was drawn"
        )
    for shape in shapes:
        if not (shape.area_m2 > 0 and shape.depth_m > 0) or not _has_positive_sides(shape):
            raise MillingError(f"a shape needs an extent and a depth above 0 m, got {shape}; nothing was drawn")
        if isinstance(shape, RectangleShape):
            patterns.scan_direction(shape)
    return Drawing(
        shapes=tuple(shapes),
        settings=settings,
        files=tuple(files.file_for(shape) for shape in shapes),
        durations_s=tuple(_duration_s(shape, settings) for shape in shapes),
    )


def _has_positive_sides(shape: Shape) -> bool:
    """Tell whether no side is negative; two negative ones would make an area."""
    sides = [getattr(shape, name) for name in ("width_m", "height_m", "outer_diameter_m") if hasattr(shape, name)]
    return all(side_m > 0 for side_m in sides)


def _duration_s(shape: Shape, settings: MillingSettings) -> float:
    ratio = _STAIRCASE_TIME_RATIO if _is_cut(shape, CrossSection.REGULAR) else 1.0
    return ratio * shape.area_m2 * shape.depth_m * settings.dose_c_per_m3 / settings.beam_current_a


def _is_cut(shape: Shape, cross_section: CrossSection) -> bool:
    return isinstance(shape, RectangleShape) and shape.cross_section is cross_section


def draw_patterns(sdk: Sdk, patterning: Any, drawing: Drawing) -> float:
    """Replace what is drawn by ``drawing`` and return the instrument's estimate in seconds.

    Part of a job with the ion view active. Raises `MillingError` for an application file that the site has not (before
    anything is drawn) and `RefusedSettingError` for an attribute that does not read back.
    """
    listed = list(patterning.list_all_application_files())
    missing = sorted(set(drawing.files) - set(listed))
    if missing:
        raise MillingError(
            f"the instrument has no application file {', '.join(missing)}; it has {', '.join(listed)}; correct "
            "driver.settings.applications, nothing was drawn"
        )
    patterning.mode = SERIAL
    patterning.clear_patterns()
    return sum(
        _draw(sdk, patterning, shape, file, duration_s)
        for shape, file, duration_s in zip(drawing.shapes, drawing.files, drawing.durations_s, strict=True)
    )


def _draw(sdk: Sdk, patterning: Any, shape: Shape, file: str, duration_s: float) -> float:
    """Create one pattern and verify each of its attributes; its time last, which the others change.

    Time, passes and dwell time hang together: only the time is set, the instrument makes the other two fit.
    """
    patterning.set_default_application_file(file)
    pattern = patterns.create_pattern(sdk, patterning, shape)
    _check("application file", file, pattern.application_file, lambda a, b: a == b)
    if isinstance(shape, RectangleShape):
        _turn(pattern, shape)
    for name, asked in patterns.sizes(shape).items():
        _check(name, asked, getattr(pattern, name), lambda a, b: math.isclose(a, b, rel_tol=_SAME_RATIO))
    pattern.time = duration_s
    found_s = float(pattern.time)
    _check("time", duration_s, found_s, lambda a, b: math.isclose(a, b, rel_tol=_TIME_TOLERANCE_RATIO))
    return found_s


def _turn(pattern: Any, shape: RectangleShape) -> None:
    """Set rotation and scan direction."""
    pattern.rotation = shape.rotation_rad
    _check("rotation", shape.rotation_rad, pattern.rotation, lambda a, b: abs(math.remainder(a - b, math.tau)) < 1e-4)
    direction = patterns.scan_direction(shape)
    pattern.scan_direction = direction
    _check("scan direction", direction, pattern.scan_direction, lambda a, b: a == b)


def _check(name: str, asked: Any, found: Any, is_same: Callable[[Any, Any], bool]) -> None:
    if not is_same(asked, found):
        raise RefusedSettingError(
            f"asked for a pattern with {name} {asked}, the instrument reads back {found}; nothing was milled, look at "
            "the application file and the beam current"
        )


def remaining(drawing: Drawing, skip_s: float) -> Drawing:
    """Return what is left of a drawing after ``skip_s`` of its beam time.

    Most shapes are scanned as a whole many times, so that a part of their depth is left; of a cleaning cross-section
    those lines are left that the scan has not reached. Raises `MillingError` inside a regular cross-section, whose
    staircase no pattern continues, and when the time lies outside the drawing.
    """
    if not 0 <= skip_s <= drawing.total_s * (1 + 1e-6):
        raise MillingError(f"asked to leave out {skip_s:g} s, the pattern takes {drawing.total_s:g} s")
    kept: list[tuple[Shape, str, float]] = []
    before_s = 0.0
    for shape, file, duration_s in zip(drawing.shapes, drawing.files, drawing.durations_s, strict=True):
        done_fraction = min(1.0, max(0.0, (skip_s - before_s) / duration_s))
        before_s += duration_s
        if not _is_done(shape, done_fraction, duration_s):
            kept.append((_rest(shape, done_fraction), file, duration_s * (1 - done_fraction)))
    return replace(
        drawing,
        shapes=tuple(shape for shape, _, _ in kept),
        files=tuple(file for _, file, _ in kept),
        durations_s=tuple(duration_s for _, _, duration_s in kept),
    )


def _is_done(shape: Shape, done_fraction: float, duration_s: float) -> bool:
    """Tell whether nothing is left, or so little that no pattern can hold it."""
    if done_fraction == 0:
        return False
    left_fraction = 1 - done_fraction
    is_thin = (
        isinstance(shape, RectangleShape)
        and shape.cross_section is CrossSection.CLEANING
        and left_fraction * _way_m(shape) < _SMALLEST_REST_M
    )
    return is_thin or left_fraction * duration_s < _SMALLEST_REST_S


def _way_m(shape: RectangleShape) -> float:
    """Return how far the milled line of a cross-section advances."""
    along_x, _ = _DIRECTIONS[shape.scan_direction]
    return shape.width_m if along_x else shape.height_m


def _rest(shape: Shape, done_fraction: float) -> Shape:
    if done_fraction < 1e-9:
        return shape
    if not isinstance(shape, RectangleShape) or shape.cross_section is CrossSection.RECTANGLE:
        return replace(shape, depth_m=shape.depth_m * (1 - done_fraction))
    if shape.cross_section is CrossSection.REGULAR:
        raise MillingError(
            f"asked to go on after {format_quantity(done_fraction * 100, '%')} of a regular cross-section, which "
            "cannot be continued; mill it anew or leave it out"
        )
    along_x, along_y = _DIRECTIONS[shape.scan_direction]
    cos, sin = math.cos(shape.rotation_rad), math.sin(shape.rotation_rad)
    way_m = done_fraction * _way_m(shape) / 2
    step = ImagePoint((along_x * cos - along_y * sin) * way_m, (along_x * sin + along_y * cos) * way_m)
    return replace(
        shape,
        centre=shape.centre + step,
        width_m=shape.width_m * (1 - done_fraction) if along_x else shape.width_m,
        height_m=shape.height_m * (1 - done_fraction) if along_y else shape.height_m,
    )
