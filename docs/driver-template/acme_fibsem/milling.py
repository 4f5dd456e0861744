"""The patterning engine; it mills rectangles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from acme_fibsem.convert import vendor_errors
from acme_fibsem.memory import MemoryInstrument
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import MillingError, NotSupportedError
from fibsem_runtime.hal import MillingProgress, MillingSettings, MillingState, RectangleShape, Shape, ShapeKind

STEP_S = 0.5
"""How long the engine mills before the cancel token is asked again."""

STATES = {
    "empty": MillingState.IDLE,
    "loaded": MillingState.IDLE,
    "done": MillingState.IDLE,
    "paused": MillingState.PAUSED,
}


@dataclass(kw_only=True)
class AcmeMilling:
    """Implement `fibsem_runtime.hal.Milling`."""

    instrument: MemoryInstrument
    shape_kinds: frozenset[ShapeKind] = frozenset({ShapeKind.RECTANGLE})
    _total_s: float = field(default=0.0, init=False)

    def draw(self, shapes: Sequence[Shape], settings: MillingSettings) -> float:
        """Replace what is drawn and return the estimate: charge (dose times volume) over current."""
        rectangles = [_rectangle_um(shape) for shape in shapes]
        volume_m3 = sum(shape.area_m2 * shape.depth_m for shape in shapes)
        self._total_s = volume_m3 * settings.dose_c_per_m3 / settings.beam_current_a
        with vendor_errors("load the pattern", MillingError):
            self.instrument.pattern_load(rectangles, self._total_s, settings.hfw_m * 1e6)
        return self._total_s

    def run(self, *, duration_s: float | None = None, skip_s: float = 0.0, cancel: CancelToken) -> MillingProgress:
        """Mill for ``duration_s`` of beam time, or all that is left, then pause; a cancelled run stops."""
        cancel.raise_if_cancelled()
        state, milled_s = self.instrument.pattern_state()
        if state not in ("loaded", "paused"):
            raise MillingError("asked to mill while nothing is drawn; draw a pattern first")
        if skip_s and state == "paused":
            raise MillingError(f"asked to leave out {skip_s:g} s of a pattern that has begun; only with the first run")
        with vendor_errors("mill", MillingError):
            if skip_s:
                self.instrument.pattern_skip(skip_s)
                milled_s = skip_s
            end_s = self._total_s if duration_s is None else min(self._total_s, milled_s + duration_s)
            return self._mill_until(end_s, cancel)

    def _mill_until(self, end_s: float, cancel: CancelToken) -> MillingProgress:
        while True:
            state, milled_s = self.instrument.pattern_state()
            if state == "done" or end_s - milled_s <= 1e-9 * self._total_s:
                return self._progress(milled_s, finished=state == "done")
            if cancel.is_cancelled:
                self.stop()
                return self._progress(milled_s, finished=False)
            self.instrument.pattern_run(min(STEP_S, end_s - milled_s))

    def _progress(self, milled_s: float, *, finished: bool) -> MillingProgress:
        return MillingProgress(milled_s=milled_s, total_s=self._total_s, finished=finished)

    def stop(self) -> None:
        """Stop at once and clear the drawing; safe to call twice."""
        with vendor_errors("stop milling", MillingError):
            self.instrument.pattern_clear()

    def state(self) -> MillingState:
        """Read the state of the engine."""
        with vendor_errors("read the state of the engine", MillingError):
            return STATES[self.instrument.pattern_state()[0]]


def _rectangle_um(shape: Shape) -> tuple[float, float, float, float]:
    """Return centre and size as the vendor wants them; what the vendor cannot turn is refused, never left out."""
    if not isinstance(shape, RectangleShape) or shape.rotation_rad:
        raise NotSupportedError(
            f"a {shape.kind.value.lower()} was asked for, this instrument mills upright rectangles; nothing was drawn"
        )
    return (1e6 * shape.centre.x_m, 1e6 * shape.centre.y_m, 1e6 * shape.width_m, 1e6 * shape.height_m)
