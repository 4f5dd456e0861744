"""The patterning engine (vendor-fakes.md T17-T19): it outlives clients and mills the simulator's sample in time."""

from __future__ import annotations

from typing import Any

from autoscript_core.common import ApplicationServerException

from fibsem_runtime.core import CancelToken
from fibsem_runtime.hal import MillingSettings, Shape

from ._dynamic_object_proxies import (
    BitmapPattern,
    CirclePattern,
    CleaningCrossSectionPattern,
    LinePattern,
    Pattern,
    PolygonPattern,
    RectanglePattern,
    RegularCrossSectionPattern,
    refuse_bad_bitmap,
)
from ._instrument import Instrument
from ._shapes import simulated

CROSS_SECTION_FILES = {"Si-ccs": CleaningCrossSectionPattern, "Si-multipass": RegularCrossSectionPattern}
STAIRCASE_TIME_RATIO = 0.55
SMALLEST_FIELD_FRACTION = 1 / 4096


class Engine:
    """What the server knows about milling with the ion beam; ``phase`` is what happens, not what is read."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.phase = "Idle"
        self.delay_s = 0.0
        self.total_s = 0.0
        self.milled_s = 0.0
        self.patterns: dict[int, list[Pattern]] = {}
        self.file = "None"
        self.mode = "Serial"
        self.beam_index = 1

    @property
    def is_beam_time(self) -> bool:
        """Tell whether time that passes is beam time, or the delay before it."""
        return self.phase in ("Starting", "Running")

    def pass_time(self, duration_s: float) -> None:
        """Let time pass: the delay at the start, then milling, worked out when somebody looks."""
        if self.phase == "Starting":
            waited_s = min(duration_s, self.delay_s)
            self.instrument.simulator.clock.sleep(waited_s)
            self.delay_s -= waited_s
            duration_s -= waited_s
            if self.delay_s > 1e-12:
                return
            self.phase = "Running"
        self.instrument.owed_s += duration_s

    def start(self, shapes: list[Shape], settings: MillingSettings) -> None:
        """Begin a new pattern."""
        milling = self.instrument.simulator.milling
        milling.stop()
        self.total_s = milling.draw(shapes, settings)
        self.milled_s = 0.0
        self.phase, self.delay_s = "Starting", self.instrument.options.start_delay_s

    @property
    def _end_s(self) -> float:
        trip_s = self.instrument.beam_trip_after_s
        return self.total_s if trip_s is None else min(self.total_s, trip_s)

    def settle(self) -> None:
        """Work out the milling of the time that has passed."""
        instrument = self.instrument
        if self.phase != "Running":
            return
        owed_s, instrument.owed_s = instrument.owed_s, 0.0
        part_s = min(owed_s, max(0.0, self._end_s - self.milled_s))
        if part_s > 0:
            progress = instrument.simulator.milling.run(duration_s=part_s, cancel=CancelToken())
            self.milled_s = progress.milled_s
        if self.milled_s >= self._end_s - 1e-9:
            self._end(rest_s=owed_s - part_s)

    def _end(self, *, rest_s: float) -> None:
        instrument = self.instrument
        has_tripped = self.milled_s < self.total_s - 1e-9
        instrument.simulator.milling.stop()
        if has_tripped:
            instrument.switch_off("ion_beam")
        self.phase = instrument.trip_state if has_tripped else "Idle"
        instrument.simulator.clock.sleep(max(0.0, rest_s))

    def state_now(self) -> str:
        """Return what a client reads."""
        if self.phase == "Running" and self.milled_s + self.instrument.owed_s >= self._end_s - 1e-9:
            self.settle()
        return "Idle" if self.phase == "Starting" else self.phase

    def pause(self) -> None:
        """Stop the beam where it is."""
        self.settle()
        if self.phase not in ("Running", "Starting"):
            raise ApplicationServerException("Patterning cannot be paused, it is not running.")
        self.phase = "Paused"

    def resume(self) -> None:
        """Go on."""
        if self.phase != "Paused":
            raise ApplicationServerException("Patterning is not paused.")
        self.phase, self.delay_s = "Starting", self.instrument.options.start_delay_s

    def stop(self) -> None:
        """End."""
        self.settle()
        self.instrument.simulator.milling.stop()
        self.phase = "Idle"


class Patterning:
    """``client.patterning``: patterns and state belong to the active view."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client
        if instrument.patterning is None:
            instrument.patterning = Engine(instrument)
        if instrument.version >= (4, 12):
            self.create_polygon = self._create_polygon

    def _call(self, name: str, *arguments: Any) -> Any:
        return self._instrument.call(self._client, f"patterning.{name}", *arguments)

    @property
    def _engine(self) -> Engine:
        engine: Engine = self._instrument.patterning
        return engine

    @property
    def state(self) -> str:
        with self._call("state"):
            if self._instrument.column_of_view() != "ion_beam":
                return "Idle"
            return self._engine.state_now()

    @property
    def mode(self) -> str:
        with self._call("mode"):
            return self._engine.mode

    @mode.setter
    def mode(self, asked: str) -> None:
        with self._call("mode=", asked):
            if asked not in ("Serial", "Parallel"):
                raise ApplicationServerException(f"The patterning mode {asked} does not exist.")
            self._engine.mode = asked

    def set_default_beam_type(self, beam_index: int) -> None:
        with self._call("set_default_beam_type", beam_index):
            self._engine.beam_index = beam_index

    def list_all_application_files(self) -> list[str]:
        with self._call("list_all_application_files"):
            return list(self._instrument.options.application_files)

    def set_default_application_file(self, name: str) -> None:
        with self._call("set_default_application_file", name) as fault:
            if name not in self._instrument.options.application_files:
                raise ApplicationServerException(f"There is no patterning application with name: '{name}'.")
            if fault != "ignore":
                self._engine.file = name

    def clear_patterns(self) -> None:
        with self._call("clear_patterns"):
            if self._engine.state_now() in ("Running", "Paused"):
                raise ApplicationServerException("Patterns cannot be cleared while patterning is active.")
            self._engine.patterns[self._instrument.active_view] = []

    def create_rectangle(self, *values: float) -> Pattern:
        return self._create("create_rectangle", RectanglePattern, values)

    def create_cleaning_cross_section(self, *values: float) -> Pattern:
        return self._create("create_cleaning_cross_section", CleaningCrossSectionPattern, values)

    def create_regular_cross_section(self, *values: float) -> Pattern:
        return self._create("create_regular_cross_section", RegularCrossSectionPattern, values)

    def create_line(self, *values: float) -> Pattern:
        return self._create("create_line", LinePattern, values)

    def create_circle(self, *values: float) -> Pattern:
        return self._create("create_circle", CirclePattern, values)

    def _create_polygon(self, vertices: Any, depth: float) -> Pattern:
        return self._create("create_polygon", PolygonPattern, (vertices, depth))

    def create_bitmap(self, *values: Any) -> Pattern:
        return self._create("create_bitmap", BitmapPattern, values)

    def _create(self, name: str, kind: type[Pattern], values: tuple[Any, ...]) -> Pattern:
        with self._call(name, *values):
            self._refuse_file(kind)
            if issubclass(kind, tuple(CROSS_SECTION_FILES.values())) and self._engine.mode != "Serial":
                raise ApplicationServerException("Cross sections need the serial patterning mode.")
            fields = dict(zip(kind.ARGUMENTS, values, strict=True))
            if kind is BitmapPattern:
                refuse_bad_bitmap(fields["bitmap_pattern_definition"])
            beam = self._instrument.simulator.ion_beam.settings()
            fields["application_file"] = self._engine.file
            pattern = kind(self._instrument, self._client, fields, current_a=beam.beam_current_a)
            if pattern.smallest_m() < SMALLEST_FIELD_FRACTION * beam.hfw_m:
                raise ApplicationServerException("The pattern is too small for the horizontal field width.")
            self._engine.patterns.setdefault(self._instrument.active_view, []).append(pattern)
            return pattern

    def _refuse_file(self, kind: type[Pattern]) -> None:
        """Raise when the application file does not take the kind of pattern."""
        file, own = self._engine.file, CROSS_SECTION_FILES.get(self._engine.file)
        is_wrong = kind is not own if own is not None else kind in CROSS_SECTION_FILES.values()
        is_refused = kind in (CirclePattern, BitmapPattern) and file in self._instrument.options.files_without_circles
        if is_wrong or is_refused:
            raise ApplicationServerException(f"The application '{file}' does not support this pattern.")

    def start(self) -> None:
        with self._call("start") as fault:
            self._begin(is_ignored=fault == "ignore")

    def _begin(self, *, is_ignored: bool) -> None:
        """Hand the patterns of the active view to the engine."""
        patterns = self._engine.patterns.get(self._instrument.active_view, [])
        if not patterns:
            raise ApplicationServerException("There is nothing to mill.")
        if self._engine.beam_index != 2 or self._instrument.column_of_view() != "ion_beam":
            raise ApplicationServerException("Patterning with the electron beam is not possible here.")
        if self._engine.state_now() != "Idle":
            raise ApplicationServerException("Patterning is already active.")
        if not is_ignored:
            self._engine.start(*self._milling(patterns))

    def run(self) -> None:
        with self._call("run") as fault:
            self._begin(is_ignored=fault == "ignore")
            self._instrument.spend(self._instrument.options.start_delay_s + self._engine.total_s)
            if self._engine.state_now() == "Error":
                raise ApplicationServerException("Patterning failed.")

    def pause(self) -> None:
        with self._call("pause") as fault:
            if fault != "ignore":
                self._engine.pause()

    def resume(self) -> None:
        with self._call("resume") as fault:
            if fault != "ignore":
                self._engine.resume()

    def stop(self) -> None:
        with self._call("stop") as fault:
            if self._engine.phase == "Idle" and self._instrument.options.stop_when_idle_raises:
                raise ApplicationServerException("Patterning is not active.")
            if fault != "ignore":
                self._engine.stop()

    def _milling(self, patterns: list[Pattern]) -> tuple[list[Shape], MillingSettings]:
        """Return what the simulator has to mill so that every pattern gets the charge of its own time."""
        beam = self._instrument.simulator.ion_beam.settings()
        shapes, dose_c_per_m3 = [], None
        for pattern in patterns:
            charge_c = pattern.peek("time") * beam.beam_current_a
            if type(pattern) is RegularCrossSectionPattern:
                charge_c /= STAIRCASE_TIME_RATIO
            per_area = charge_c / pattern.area_m2()
            dose_c_per_m3 = dose_c_per_m3 or per_area / pattern.peek("depth")
            shapes.append(simulated(pattern, depth_m=per_area / dose_c_per_m3))
        return shapes, MillingSettings(
            beam_current_a=beam.beam_current_a,
            voltage_v=beam.voltage_v,
            hfw_m=beam.hfw_m,
            application="fake",
            dose_c_per_m3=dose_c_per_m3 or 1.0,
        )
