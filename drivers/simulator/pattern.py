"""A drawn pattern: which part of it the beam doses at which moment of its beam time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from fibsem_runtime.core.errors import MillingError
from fibsem_runtime.hal.shapes import CrossSection, RectangleShape, Shape

STAIRCASE_STEP_COUNT: Final = 10
"""Steps of a regular cross-section (assumed; vendors call it the multi-scan pass count, milling.md section 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """Uniform dose on a strip of one shape.

    The strip runs from ``start_fraction`` to ``end_fraction`` of the way that the milled line travels (0 where it
    starts, 1 at the face).
    """

    shape_index: int
    start_fraction: float
    end_fraction: float
    charge_c_per_m2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPattern:
    """Shapes in milling order, one after the other, with the beam time of each."""

    shapes: tuple[Shape, ...]
    current_a: float
    dose_c_per_m3: float
    durations_s: tuple[float, ...]

    @property
    def total_s(self) -> float:
        """Return the beam time of all shapes."""
        return sum(self.durations_s)

    def strokes(self, from_s: float, until_s: float) -> Iterator[Stroke]:
        """Yield what is dosed between two moments of the beam time; `MillingError` when they lie outside it."""
        if not -1e-9 <= from_s <= until_s <= self.total_s * (1 + 1e-9) + 1e-9:
            raise MillingError(
                f"asked to mill from {from_s:g} s to {until_s:g} s, the drawn pattern lasts {self.total_s:g} s"
            )
        starts_s = accumulate(self.durations_s[:-1], initial=0.0)
        for index, (start_s, duration_s) in enumerate(zip(starts_s, self.durations_s, strict=True)):
            begin = max(0.0, (from_s - start_s) / duration_s)
            end = min(1.0, (until_s - start_s) / duration_s)
            if end > begin:
                yield from self._shape_strokes(index, begin, end)

    def _shape_strokes(self, index: int, begin_fraction: float, end_fraction: float) -> Iterator[Stroke]:
        shape = self.shapes[index]
        charge_c_per_m2 = shape.depth_m * self.dose_c_per_m3
        cross_section = _cross_section(shape)
        if cross_section is CrossSection.CLEANING:
            yield _stroke(index, begin_fraction, end_fraction, charge_c_per_m2)
        elif cross_section is CrossSection.REGULAR:
            yield from _staircase(index, begin_fraction, end_fraction, charge_c_per_m2)
        else:
            yield _stroke(index, 0.0, 1.0, charge_c_per_m2 * (end_fraction - begin_fraction))


def draw_pattern(shapes: Sequence[Shape], *, current_a: float, dose_c_per_m3: float) -> DrawnPattern:
    """Lay out the beam time of ``shapes``: area x depth x ``dose_c_per_m3`` / current each (milling.md section 7).

    A shape is scanned as a whole many times, evenly over its time. A cleaning cross-section is milled line by line
    towards the face, each line to its full dose. A regular cross-section is a staircase: every pass reaches from one
    step to the face, which alone receives the full depth, so that it needs about half the time (assumed).
    Raises `MillingError` for an empty pattern and for values that are not above zero.
    """
    if not shapes:
        raise MillingError("nothing to mill: the pattern has no shape")
    if current_a <= 0 or dose_c_per_m3 <= 0:
        raise MillingError(
            f"milling needs a current and a dose above zero, got {current_a:g} A and {dose_c_per_m3:g} C/m³"
        )
    for shape in shapes:
        if min(shape.area_m2, shape.depth_m) <= 0:
            raise MillingError(f"a shape needs a size and a depth above 0 m, got {shape}")
    return DrawnPattern(
        shapes=tuple(shapes),
        current_a=current_a,
        dose_c_per_m3=dose_c_per_m3,
        durations_s=tuple(
            _duration_ratio(shape) * shape.area_m2 * shape.depth_m * dose_c_per_m3 / current_a for shape in shapes
        ),
    )


def _cross_section(shape: Shape) -> CrossSection:
    """Return how a shape is milled; all but rectangles as a whole."""
    return shape.cross_section if isinstance(shape, RectangleShape) else CrossSection.RECTANGLE


def _duration_ratio(shape: Shape) -> float:
    steps = STAIRCASE_STEP_COUNT
    return (steps + 1) / (2 * steps) if _cross_section(shape) is CrossSection.REGULAR else 1.0


def _stroke(index: int, start_fraction: float, end_fraction: float, charge_c_per_m2: float) -> Stroke:
    return Stroke(
        shape_index=index, start_fraction=start_fraction, end_fraction=end_fraction, charge_c_per_m2=charge_c_per_m2
    )


def _staircase(index: int, begin_fraction: float, end_fraction: float, charge_c_per_m2: float) -> Iterator[Stroke]:
    """Yield the passes of a staircase; pass k starts at k / steps of the way and takes time by its area."""
    steps = STAIRCASE_STEP_COUNT
    whole = steps * (steps + 1) / 2
    done = 0.0
    for step in range(steps):
        share = (steps - step) / whole
        part = min(1.0, (end_fraction - done) / share) - max(0.0, (begin_fraction - done) / share)
        if part > 0:
            yield _stroke(index, step / steps, 1.0, part * charge_c_per_m2 / steps)
        done += share
