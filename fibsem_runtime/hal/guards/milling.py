"""The patterning engine behind its guards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from fibsem_runtime.core import CancelToken, SpecimenPosition, StagePosition
from fibsem_runtime.core.errors import InterlockError, MillingError, NotSupportedError, RefusedSettingError
from fibsem_runtime.core.units import format_angle, format_quantity
from fibsem_runtime.hal.devices import Beam, Milling, MillingProgress, MillingState, Stage
from fibsem_runtime.hal.field import outside_field
from fibsem_runtime.hal.guards.interlocks import Interlocks
from fibsem_runtime.hal.guards.readback import check_ratio
from fibsem_runtime.hal.guards.settings import GuardSettings
from fibsem_runtime.hal.kinematics import Kinematics
from fibsem_runtime.hal.shapes import MillingSettings, Shape, ShapeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Conditions and place for which the present pattern was drawn."""

    settings: MillingSettings
    stage_position: StagePosition
    specimen_point: SpecimenPosition


@dataclass(slots=True, kw_only=True)
class GuardedMilling:
    """Start the ion beam only under the conditions and at the place it was asked for, one pattern at a time."""

    milling: Milling
    beam: Beam
    stage: Stage
    kinematics: Kinematics
    interlocks: Interlocks
    limits: GuardSettings
    _drawing: Drawing | None = field(default=None, init=False)

    @property
    def shape_kinds(self) -> frozenset[ShapeKind]:
        """Return the shapes that can be drawn."""
        return self.milling.shape_kinds

    def draw(self, shapes: Sequence[Shape], settings: MillingSettings) -> float:
        """Replace what is drawn and return the instrument's estimate in seconds.

        Raises `InterlockError` while another pattern is being milled, `NotSupportedError` for a shape that the
        instrument does not mill, `MillingError` when there is nothing to mill, a shape leaves the field or the beam has
        not the current and voltage of ``settings`` (safety.md I8, I9).
        """
        self.interlocks.refuse_unless_idle("draw a pattern")
        if not shapes:
            raise MillingError("asked to draw a pattern without shapes; a milling stage needs at least one")
        self._refuse_unknown(shapes)
        problem = outside_field(shapes, hfw_m=settings.hfw_m)
        if problem:
            raise MillingError(f"asked to draw a pattern that leaves its field: {problem}")
        self._check_conditions(settings)
        self.forget_drawing()
        estimate_s = self.milling.draw(shapes, settings)
        here = self.stage.position()
        self._drawing = Drawing(
            settings=settings, stage_position=here, specimen_point=self.kinematics.specimen_point(here)
        )
        return estimate_s

    def run(self, *, duration_s: float | None = None, skip_s: float = 0.0, cancel: CancelToken) -> MillingProgress:
        """Mill what is drawn, as the driver does, after checking everything once more immediately before.

        Raises `InterlockError` when something mills already or a live view runs, `BeamError` and `VacuumError` when
        there is no beam, `MillingError` when nothing is drawn or current, voltage or place are not those of the
        drawing.
        """
        self.interlocks.refuse_while_milling("start milling")
        self.interlocks.refuse_with_live_view("start milling")
        self.interlocks.require_vacuum("start milling")
        self.interlocks.require_beam(self.beam, "start milling")
        _check_times(duration_s, skip_s)
        if self._drawing is None:
            raise MillingError("asked to mill while nothing is drawn; draw a pattern first")
        self._check_conditions(self._drawing.settings)
        self._check_place(self._drawing)
        cancel.raise_if_cancelled()
        try:
            return self.milling.run(duration_s=duration_s, skip_s=skip_s, cancel=cancel)
        finally:
            if self.milling.state() is MillingState.RUNNING:
                self.milling.stop()

    def stop(self) -> None:
        """Stop, clear the drawing and confirm that the engine is idle; safe to call twice."""
        self.forget_drawing()
        self.milling.stop()
        state = self.milling.state()
        if state is not MillingState.IDLE:
            raise MillingError(
                f"milling was stopped but the instrument still says {state.value}; use the instrument's own stop button"
            )

    def forget_drawing(self) -> None:
        """Take what was drawn as cleared, so that it cannot be milled."""
        self._drawing = None

    def state(self) -> MillingState:
        """Read the state of the engine."""
        return self.milling.state()

    def _refuse_unknown(self, shapes: Sequence[Shape]) -> None:
        for shape in shapes:
            if shape.kind not in self.shape_kinds:
                known = ", ".join(sorted(kind.value.lower() for kind in self.shape_kinds))
                raise NotSupportedError(
                    f"a {shape.kind.value.lower()} was asked for, this instrument mills: {known}; nothing was drawn"
                )

    def _check_conditions(self, wanted: MillingSettings) -> None:
        found = self.beam.settings()
        try:
            check_ratio(
                "milling at",
                asked=wanted.beam_current_a,
                found=found.beam_current_a,
                tolerance_percent=self.limits.current_tolerance_percent,
                unit="A",
            )
            check_ratio(
                "milling at",
                asked=wanted.voltage_v,
                found=found.voltage_v,
                tolerance_percent=self.limits.voltage_tolerance_percent,
                unit="V",
            )
        except RefusedSettingError as error:
            raise MillingError(f"the ion beam is not as the pattern needs it, nothing was milled: {error}") from error

    def _check_place(self, drawing: Drawing) -> None:
        """Refuse to mill away from where the pattern was drawn; tilting about it is allowed up to the overtilt."""
        here = self.stage.position()
        overtilt_rad = abs(here.t_rad - drawing.stage_position.t_rad)
        if overtilt_rad > self.limits.max_overtilt_rad + self.limits.angle_tolerance_rad:
            raise InterlockError(
                f"asked to mill {format_angle(overtilt_rad)} away from the tilt the pattern was drawn at, allowed are "
                f"{format_angle(self.limits.max_overtilt_rad)}; tilt back or raise guards.max_overtilt_deg"
            )
        there = self.kinematics.centre_on(drawing.specimen_point, here)
        missed_m = math.dist((here.x_m, here.y_m, here.z_m), (there.x_m, there.y_m, there.z_m))
        if missed_m > self.limits.position_tolerance_m:
            raise InterlockError(
                f"asked to mill {format_quantity(missed_m, 'm')} away from where the pattern was drawn, allowed are "
                f"{format_quantity(self.limits.position_tolerance_m, 'm')}; draw it again at the present place"
            )


def _check_times(duration_s: float | None, skip_s: float) -> None:
    if duration_s is not None and not (math.isfinite(duration_s) and duration_s >= 0):
        raise MillingError(f"asked to mill for {duration_s:g} s, it must be 0 s or more")
    if not (math.isfinite(skip_s) and skip_s >= 0):
        raise MillingError(f"asked to leave out {skip_s:g} s of milling, it must be 0 s or more")
