"""Milling with DrawBeam: layers, intervals, honest progress and a stop that is confirmed."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from drivers.essence.exposure import Exposure
from drivers.essence.ion import EssenceIonBeam
from drivers.essence.pattern import DrawnShape, dot_layer, drawable, expected_s, layer_of, remaining_shapes
from drivers.essence.ports import DrawBeamPort, Phase
from drivers.essence.settings import DrawBeamSettings
from fibsem_runtime.core import CancelToken, Clock, ImagePoint
from fibsem_runtime.core.errors import FibsemError, HardwareError, InterlockError, MillingError, RefusedSettingError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.hal.devices import MillingProgress, MillingState
from fibsem_runtime.hal.field import outside_field
from fibsem_runtime.hal.shapes import MillingSettings, Shape, ShapeKind

_SAME = 1e-6
"""Relative difference below which two currents or voltages are the same setting."""

_STATES = {
    Phase.EMPTY: MillingState.IDLE,
    Phase.LOADED: MillingState.IDLE,
    Phase.RUNNING: MillingState.RUNNING,
    Phase.PAUSED: MillingState.PAUSED,
}


@dataclass(slots=True, kw_only=True)
class Drawing:
    """What is loaded: ``base_s`` of its beam time was spent before, ``total_s`` is all of it."""

    shapes: list[DrawnShape]
    settings: MillingSettings
    total_s: float
    base_s: float = 0.0
    milled_s: float = 0.0
    was_run: bool = False
    finished: bool = False


@dataclass(kw_only=True)
class EssencePatterning:
    """Mill with the ion beam through one DrawBeam layer at a time."""

    port: DrawBeamPort
    ion: EssenceIonBeam
    clock: Clock
    limits: DrawBeamSettings
    _drawing: Drawing | None = field(default=None, init=False)
    _stop_asked: threading.Event = field(default_factory=threading.Event, init=False)

    @property
    def shape_kinds(self) -> frozenset[ShapeKind]:
        """Return the shapes that can be drawn."""
        return self.port.shape_kinds

    def draw(self, shapes: Sequence[Shape], settings: MillingSettings) -> float:
        """Replace what is drawn and return DrawBeam's estimate; see `fibsem_runtime.hal.devices.Milling`.

        The current is measured first, and the estimate is compared with volume / (rate x current), so that a wrong
        preset or unit mills nothing (milling.md T2, T17).
        """
        self._refuse_unless_idle()
        drawn = drawable(shapes, self.shape_kinds)
        layer = layer_of(drawn, settings, self.limits)
        problem = outside_field(drawn, hfw_m=settings.hfw_m)
        if problem:
            raise MillingError(f"the pattern does not fit its field: {problem}; nothing was drawn")
        self._refuse_other_conditions(settings)
        self.ion.confirm_current()
        self._clear(self.port)
        self.ion.set_field(settings.hfw_m)
        self.port.load(layer)
        total_s = self.port.estimate_s()
        self._check_estimate(total_s, expected_s(drawn, settings))
        self._drawing = Drawing(shapes=drawn, settings=settings, total_s=total_s)
        return total_s

    def run(self, *, duration_s: float | None = None, skip_s: float = 0.0, cancel: CancelToken) -> MillingProgress:
        """Mill for ``duration_s`` of beam time, then pause; see `fibsem_runtime.hal.devices.Milling`.

        An error stops the exposure before it is raised. Raises `BeamError` when the beam trips, `MillingError` when
        DrawBeam ends early or does not start.
        """
        cancel.raise_if_cancelled()
        drawing = self._ready_drawing()
        self._leave_out(drawing, skip_s)
        if duration_s is not None and not duration_s >= 0:
            raise MillingError(f"asked to mill for {duration_s:g} s, it must be 0 s or more")
        until_s = drawing.total_s if duration_s is None else min(drawing.total_s, drawing.milled_s + duration_s)
        if drawing.finished or until_s <= drawing.milled_s:
            return self._progress(drawing)
        exposure = self._exposure(drawing.total_s - drawing.base_s)
        # A frame taken since the drawing or the last pause may have another field.
        self.ion.set_field(drawing.settings.hfw_m)
        # Asked once more immediately before the beam starts (safety.md section 2, fibsem-os #148).
        cancel.raise_if_cancelled()
        self._stop_asked.clear()
        drawing.was_run = True
        try:
            spent_s, ended = exposure.run_until(
                until_s - drawing.base_s, from_s=drawing.milled_s - drawing.base_s, cancel=cancel
            )
        except FibsemError as error:
            self._stop_after(error)
            raise
        drawing.milled_s = drawing.base_s + spent_s
        drawing.finished = ended
        return self._progress(drawing)

    def expose_dot(self, point: ImagePoint, *, duration_s: float, cancel: CancelToken) -> None:
        """Expose one point for ``duration_s``; replaces what is drawn and leaves nothing drawn, on every exit.

        Raises `MillingError` when DrawBeam does not expose it, or not for as long as asked.
        """
        self._refuse_unless_idle()
        self.ion.require_beam("a spot")
        beam = self.ion.settings()
        self._clear(self.port)
        layer = dot_layer(point, duration_s, field_m=beam.hfw_m, current_a=beam.beam_current_a, drawbeam=self.limits)
        self.port.load(layer)
        self._stop_asked.clear()
        exposure = self._exposure(duration_s)
        try:
            # Asked once more immediately before the beam starts.
            cancel.raise_if_cancelled()
            spent_s, ended = exposure.run_until(duration_s, from_s=0.0, cancel=cancel)
        except FibsemError as error:
            self._stop_after(error)
            raise
        self.stop()
        cancel.raise_if_cancelled()
        if not ended:
            raise MillingError(f"the spot was exposed for {spent_s:.1f} of {duration_s:g} s and then stopped")

    def stop(self) -> None:
        """Stop, confirm that DrawBeam is idle and unload the layer; safe to call twice and from any thread.

        Uses a connection of its own when the usual one is held up or lost. Raises `MillingError` when the state read
        back is not idle: a stop is never only asked for (milling.md T5).
        """
        self._stop_asked.set()
        self._drawing = None
        with self.port.urgent() as port:
            _order_stop(port)
            self._confirm_idle(port)
            self._clear(port)

    def state(self) -> MillingState:
        """Read the state of DrawBeam."""
        return _STATES[self.port.status().phase]

    def _exposure(self, layer_s: float) -> Exposure:
        return Exposure(
            port=self.port,
            clock=self.clock,
            limits=self.limits,
            layer_s=layer_s,
            beam_is_on=self.ion.is_on,
            stop_asked=self._stop_asked,
        )

    def _confirm_idle(self, port: DrawBeamPort) -> None:
        deadline_s = self.clock.monotonic_s() + self.limits.stop_timeout_s
        while (phase := port.status().phase) in (Phase.RUNNING, Phase.PAUSED):
            if self.clock.monotonic_s() >= deadline_s:
                raise MillingError(
                    f"milling was stopped but after {self.limits.stop_timeout_s:g} s DrawBeam still says "
                    f"{phase.value}; use the instrument's own stop button"
                )
            self.clock.sleep(0.5)

    def _clear(self, port: DrawBeamPort) -> None:
        """Unload a layer if there is one; unloading nothing is an error of DrawBeam's."""
        self._drawing = None
        if port.status().phase is Phase.LOADED:
            port.unload()

    def _stop_after(self, error: FibsemError) -> None:
        """Stop after an error and keep that error; raise both when the stop fails as well (milling.md T4)."""
        try:
            self.stop()
        except HardwareError as second:
            raise MillingError(f"{error}; and then: {second}; use the instrument's own stop button") from error

    def _refuse_unless_idle(self) -> None:
        state = self.state()
        if state is not MillingState.IDLE:
            raise InterlockError(f"asked to draw a pattern while milling is {state.value}; finish or stop it first")

    def _refuse_other_conditions(self, settings: MillingSettings) -> None:
        beam = self.ion.settings()
        for name, unit, asked, found in (
            ("current", "A", settings.beam_current_a, beam.beam_current_a),
            ("voltage", "V", settings.voltage_v, beam.voltage_v),
        ):
            if not math.isclose(asked, found, rel_tol=_SAME):
                raise RefusedSettingError(
                    f"asked to mill with a {name} of {format_quantity(asked, unit)}, the ion beam has "
                    f"{format_quantity(found, unit)}; set the {name} first, nothing was milled"
                )

    def _ready_drawing(self) -> Drawing:
        drawing = self._drawing
        if drawing is None:
            raise MillingError("asked to mill but nothing is drawn; draw a pattern first")
        self._refuse_other_conditions(drawing.settings)
        self.ion.require_beam("milling")
        return drawing

    def _leave_out(self, drawing: Drawing, skip_s: float) -> None:
        """Replace the layer by what is left of it after ``skip_s``; only before anything of it was milled."""
        if not 0 <= skip_s <= drawing.total_s * (1 + _SAME):
            raise MillingError(f"asked to leave out {skip_s:g} s, the pattern takes {drawing.total_s:g} s")
        if skip_s == 0:
            return
        if drawing.was_run:
            raise MillingError(
                f"asked to leave out {skip_s:g} s after milling has begun; it goes with the first call only"
            )
        left = remaining_shapes(drawing.shapes, skip_s / drawing.total_s)
        drawing.base_s = drawing.milled_s = min(skip_s, drawing.total_s)
        drawing.finished = not left
        if left:
            self.port.unload()
            self.port.load(layer_of(left, drawing.settings, self.limits))

    def _check_estimate(self, found_s: float, wanted_s: float) -> None:
        ratio = self.limits.estimate_tolerance_ratio
        if not wanted_s / ratio <= found_s <= wanted_s * ratio:
            self._clear(self.port)
            raise MillingError(
                f"DrawBeam estimates {found_s:g} s for a pattern that needs {wanted_s:g} s at its current and rate "
                f"(allowed is a factor of {ratio:g}); nothing was milled, check preset, rate and units"
            )

    def _progress(self, drawing: Drawing) -> MillingProgress:
        milled_s = drawing.total_s if drawing.finished else drawing.milled_s
        return MillingProgress(milled_s=milled_s, total_s=drawing.total_s, finished=drawing.finished)


def _order_stop(port: DrawBeamPort) -> None:
    """Order a stop unless nothing is loaded: an engine that was just started says idle for a moment.

    One that is really idle may refuse; one that is about to expose cannot be unloaded afterwards, which is an error.
    One whose state cannot be read counts as exposing: the order goes out first, the state is confirmed afterwards.
    """
    try:
        phase = port.status().phase
    except HardwareError:
        phase = Phase.RUNNING
    if phase is Phase.EMPTY:
        return
    try:
        port.stop()
    except MillingError:
        if phase is not Phase.LOADED:
            raise
