"""The patterning engine: what is drawn, what has been milled of it, and milling in steps that follow the drift."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

from drivers.simulator.joints import release
from drivers.simulator.machine import Machine
from drivers.simulator.milling import IonProbe, draw_pattern, probe_for
from drivers.simulator.state import DrawingState
from drivers.simulator.targets import cuts_of, mill_targets, open_targets
from drivers.simulator.welding import rejoin
from fibsem_runtime.core import BeamType, CancelToken
from fibsem_runtime.core.errors import BeamError, MillingError, RefusedSettingError
from fibsem_runtime.core.units import NM, format_quantity
from fibsem_runtime.hal.devices import MillingProgress, MillingState
from fibsem_runtime.hal.field import outside_field
from fibsem_runtime.hal.shapes import MillingSettings, Shape, ShapeKind

_SAME = 1e-6
"""Relative difference below which two currents or voltages are the same setting."""

_TIME_RESOLUTION_S = 1e-9

_STOP_TIMEOUT_S = 60.0
"""Real time in which a sub-step of milling ends on any computer (assumed)."""


class MillingEngine:
    """Mill shapes with the ion beam; one pattern at a time."""

    def __init__(self, machine: Machine) -> None:
        """Serve one machine."""
        self._machine = machine
        self._stop_asked = False
        self._runs_in = 0
        self._is_idle = threading.Event()
        self._is_idle.set()

    def finish_order(self) -> None:
        """Carry out the order that a dead client has left, if there is one."""
        drawing = self._machine.state.drawing
        if drawing is not None and drawing.order_until_s is not None:
            self._execute(drawing, CancelToken())

    @property
    def shape_kinds(self) -> frozenset[ShapeKind]:
        """Return the shapes that can be drawn."""
        return frozenset(ShapeKind)

    def draw(self, shapes: Sequence[Shape], settings: MillingSettings) -> float:
        """Replace what is drawn and return its beam time in seconds; see `fibsem_runtime.hal.devices.Milling`.

        Raises `MillingError` for a pattern outside the field and `RefusedSettingError` when current or voltage differ
        from the beam's; what was drawn before stays.
        """
        self._machine.begin("drawing a pattern")
        self._refuse_other_conditions(settings)
        limits = self._machine.column(BeamType.ION).hfw_limits_m
        if not limits.contains(settings.hfw_m):
            raise RefusedSettingError(
                f"a milling field of {format_quantity(settings.hfw_m, 'm')} was asked for, allowed are "
                f"{format_quantity(limits.low, 'm')} to {format_quantity(limits.high, 'm')}"
            )
        problem = outside_field(shapes, hfw_m=settings.hfw_m)
        if problem:
            raise MillingError(f"the pattern does not fit its field: {problem}; nothing was drawn")
        pattern = draw_pattern(shapes, current_a=settings.beam_current_a, dose_c_per_m3=settings.dose_c_per_m3)
        self._machine.set_hfw(BeamType.ION, settings.hfw_m)
        self._machine.state.drawing = DrawingState(shapes=list(shapes), settings=settings, total_s=pattern.total_s)
        self._machine.save()
        return pattern.total_s

    def run(self, *, duration_s: float | None = None, skip_s: float = 0.0, cancel: CancelToken) -> MillingProgress:
        """Mill for ``duration_s`` of beam time, then pause; see `fibsem_runtime.hal.devices.Milling`.

        A cancelled run stops between two sub-steps and returns the beam time spent, ``finished`` False, so that it
        can be recorded; a token that is cancelled beforehand raises `Cancelled` and nothing is milled.
        """
        cancel.raise_if_cancelled()
        self._machine.begin("milling", while_paused=True)
        drawing = self._ready_drawing()
        from_s = self._start_s(drawing, skip_s)
        if duration_s is not None and not duration_s >= 0:
            raise MillingError(f"milling for {duration_s} s was asked for; give a duration of 0 s or more")
        until_s = drawing.total_s if duration_s is None else min(drawing.total_s, from_s + duration_s)
        drawing.milled_s, drawing.was_run, drawing.order_until_s = from_s, True, until_s
        self._machine.save()
        return self._execute(drawing, cancel)

    def stop(self) -> None:
        """Stop, clear the drawing and be idle; safe to call twice and from another thread while milling runs.

        Raises `MillingError` when milling goes on nevertheless.
        """
        if self._machine.milling_state is MillingState.RUNNING:
            self._stop_asked = True
            if self._runs_in == threading.get_ident():
                return
            if not self._is_idle.wait(_STOP_TIMEOUT_S):
                raise MillingError(f"milling did not stop within {_STOP_TIMEOUT_S:g} s; end the simulator's process")
        self._machine.milling_state = MillingState.IDLE
        if self._machine.state.drawing is not None:
            if self._machine.state.drawing.milled_s < self._machine.state.drawing.total_s:
                self._settle(self._machine.state.drawing)
            self._machine.state.drawing = None
            self._machine.save()

    def state(self) -> MillingState:
        """Read the state of the engine."""
        return self._machine.milling_state

    def _refuse_other_conditions(self, settings: MillingSettings) -> None:
        beam = self._machine.state.ion_beam.settings
        for name, unit, asked, found in (
            ("current", "A", settings.beam_current_a, beam.beam_current_a),
            ("voltage", "V", settings.voltage_v, beam.voltage_v),
        ):
            if not math.isclose(asked, found, rel_tol=_SAME):
                raise RefusedSettingError(
                    f"milling with a {name} of {format_quantity(asked, unit)} was asked for, the ion beam has "
                    f"{format_quantity(found, unit)}; set the {name} first, nothing was milled"
                )

    def _ready_drawing(self) -> DrawingState:
        drawing = self._machine.state.drawing
        if drawing is None:
            raise MillingError("milling was asked for but nothing is drawn; draw a pattern first")
        self._refuse_other_conditions(drawing.settings)
        beam = self._machine.state.ion_beam
        if not beam.is_on or beam.is_blanked:
            raise BeamError(
                f"milling was asked for but the ion beam is {'blanked' if beam.is_on else 'off'}; nothing was milled"
            )
        return drawing

    def _start_s(self, drawing: DrawingState, skip_s: float) -> float:
        if drawing.was_run and skip_s:
            raise MillingError(
                f"leaving out {skip_s:g} s was asked for after milling has begun; it goes with the first call only"
            )
        if not 0 <= skip_s <= drawing.total_s * (1 + _SAME):
            raise MillingError(f"leaving out {skip_s:g} s was asked for, the pattern takes {drawing.total_s:g} s")
        return drawing.milled_s if drawing.was_run else min(skip_s, drawing.total_s)

    def _execute(self, drawing: DrawingState, cancel: CancelToken) -> MillingProgress:
        """Carry out the order that is on disk and save what it has done."""
        machine = self._machine
        machine.milling_state, self._stop_asked, self._runs_in = MillingState.RUNNING, False, threading.get_ident()
        self._is_idle.clear()
        try:
            self._mill(drawing, cancel)
        finally:
            machine.milling_state = MillingState.PAUSED
            try:
                progress = self._finish(drawing)
            finally:
                self._is_idle.set()
        return progress

    def _mill(self, drawing: DrawingState, cancel: CancelToken) -> None:
        """Mill up to the end of the order in sub-steps, each seen from where the sample has drifted to."""
        machine, settings = self._machine, drawing.settings
        until_s = drawing.order_until_s or 0.0
        pattern = draw_pattern(drawing.shapes, current_a=settings.beam_current_a, dose_c_per_m3=settings.dose_c_per_m3)
        probe = probe_for(settings.beam_current_a, machine.settings.probe)
        targets = open_targets(machine, drawing, pattern, probe)
        before = [machine.processes.before_milling(target.cuts) for target in targets]
        while until_s - drawing.milled_s > _TIME_RESOLUTION_S and not (cancel.is_cancelled or self._stop_asked):
            next_s = min(until_s, drawing.milled_s + self._substep_s(probe))
            half_s = (next_s - drawing.milled_s) / 2
            machine.spend(half_s)
            view = machine.view(BeamType.ION)
            mill_targets(machine, targets, pattern, probe, from_s=drawing.milled_s, until_s=next_s)
            machine.spend(half_s)
            charge_c = settings.beam_current_a * (next_s - drawing.milled_s)
            machine.processes.milled(machine.state.processes, machine.base, view, charge_c)
            drawing.milled_s = next_s
        for target, old in zip(targets, before, strict=True):
            machine.save_changed(machine.processes.after_milling(target.body.sample, target.cuts, old))

    def _settle(self, drawing: DrawingState) -> None:
        """Let fall what the pattern has cut loose."""
        world = self._machine.world
        rejoin(self._machine, drawing)
        for drawn in drawing.cuts:
            body = world.bodies[drawn.body]
            if not body.is_lost:
                self._machine.settle(body, cuts_of(body, drawn))
        # A joint whose piece has just come apart may hang on what is only dust.
        release(self._machine)

    def _look_at_result(self, drawing: DrawingState) -> None:
        """Let the processes know what stands in the middle of a finished pattern."""
        machine, view = self._machine, self._machine.view(BeamType.ION)
        boxes = [shape.box.centre for shape in drawing.shapes]
        x_m, y_m = (sum(getattr(centre, name) for centre in boxes) / len(boxes) for name in ("x_m", "y_m"))
        middle = view.origin + x_m * view.right + y_m * view.up
        on_film = middle - view.direction * (middle[2] / view.direction[2])
        now_s = machine.clock.monotonic_s()
        for drawn in drawing.cuts:
            body = machine.world.bodies[drawn.body]
            machine.processes.finished_milling(machine.state.processes, body, on_film, view, now_s=now_s)

    def _substep_s(self, probe: IonProbe) -> float:
        """Return how long the beam may mill before the motion of the sample matters."""
        machine, numerics = self._machine, self._machine.settings.milling
        allowed_m = max(numerics.max_drift_nm * NM, numerics.max_drift_probe_fraction * probe.sigma_m)
        rate = machine.disturbances.drift_rate_m_per_s(machine.state.stage, machine.clock.monotonic_s())
        view = machine.view(BeamType.ION)
        rate += machine.processes.speed_m_per_s(machine.state.processes, machine.base, view, probe.current_a)
        return min(numerics.max_duration_s, allowed_m / rate) if rate > 0 else numerics.max_duration_s

    def _finish(self, drawing: DrawingState) -> MillingProgress:
        """Save what the order has milled and return it; an emergency stop clears the drawing."""
        machine = self._machine
        drawing.order_until_s = None
        finished = drawing.total_s - drawing.milled_s <= _TIME_RESOLUTION_S
        if finished:
            drawing.milled_s = drawing.total_s
        if finished or self._stop_asked:
            machine.milling_state = MillingState.IDLE
        for drawn in drawing.cuts:
            machine.save_cuts(drawn.body, drawn.first_cut, drawn.cut_count)
        if finished or self._stop_asked:
            self._settle(drawing)
        if finished:
            self._look_at_result(drawing)
        if self._stop_asked:
            machine.state.drawing = None
        machine.save()
        return MillingProgress(milled_s=drawing.milled_s, total_s=drawing.total_s, finished=finished)
