"""The patterning engine of the ion beam.

AutoScript tells whether it mills, not how far it is: beam time is what passes on the driver's clock between the moment
the engine says that it runs and the moment it is told to pause, and counts as whole only when the engine ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from drivers.thermofisher import convert
from drivers.thermofisher.conditions import condition_problem, set_field
from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.drawing import Drawing, draw_patterns, plan, remaining
from drivers.thermofisher.settings import ThermoFisherSettings
from drivers.thermofisher.views import Column, select
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.core.errors import BeamError, HardwareError, MillingError, NotSupportedError
from fibsem_runtime.core.units import format_duration
from fibsem_runtime.hal.devices import MillingProgress, MillingState
from fibsem_runtime.hal.shapes import MillingSettings, Shape, ShapeKind

T = TypeVar("T")

ION_BEAM_INDEX: Final = 2
"""The ion beam as ``set_default_beam_type`` counts (vendor-thermofisher.md sections 1 and 13)."""

_STATE_POLL_S: Final = 0.1
"""How often a change of state is looked for: the accuracy of the beam time."""
_START_DELAY_S: Final = 2.0
"""How long an engine that was started may say that it is idle (assumed)."""
_MILL_POLL_S: Final = 1.0
"""How often milling is looked at: how long a cancelled run goes on at most."""
_OVERTIME_RATIO, _OVERTIME_S = 1.2, 30.0
"""Beam time over the estimate after which milling counts as hung (assumed)."""
_SHORT_RATIO, _SHORT_S = 0.9, 1.0
"""Beam time short of the estimate that a pattern ending by itself may have (assumed; more means that it was ended)."""
_SHORTEST_OBSERVED_S: Final = 2.0
"""Patterns that take less are run by one blocking call: they might end before they are seen to run (assumed)."""


@dataclass(slots=True, kw_only=True)
class Run:
    """One drawing and its beam time, that of an earlier, interrupted run included."""

    drawing: Drawing
    total_s: float
    milled_s: float = 0.0
    was_started: bool = False
    is_finished: bool = False

    def progress(self) -> MillingProgress:
        """Return the beam time so far."""
        return MillingProgress(milled_s=self.milled_s, total_s=self.total_s, finished=self.is_finished)


@dataclass(slots=True, kw_only=True)
class ThermoFisherMilling:
    """Draw, mill in intervals, stop from any thread."""

    connection: Connection
    config: ThermoFisherSettings
    column: Column
    clock: Clock
    has_polygons: bool
    _run: Run | None = field(default=None, init=False)
    _stop_asked: threading.Event = field(default_factory=threading.Event, init=False)

    @property
    def shape_kinds(self) -> frozenset[ShapeKind]:
        """Return the shapes that can be drawn; polygons came with AutoScript 4.12 (FOS:3961)."""
        return frozenset(ShapeKind) - (frozenset() if self.has_polygons else {ShapeKind.POLYGON})

    def draw(self, shapes: Sequence[Shape], settings: MillingSettings) -> float:
        """Replace what is drawn and return the instrument's estimate; see `fibsem_runtime.hal.devices.Milling`.

        Raises `NotSupportedError` for a shape that this AutoScript has not, `MillingError` for what cannot be milled
        as asked and `RefusedSettingError` when current or voltage differ from the beam's, all before anything is drawn;
        when drawing fails nothing stays drawn.
        """
        for shape in shapes:
            if shape.kind not in self.shape_kinds:
                raise NotSupportedError(
                    f"a {shape.kind.value.lower()} was asked for, this AutoScript is older than 4.12 and mills none; "
                    "nothing was drawn"
                )
        drawing = plan(shapes, settings, self.config)
        self._run = None
        self._on_ion_view(
            "check the beam before drawing", lambda client: self._refuse_other_conditions(client, drawing)
        )
        estimate_s = self._draw(drawing)
        self._run = Run(drawing=drawing, total_s=estimate_s)
        return estimate_s

    def run(self, *, duration_s: float | None = None, skip_s: float = 0.0, cancel: CancelToken) -> MillingProgress:
        """Mill for ``duration_s`` of beam time, then pause; see `fibsem_runtime.hal.devices.Milling`.

        Raises `MillingError` when milling does not start, ends before its time or goes on long after it, `BeamError`
        when the beam is off, blanked or trips.
        """
        cancel.raise_if_cancelled()
        run = self._ready(duration_s, skip_s)
        left_s = run.total_s - run.milled_s
        until_s = left_s if duration_s is None else min(left_s, duration_s)
        if not run.is_finished and until_s > 0:
            self._stop_asked.clear()
            self._on_ion_view("check the beam before milling", lambda c: self._refuse_without_beam(c, run.drawing))
            cancel.raise_if_cancelled()
            self._mill(run, until_s, cancel)
        return run.progress()

    def stop(self) -> None:
        """Stop, confirm that the engine is idle and clear the drawing; safe to call twice and from any thread.

        The order is given whatever the engine says, because it says idle for a moment after it was started, and
        whatever view is active. Raises `MillingError` when the engine does not become idle or cannot be seen to.
        """
        self._stop_asked.set()
        self._run = None
        try:
            self.connection.call("stop milling", self._order_stop, family=MillingError)
        except MillingError as error:
            # An idle engine may refuse to be stopped; one that was about to start no longer says idle after this.
            self.clock.sleep(_START_DELAY_S)
            if not self._is_idle_after(error):
                raise
        if self._wait_for(MillingState.IDLE) is not MillingState.IDLE:
            raise MillingError("milling was stopped, the instrument is not idle; use the instrument's own stop button")
        self._on_ion_view("clear the patterns", lambda client: client.patterning.clear_patterns())

    def _order_stop(self, client: Client) -> None:
        """Stop on the ion view; where another program holds the view, stop all the same, then say so."""
        refusals: tuple[type[Exception], ...] = (HardwareError, *self.connection.sdk.error_types)
        try:
            select(client, self.column)
        except refusals as error:
            client.patterning.stop()
            raise MillingError(
                f"milling was told to stop while another view was active, which may not have stopped it: {error}; use "
                "the instrument's own stop button"
            ) from error
        client.patterning.stop()

    def _is_idle_after(self, error: MillingError) -> bool:
        """Tell whether the engine is idle in spite of an error; raise both errors when that cannot be read."""
        try:
            return self._read_state() is MillingState.IDLE
        except HardwareError as second:
            raise MillingError(f"{error}; and then: {second}") from error

    def state(self) -> MillingState:
        """Read the state of the engine; raise `MillingError` when it is in error."""
        state = self._read_state()
        if state is None:
            raise MillingError("the patterning engine reports an error; stop milling, then look at the ion column")
        return state

    def _read_state(self) -> MillingState | None:
        return self._on_ion_view("read the milling state", lambda c: convert.milling_state(c.patterning.state))

    def _on_ion_view(self, what: str, job: Callable[[Client], T], limit_s: float | None = None) -> T:
        """Do a job with the ion view active, to which patterns and state belong (section 13)."""

        def whole(client: Client) -> T:
            select(client, self.column)
            return job(client)

        return self.connection.call(what, whole, family=MillingError, limit_s=limit_s)

    def _draw(self, drawing: Drawing) -> float:
        def order(client: Client) -> float:
            set_field(self.column.beam(client), drawing.settings.hfw_m, self.column)
            client.patterning.set_default_beam_type(ION_BEAM_INDEX)
            is_drawn = False
            try:
                estimate_s = draw_patterns(self.connection.sdk, client.patterning, drawing)
                is_drawn = True
            finally:
                if not is_drawn:
                    client.patterning.clear_patterns()
            return estimate_s

        return self._on_ion_view("draw a pattern", order)

    def _refuse_other_conditions(self, client: Client, drawing: Drawing) -> None:
        wanted = drawing.settings
        problem = condition_problem(
            convert.beam_settings(self.column.beam(client)),
            beam_current_a=wanted.beam_current_a,
            voltage_v=wanted.voltage_v,
        )
        if problem is not None:
            raise problem

    def _refuse_without_beam(self, client: Client, drawing: Drawing) -> None:
        self._refuse_other_conditions(client, drawing)
        beam = client.beams.ion_beam
        if not beam.is_on or beam.is_blanked:
            raise BeamError(
                f"asked to mill, the ion beam is {'blanked' if beam.is_on else 'off'}; nothing was milled in this run"
            )

    def _ready(self, duration_s: float | None, skip_s: float) -> Run:
        run = self._run
        if run is None:
            raise MillingError("asked to mill while nothing is drawn; draw a pattern first")
        if duration_s is not None and not duration_s >= 0:
            raise MillingError(f"asked to mill for {duration_s:g} s, it must be 0 s or more")
        if not skip_s:
            return run
        if run.was_started:
            raise MillingError(f"asked to leave out {skip_s:g} s after milling has begun; only with the first call")
        rest = remaining(run.drawing, skip_s)
        run.milled_s = min(skip_s, run.total_s)
        run.was_started = True
        if rest.shapes:
            run.total_s = run.milled_s + self._draw(rest)
        else:
            run.milled_s, run.is_finished = run.total_s, True
        return run

    def _mill(self, run: Run, until_s: float, cancel: CancelToken) -> None:
        """Let the engine run for ``until_s`` and take down how long it did; end it when anything goes wrong."""
        left_s = run.total_s - run.milled_s
        is_last = until_s >= left_s
        try:
            if is_last and left_s < _SHORTEST_OBSERVED_S and self._read_state() is MillingState.IDLE:
                self._on_ion_view("mill a short pattern", lambda client: client.patterning.run())
                self._on_ion_view("check the beam after milling", self._refuse_tripped)
                run.was_started, run.milled_s, run.is_finished = True, run.total_s, True
            else:
                self._start(run)
                self._watch(run, None if is_last else until_s, left_s, cancel)
        except BaseException as error:
            self._stop_after(error)
            raise

    def _stop_after(self, error: BaseException) -> None:
        """Stop after an error and keep that error; raise both when the stop fails as well (milling.md T4).

        The drawing counts as gone, because started again it would be milled from its beginning.
        """
        try:
            self.stop()
        except HardwareError as second:
            first = str(error) or type(error).__name__
            raise MillingError(f"{first}; and then: {second}; use the instrument's own stop button") from error

    def _start(self, run: Run) -> None:
        """Start or resume, and wait until the engine says that it runs; it may say idle for a moment (section 13)."""
        what = "resume milling" if self._read_state() is MillingState.PAUSED else "start milling"

        def order(client: Client) -> None:
            if what == "resume milling":
                client.patterning.resume()
            else:
                client.patterning.start()

        self._on_ion_view(what, order)
        run.was_started = True
        if self._wait_for(MillingState.RUNNING) is not MillingState.RUNNING:
            raise MillingError(
                f"asked to {what}, the engine does not run after {format_duration(self._state_limit_s)}; look at the "
                "patterning page of the instrument"
            )

    @property
    def _state_limit_s(self) -> float:
        return self.config.time_limits.patterning_state_s

    def _wait_for(self, wanted: MillingState) -> MillingState | None:
        """Return the state once it is ``wanted``, or the last one when it does not become so in time."""
        due_s = self.clock.monotonic_s() + self._state_limit_s
        while (state := self._read_state()) is not wanted and self.clock.monotonic_s() < due_s:
            self.clock.sleep(_STATE_POLL_S)
        return state

    def _watch(self, run: Run, until_s: float | None, left_s: float, cancel: CancelToken) -> None:
        """Look at running milling until its time has come, it ends, or a stop is asked for.

        The beam is looked at as well: an engine may go on without one, which would count as beam time.
        """
        started_s, already_s = self.clock.monotonic_s(), run.milled_s
        overdue_s = left_s * _OVERTIME_RATIO + _OVERTIME_S
        while True:
            spent_s = self.clock.monotonic_s() - started_s
            run.milled_s = already_s + min(spent_s, left_s)
            if self._stop_asked.is_set():
                return
            state = self._read_state()
            if state is not MillingState.RUNNING:
                self._judge_end(run, state, spent_s=spent_s, left_s=left_s)
                return
            self._on_ion_view("check the beam while milling", self._refuse_tripped)
            if cancel.is_cancelled or (until_s is not None and spent_s >= until_s):
                self._pause(run)
                return
            if spent_s > overdue_s:
                raise MillingError(
                    f"milling goes on {format_duration(spent_s)} after it began, {format_duration(left_s)} were "
                    "estimated; it was stopped, look at the pattern and the beam current"
                )
            due_s = left_s if until_s is None else until_s
            self.clock.sleep(min(_MILL_POLL_S, max(_STATE_POLL_S, due_s - spent_s)))

    def _judge_end(self, run: Run, state: MillingState | None, *, spent_s: float, left_s: float) -> None:
        """Take an engine that ended by itself in time for finished, any other for an error."""
        self._on_ion_view("check the beam after milling", self._refuse_tripped)
        if self._stop_asked.is_set():
            return
        if state is MillingState.IDLE and spent_s >= min(_SHORT_RATIO * left_s, left_s - _SHORT_S):
            run.milled_s, run.is_finished = run.total_s, True
            return
        found = "reports an error" if state is None else f"is {state.value}"
        raise MillingError(
            f"milling ended after {format_duration(spent_s)} of {format_duration(left_s)}, the engine {found}; it was "
            "stopped at the instrument or failed, look at the sample before going on"
        )

    def _refuse_tripped(self, client: Client) -> None:
        beam = client.beams.ion_beam
        if not beam.is_on:
            raise BeamError(
                "the ion beam went off while milling; look at the ion source, what was milled is unfinished"
            )

    def _pause(self, run: Run) -> None:
        """Pause; an engine that has just ended instead is finished (al milling.py: ``pause`` raises then)."""
        try:
            self._on_ion_view("pause milling", lambda client: client.patterning.pause())
        except MillingError:
            if self._read_state() is not MillingState.IDLE:
                raise
        is_paused = self._wait_for(MillingState.PAUSED) is MillingState.PAUSED
        if not is_paused and self._read_state() is not MillingState.IDLE:
            raise MillingError("asked to pause milling, the engine does not; it was stopped, look at the instrument")
        self._on_ion_view("check the beam after milling", self._refuse_tripped)
        if not is_paused and not self._stop_asked.is_set():
            run.milled_s, run.is_finished = run.total_s, True
