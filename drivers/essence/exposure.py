"""One stretch of exposure: start or resume, watch, pause in time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from drivers.essence.ports import DrawBeamPort, EngineStatus, Phase
from drivers.essence.settings import DrawBeamSettings
from fibsem_runtime.core import CancelToken, Clock
from fibsem_runtime.core.errors import BeamError, HardwareError, MillingError

_SHORT_S = 1.0
_SHORT_FRACTION = 0.02
"""How much earlier than announced an exposure may end and still count as finished (assumed)."""

_START_POLL_S = 0.1


@dataclass(kw_only=True)
class Exposure:
    """Beam time of the loaded layer, which takes ``layer_s`` in our count.

    DrawBeam's own total while it runs may differ from the estimate that it gave; its elapsed time is scaled, so that
    progress is a share of the whole and never more than all of it.
    """

    port: DrawBeamPort
    clock: Clock
    limits: DrawBeamSettings
    layer_s: float
    beam_is_on: Callable[[], bool]
    stop_asked: threading.Event

    def run_until(self, until_s: float, *, from_s: float, cancel: CancelToken) -> tuple[float, bool]:
        """Expose from ``from_s`` until ``until_s`` and return the beam time spent and whether the layer is finished."""
        status = self._begin(from_s)
        spent_s, seen_at_s = from_s, self.clock.monotonic_s()
        deadline_s = seen_at_s + 2 * (until_s - from_s) + self.limits.start_timeout_s
        while status.phase is Phase.RUNNING:
            spent_s, seen_at_s = self._spent_s(status), self.clock.monotonic_s()
            if not self.beam_is_on():
                raise BeamError(
                    f"the ion beam went off while milling, after {spent_s:.1f} of {self.layer_s:.1f} s; what is milled "
                    "is less than that: look at the ion column, then at the sample"
                )
            if seen_at_s > deadline_s:
                raise MillingError(
                    f"milling stands at {spent_s:.1f} of {self.layer_s:.1f} s after twice its time; look at DrawBeam"
                )
            if cancel.is_cancelled or (spent_s >= until_s and until_s < self.layer_s):
                return self._pause(spent_s)
            self.clock.sleep(self._wait_s(until_s - spent_s))
            status = self.port.status()
        if self.stop_asked.is_set():
            return spent_s, False
        return self._ended(status, spent_s, seen_at_s)

    def _begin(self, from_s: float) -> EngineStatus:
        if self.port.status().phase is Phase.PAUSED:
            self.port.resume()
        else:
            self.port.start()
        deadline_s = self.clock.monotonic_s() + self.limits.start_timeout_s
        while True:
            status = self.port.status()
            # A short layer may have ended before anybody looked: idle with all of its time elapsed.
            if status.phase is Phase.RUNNING or (status.total_s > 0 and self._is_whole(self._spent_s(status))):
                return status
            if self.clock.monotonic_s() >= deadline_s:
                raise MillingError(
                    f"milling did not start within {self.limits.start_timeout_s:g} s, DrawBeam says "
                    f"{status.phase.value}; {from_s:.1f} s are milled, look at DrawBeam for a message"
                )
            self.clock.sleep(_START_POLL_S)

    def _spent_s(self, status: EngineStatus) -> float:
        if status.total_s <= 0:
            return 0.0
        return min(1.0, status.elapsed_s / status.total_s) * self.layer_s

    def _wait_s(self, left_s: float) -> float:
        return min(self.limits.poll_s, max(left_s, 0.01))

    def _pause(self, spent_s: float) -> tuple[float, bool]:
        """Pause and return what is spent then; a layer that ended in the same moment is finished."""
        try:
            self.port.pause()
        except HardwareError:
            if self.port.status().phase is not Phase.LOADED:
                raise
        status = self.port.status()
        if status.phase is Phase.PAUSED:
            return max(spent_s, self._spent_s(status)), False
        if status.phase is Phase.RUNNING:
            raise MillingError("milling was paused but DrawBeam still says exposing; use the instrument's stop button")
        return self._ended(status, spent_s, self.clock.monotonic_s())

    def _ended(self, status: EngineStatus, spent_s: float, seen_at_s: float) -> tuple[float, bool]:
        """Believe an end only when all of the time can have been spent; else somebody or something ended it."""
        if self._is_whole(max(spent_s + self.clock.monotonic_s() - seen_at_s, self._spent_s(status))):
            return self.layer_s, True
        raise MillingError(
            f"DrawBeam ended after {spent_s:.1f} of {self.layer_s:.1f} s without finishing; look at the sample and at "
            "DrawBeam's messages"
        )

    def _is_whole(self, spent_s: float) -> bool:
        return spent_s >= self.layer_s - min(_SHORT_S, max(0.2, _SHORT_FRACTION * self.layer_s))
