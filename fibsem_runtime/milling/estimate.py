"""How long a stage occupies the instrument: beam time plus what happens around it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fibsem_runtime.milling.stage import MillingStage


@dataclass(frozen=True, slots=True, kw_only=True)
class Overheads:
    """Time around the beam time; defaults are p90 measured on one ThermoFisher instrument (milling.md section 7)."""

    current_change_s: float = 20.5
    alignment_frame_s: float = 0.85
    auto_contrast_s: float = 1.7
    frame_count: int = 4

    @property
    def alignment_s(self) -> float:
        """Return the duration of one alignment at one current: contrast, reference and three steps."""
        return self.auto_contrast_s + self.frame_count * self.alignment_frame_s


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeEstimate:
    """Beam time and overhead, kept apart because only the first is dose."""

    beam_s: float
    overhead_s: float

    @property
    def total_s(self) -> float:
        """Return both together."""
        return self.beam_s + self.overhead_s


def estimate_time(stages: Iterable[MillingStage], *, overheads: Overheads | None = None) -> TimeEstimate:
    """Estimate the enabled stages, each with a change of current and back and an alignment before every interval."""
    costs = overheads or Overheads()
    beam_s = overhead_s = 0.0
    for stage in stages:
        if not stage.enabled:
            continue
        stage_s = stage.beam_time_s()
        alignment_count = math.ceil(stage_s / stage.realign_interval_s) if stage.realign_interval_s else 1
        beam_s += stage_s
        overhead_s += 2 * costs.current_change_s + alignment_count * costs.alignment_s
    return TimeEstimate(beam_s=beam_s, overhead_s=overhead_s)
