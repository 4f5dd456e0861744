"""The stage: encoders that are obeyed to the letter and a sample that follows less exactly."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from drivers.simulator.machine import Machine, as_triple
from fibsem_runtime.core import CancelToken, StagePosition
from fibsem_runtime.core.errors import InterlockError, StageLimitError
from fibsem_runtime.core.units import format_angle
from fibsem_runtime.hal.devices import StageLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedStage:
    """Five axes with enforced limits; a move takes its time, renews the recall error and starts settling anew."""

    machine: Machine

    @property
    def limits(self) -> StageLimits:
        """Return the limits that `move_to` enforces."""
        return self.machine.settings.stage.limits()

    def position(self) -> StagePosition:
        """Read the encoders; where the sample really is they do not know."""
        return self.machine.state.stage.position

    def move_to(self, target: StagePosition, *, cancel: CancelToken) -> StagePosition:
        """Go to ``target`` and return the encoders.

        Raises `StageLimitError` outside the limits and `InterlockError` while a pattern is running or paused or the
        manipulator is inserted; the stage has not moved then.
        """
        cancel.raise_if_cancelled()
        self.machine.begin("a stage move")
        refuse_beyond_limits(target, self.limits)
        needle = self.machine.state.world.needle
        if needle is not None and needle.is_inserted:
            raise InterlockError("a stage move was asked for while the manipulator is inserted; retract it first")
        machine, stage = self.machine, self.machine.state.stage
        machine.spend(machine.settings.timing.stage_move_s)
        now_s = machine.clock.monotonic_s()
        stage.recall_error_m = as_triple(machine.disturbances.recall_error_m(stage, target))
        stage.settled_m = as_triple(machine.disturbances.settled_m(stage, now_s))
        stage.position, stage.moved_at_s = target, now_s
        stage.move_count += 1
        machine.save()
        return self.position()


def refuse_beyond_limits(target: StagePosition, limits: StageLimits) -> None:
    """Raise `StageLimitError` naming the first axis whose target is not within its limits."""
    for axis, value in asdict(target).items():
        allowed = getattr(limits, axis)
        if not allowed.contains(value):
            name = axis.split("_")[0]
            low, high, asked = (_format_axis(axis, number) for number in (allowed.low, allowed.high, value))
            raise StageLimitError(
                f"stage {name} = {asked} was asked for, allowed are {low} to {high}; the stage has not moved, "
                "choose a target inside the limits"
            )


def _format_axis(axis: str, value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    return format_angle(value) if axis.endswith("_rad") else f"{value * 1e3:.3f} mm"
