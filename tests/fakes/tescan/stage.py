"""The stage of the fake: mm and degrees, slow, sometimes short of its target."""

from __future__ import annotations

from dataclasses import dataclass, field

from fibsem_runtime.core import CancelToken
from fibsem_runtime.hal import Microscope
from tescan.exposure import Engine, Refused
from tescan.kinematics import Axes, to_simulator

MOVE_S = 8.0
REFRESH_S = 0.5
"""How long a move takes (milling.md section 7), and how often the position is refreshed (vendor-tescan.md B4)."""


SETTLING_S = 1.8
"""How long a stage settles (assumed; it may take 5 s, B6)."""


@dataclass(kw_only=True)
class Stage:
    """Five axes; ``limits`` are min, max pairs in the order of the axes."""

    simulator: Microscope
    engine: Engine
    limits: tuple[tuple[float, float], ...]
    eucentric_z_mm: float
    axes: Axes
    is_calibrated: bool = True
    stops_short_by_mm: float = 0.0
    settles_from_mm: float = 0.0
    """How far off in x it still stands for `SETTLING_S` after a move that has ended."""
    moves: list[Axes] = field(default_factory=list)
    _start: Axes = (0.0, 0.0, 0.0, 0.0, 0.0)
    _target: Axes | None = None
    _started_s: float = 0.0
    _settled_at_s: float = 0.0

    def place(self) -> None:
        """Bring the simulated sample to where the axes are."""
        self.engine.settle()
        target = to_simulator(
            self.axes, eucentric_z_mm=self.eucentric_z_mm, simulator_z_m=self.simulator.chain.eucentric_z_m
        )
        if target != self.simulator.stage.position():
            self.simulator.stage.move_to(target, cancel=CancelToken())

    def begin(self, values: list[float | None]) -> None:
        """Start a move; None keeps an axis. An uncalibrated stage ignores it (K7)."""
        if not self.is_calibrated:
            return
        target = [self.axes[i] if value is None else round(value, 6) for i, value in enumerate(values)]
        for value, (low, high) in zip(target, self.limits, strict=True):
            if not low <= value <= high:
                raise Refused("position out of range")
        if self.stops_short_by_mm:
            target[0] -= self.stops_short_by_mm
        self.moves.append(tuple(target))  # type: ignore[arg-type]
        self._start, self._target = self.axes, tuple(target)  # type: ignore[assignment]
        self._started_s = self.engine.clock.monotonic_s()
        self._settled_at_s = self._started_s + MOVE_S + SETTLING_S

    def is_busy(self) -> bool:
        """Tell whether a move is under way."""
        self._advance()
        return self._target is not None

    def finish(self) -> None:
        """Block until the move has ended."""
        if self._target is not None:
            self.engine.clock.sleep(max(0.0, self._started_s + MOVE_S - self.engine.clock.monotonic_s()))
        self._advance()

    def stop(self) -> None:
        """Stop where it is."""
        self._advance()
        if self._target is not None:
            self._target = None
            self.place()

    def position(self) -> Axes:
        """Return the axes; refreshed every half second while moving (K8)."""
        self._advance()
        is_settling = self.engine.clock.monotonic_s() < self._settled_at_s
        return (self.axes[0] + self.settles_from_mm * is_settling, *self.axes[1:])

    def _advance(self) -> None:
        if self._target is None:
            return
        passed_s = self.engine.clock.monotonic_s() - self._started_s
        if passed_s >= MOVE_S - 1e-9:
            self.axes, self._target = self._target, None
            self.place()
            return
        share = (passed_s // REFRESH_S) * REFRESH_S / MOVE_S
        self.axes = tuple(  # type: ignore[assignment]
            round(a + share * (b - a), 6) for a, b in zip(self._start, self._target, strict=True)
        )
