"""Classify each feature of a decision when it is written, never later (detection.md section 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

from fibsem_runtime.core import ImagePoint, PixelPoint
from fibsem_runtime.corrections.tolerances import tolerance_m
from fibsem_runtime.events import CorrectionClass, Decision

CLASSES: Final[tuple[CorrectionClass, ...]] = get_args(CorrectionClass)
"""All classes, in the order of detection.md section 10."""

CHANGED: Final[frozenset[CorrectionClass]] = frozenset(
    {"adjusted", "corrected", "wrong_instance", "missed", "spurious"}
)
"""Classes in which a person changed what was proposed; these are counted as corrections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One feature as proposed and as decided; ``rivals`` are its points on the other instances in the image.

    ``pixel_size_m`` is None when the image has no scale or no hash: nothing is measured on it then.
    """

    feature: str
    predicted: PixelPoint | None
    decided: PixelPoint | None
    rivals: Sequence[PixelPoint]
    pixel_size_m: float | None

    @property
    def delta(self) -> ImagePoint | None:
        """Return decided minus predicted in metres, y up; None when one of them or the scale is missing."""
        if self.predicted is None or self.decided is None or self.pixel_size_m is None:
            return None
        return _offset(self.predicted, self.decided, self.pixel_size_m)


def classify(compared: Comparison, decision: Decision) -> CorrectionClass:
    """Return the class of one feature."""
    if compared.pixel_size_m is None:
        return "invalid"
    rejected = decision.action == "reject"
    if not decision.reviewed:
        return "refused" if rejected else "unreviewed"
    if rejected:
        return "refused" if compared.predicted is None else "spurious"
    return _classify_reviewed(compared, compared.pixel_size_m)


def _classify_reviewed(compared: Comparison, pixel_size_m: float) -> CorrectionClass:
    if compared.decided == compared.predicted:
        return "confirmed"
    if compared.predicted is None or compared.decided is None:
        return "missed" if compared.predicted is None else "spurious"
    moved_m = _offset(compared.predicted, compared.decided, pixel_size_m).length_m
    if moved_m <= tolerance_m(compared.feature):
        return "adjusted"
    nearest_rival_m = min(
        (_offset(rival, compared.decided, pixel_size_m).length_m for rival in compared.rivals), default=moved_m
    )
    return "wrong_instance" if nearest_rival_m < moved_m else "corrected"


def _offset(start: PixelPoint, end: PixelPoint, pixel_size_m: float) -> ImagePoint:
    return ImagePoint((end.x_px - start.x_px) * pixel_size_m, (start.y_px - end.y_px) * pixel_size_m)
