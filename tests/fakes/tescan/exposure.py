"""DrawBeam of the fake: a layer on the simulator's patterning engine, in the states of vendor-tescan.md A5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from fibsem_runtime.core import CancelToken
from fibsem_runtime.hal import Microscope, MillingSettings, Shape
from tescan.timing import LazyClock


class EngineState(Enum):
    """States of DrawBeam, with the numbers of SharkSEM."""

    NONE = 0
    IDLE = 1
    RUNNING = 2
    PAUSED = 3


class Refused(Exception):
    """What the instrument refuses to do now."""


@dataclass
class Engine:
    """One layer at a time. ``trip_at_s`` is the beam time at which the ion beam fails."""

    simulator: Microscope
    clock: LazyClock
    beam_off: Callable[[], None]
    state: EngineState = EngineState.NONE
    total_s: float = 0.0
    milled_s: float = 0.0
    trip_at_s: float | None = None
    start_delay_s: float = 0.2
    never_starts: bool = False
    ignores_stop: bool = False
    estimate_ratio: float = 1.0
    begins_at_s: float = field(default=0.0)
    is_dot: bool = False

    def load(self, shapes: Sequence[Shape], *, field_m: float, rate_m3_per_c: float) -> None:
        """Load a layer; the beam that mills is the active preset's, whatever the layer says."""
        if self.state is not EngineState.NONE:
            raise Refused("Invalid request")
        beam = self.simulator.ion_beam.settings()
        settings = MillingSettings(
            beam_current_a=beam.beam_current_a,
            voltage_v=beam.voltage_v,
            hfw_m=field_m,
            application="layer",
            dose_c_per_m3=1 / rate_m3_per_c,
        )
        self.total_s = self.simulator.milling.draw(shapes, settings)
        self.is_dot = False
        self.milled_s = 0.0
        self.state = EngineState.IDLE

    def load_dot(self, duration_s: float) -> None:
        """Load a timed dot; it takes its time and burns nothing that the simulator shows."""
        if self.state is not EngineState.NONE:
            raise Refused("Invalid request")
        self.total_s, self.milled_s, self.is_dot, self.state = duration_s, 0.0, True, EngineState.IDLE

    def unload(self) -> None:
        """Unload; raises when nothing is loaded or while exposing."""
        self.settle()
        if self.state in (EngineState.NONE, EngineState.RUNNING):
            raise Refused("Invalid request")
        self.simulator.milling.stop()
        self.state, self.total_s, self.milled_s = EngineState.NONE, 0.0, 0.0

    def estimate_s(self) -> float:
        """Return the time of the loaded layer."""
        if self.state is EngineState.NONE:
            raise Refused("Invalid request")
        return self.total_s * self.estimate_ratio

    def start(self) -> None:
        """Begin; the state follows a moment later."""
        if self.state is not EngineState.IDLE:
            raise Refused("Invalid request")
        self.settle()
        if not self.never_starts:
            self.state = EngineState.RUNNING
            self.begins_at_s = self.clock.monotonic_s() + self.start_delay_s

    def pause(self) -> None:
        """Interrupt; raises when nothing is exposed (the layer may have ended meanwhile)."""
        self.settle()
        if self.state is not EngineState.RUNNING:
            raise Refused("Invalid request")
        self.state = EngineState.PAUSED

    def resume(self) -> None:
        """Go on."""
        if self.state is not EngineState.PAUSED:
            raise Refused("Invalid request")
        self.settle()
        self.state, self.begins_at_s = EngineState.RUNNING, self.clock.monotonic_s()

    def stop(self) -> None:
        """End the exposure; the layer stays loaded."""
        self.settle()
        if self.state in (EngineState.RUNNING, EngineState.PAUSED) and not self.ignores_stop:
            self.state = EngineState.IDLE

    def status(self) -> tuple[EngineState, float, float]:
        """Return state, total and elapsed seconds; the total is 0 until running."""
        if self.state is EngineState.RUNNING and self._left_s() <= self._exposed_s():
            self.settle()
        if self.state is EngineState.RUNNING and self.clock.monotonic_s() < self.begins_at_s:
            return EngineState.IDLE if self.milled_s == 0 else EngineState.PAUSED, 0.0, 0.0
        if self.milled_s == 0 and self.state is not EngineState.RUNNING:
            return self.state, 0.0, 0.0
        return self.state, self.total_s, self.milled_s + self._exposed_s()

    def settle(self) -> None:
        """Carry out what has been exposed since somebody last looked, then let the rest of the time pass."""
        self.clock.settle(self._spend)

    def _spend(self, duration_s: float) -> None:
        started_s = self.clock.monotonic_s()
        before_s = min(duration_s, max(0.0, self.begins_at_s - started_s))
        self.simulator.clock.sleep(before_s)
        left_s = duration_s - before_s
        if self.state is EngineState.RUNNING and left_s > 0:
            exposed_s = min(left_s, self._left_s())
            if exposed_s > 0:
                self._expose(exposed_s)
                self.milled_s += exposed_s
                left_s -= exposed_s
            if self.trip_at_s is not None and self.milled_s >= self.trip_at_s:
                self.beam_off()
            elif self._left_s() <= 1e-9:
                self.state = EngineState.IDLE
        self.simulator.clock.sleep(left_s)

    def _expose(self, duration_s: float) -> None:
        if self.is_dot:
            self.simulator.clock.sleep(duration_s)
        else:
            self.simulator.milling.run(duration_s=duration_s, cancel=CancelToken())

    def _left_s(self) -> float:
        end_s = self.total_s if self.trip_at_s is None else min(self.total_s, self.trip_at_s)
        return max(0.0, end_s - self.milled_s)

    def _exposed_s(self) -> float:
        if self.state is not EngineState.RUNNING:
            return 0.0
        since_s = max(0.0, min(self.clock.pending_s, self.clock.monotonic_s() - self.begins_at_s))
        return min(since_s, self._left_s())
