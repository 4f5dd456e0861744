"""An instrument in memory with the interface of an imaginary vendor: mm, degrees, um, pA, kV, us and its own errors.

It stands where the vendor's package would be, so that the driver around it is complete and can be tested. Its images
come from the runtime's own kinematics, so that the geometry tests say nothing about a real stage here. A fake for a
real instrument has a geometry of its own, and the instrument's faults (tests/fakes of fibsem-runtime has two).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from fibsem_runtime.core import BeamType, Clock, ImagePoint, StagePosition
from fibsem_runtime.hal import BeamView, KinematicChain, Kinematics

STAGE_SPEED_MM_S = 1.0
STAGE_SPEED_DEG_S = 10.0
TEXTURE_PX = 1024
TEXTURE_UM = 0.5
AXES = ("x", "y", "z", "r", "t")


class AcmeError(Exception):
    """What the vendor's package raises."""


@dataclass(kw_only=True)
class Column:
    """One beam as the vendor sees it."""

    beam_type: BeamType
    currents_pa: tuple[float, ...]
    values: dict[str, float]


@dataclass(kw_only=True)
class Pattern:
    """Rectangles (centre x, centre y, width, height in um) on the sample, where they were drawn."""

    view: BeamView
    rectangles_um: list[tuple[float, float, float, float]]
    total_s: float
    milled_s: float = 0.0
    state: str = "loaded"


def _column(beam_type: BeamType, currents_pa: tuple[float, ...], voltage_kv: float, focus_mm: float) -> Column:
    values = {"current_pa": currents_pa[1], "voltage_kv": voltage_kv, "focus_mm": focus_mm, "field_um": 150.0}
    values |= {"shift_x_um": 0.0, "shift_y_um": 0.0, "rotation_deg": 0.0, "blanked": 0.0}
    return Column(beam_type=beam_type, currents_pa=currents_pa, values=values | {"contrast": 50.0, "brightness": 50.0})


@dataclass(kw_only=True)
class MemoryInstrument:
    """An endless textured plane at coincidence, flat to the electron beam."""

    chain: KinematicChain
    clock: Clock
    seed: int = 0
    columns: dict[str, Column] = field(init=False)
    pattern: Pattern | None = field(default=None, init=False)
    holes: list[Pattern] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.columns = {
            "sem": _column(BeamType.ELECTRON, (13.0, 50.0, 100.0, 400.0), 2.0, 4.0),
            "fib": _column(BeamType.ION, (10.0, 30.0, 100.0, 1000.0, 3000.0), 30.0, 16.5),
        }
        self._stage = {
            "x": 0.0,
            "y": 0.0,
            "z": self.chain.eucentric_z_m * 1e3,
            "r": 0.0,
            "t": math.degrees(self.chain.pretilt_rad),
        }
        self._moving_until_s = 0.0
        spectrum = np.fft.rfft2(self.random.standard_normal((TEXTURE_PX, TEXTURE_PX)))
        rows, columns = np.fft.fftfreq(TEXTURE_PX), np.fft.rfftfreq(TEXTURE_PX)
        texture = np.fft.irfft2(spectrum * np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * 0.08**2)))
        self._texture = 0.5 + 0.15 * texture / texture.std()

    # Stage

    def stage_position(self) -> dict[str, float]:
        """Return mm and degrees."""
        return dict(self._stage)

    def stage_move(self, **axes: float) -> None:
        """Begin to move; ask `stage_is_moving` for the end."""
        way = {axis: abs(value - self._stage[axis]) for axis, value in axes.items()}
        if not all(math.isfinite(length) for length in way.values()):
            raise AcmeError("E42 axis value out of domain")
        speeds = {axis: STAGE_SPEED_DEG_S if axis in "rt" else STAGE_SPEED_MM_S for axis in AXES}
        longest_s = max((length / speeds[axis] for axis, length in way.items()), default=0.0)
        self._stage |= axes
        self._moving_until_s = self.clock.monotonic_s() + longest_s

    def stage_is_moving(self) -> bool:
        """Tell whether the last move is under way."""
        return self.clock.monotonic_s() < self._moving_until_s

    def stage_stop(self) -> None:
        """Stop where it is."""
        self._moving_until_s = self.clock.monotonic_s()

    # Columns

    def get(self, column: str, name: str) -> float:
        """Read a value in the vendor's unit."""
        return self.columns[column].values[name]

    def set(self, column: str, name: str, value: float) -> None:
        """Change a value; a current that no aperture gives is an error."""
        found = self.columns[column]
        if name == "current_pa" and not any(math.isclose(value, have, rel_tol=1e-3) for have in found.currents_pa):
            raise AcmeError(f"E17 no aperture for {value} pA")
        found.values[name] = value

    def auto_signal(self, column: str) -> None:
        """Set contrast and brightness."""
        self.columns[column].values |= {"contrast": 50.0, "brightness": 50.0}

    def grab(
        self, column: str, width: int, height: int, dwell_us: float, region: tuple[int, int, int, int]
    ) -> np.ndarray:
        """Scan a part of a frame and return signals from 0 to 1."""
        values, (left, top, columns, rows) = self.columns[column].values, region
        pixel_m = values["field_um"] * 1e-6 / width
        x_m, y_m = np.meshgrid(
            (left + np.arange(columns) + 0.5 - width / 2) * pixel_m,
            -(top + np.arange(rows) + 0.5 - height / 2) * pixel_m,
        )
        points_m = self._seen(self._view(column), x_m, y_m)
        signal = self._reflected(points_m)
        electrons = 1e-6 * dwell_us * values["current_pa"] * 1e-12 / 1.602e-19
        signal += self.random.normal(0.0, 1.0, signal.shape) * np.sqrt(signal.clip(0.05) / electrons)
        self.clock.sleep(dwell_us * 1e-6 * rows * columns)
        return ((signal - 0.5) * values["contrast"] / 50 + values["brightness"] / 100).clip(0, 1)

    def _view(self, column: str) -> BeamView:
        values, stage = self.columns[column].values, self._stage
        position = StagePosition(
            x_m=stage["x"] * 1e-3,
            y_m=stage["y"] * 1e-3,
            z_m=stage["z"] * 1e-3,
            r_rad=math.radians(stage["r"]),
            t_rad=math.radians(stage["t"]),
        )
        return Kinematics(self.chain).view(
            position,
            self.columns[column].beam_type,
            scan_rotation_rad=math.radians(values["rotation_deg"]),
            shift=ImagePoint(values["shift_x_um"] * 1e-6, values["shift_y_um"] * 1e-6),
        )

    def _seen(self, view: BeamView, x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
        """Return where the rays of an image meet the sample plane, (rows, columns, 3)."""
        points_m = view.centre_m + x_m[..., None] * view.right + y_m[..., None] * view.up
        along = -points_m[..., 2] / view.towards_column[2]
        met_m: np.ndarray = points_m + along[..., None] * view.towards_column
        return met_m

    def _reflected(self, points_m: np.ndarray) -> np.ndarray:
        columns, rows = (points_m[..., axis] / (TEXTURE_UM * 1e-6) for axis in (0, 1))
        left, top = np.floor(columns).astype(int), np.floor(rows).astype(int)
        right_part, lower_part = columns - left, rows - top
        signal = np.zeros(columns.shape)
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            weight = np.abs(1 - column - right_part) * np.abs(1 - row - lower_part)
            signal += weight * self._texture[(top + row) % TEXTURE_PX, (left + column) % TEXTURE_PX]
        for pattern in self.holes:
            offset_m = points_m - pattern.view.centre_m
            x_um, y_um = (1e6 * (offset_m @ direction) for direction in (pattern.view.right, pattern.view.up))
            for centre_x, centre_y, width, height in pattern.rectangles_um:
                inside = (np.abs(x_um - centre_x) < width / 2) & (np.abs(y_um - centre_y) < height / 2)
                signal[inside] *= 1 - 0.7 * pattern.milled_s / pattern.total_s
        return signal

    # Patterning

    def pattern_load(
        self, rectangles_um: list[tuple[float, float, float, float]], total_s: float, field_um: float
    ) -> None:
        """Replace the pattern; the field width becomes that of the pattern."""
        self.columns["fib"].values["field_um"] = field_um
        self.pattern = Pattern(view=self._view("fib"), rectangles_um=rectangles_um, total_s=total_s)

    def pattern_run(self, for_s: float) -> None:
        """Mill for a time, or to the end, then pause."""
        pattern = self._loaded()
        if pattern not in self.holes:
            self.holes.append(pattern)
        step_s = min(for_s, pattern.total_s - pattern.milled_s)
        self.clock.sleep(step_s)
        pattern.milled_s += step_s
        pattern.state = "done" if math.isclose(pattern.milled_s, pattern.total_s) else "paused"

    def pattern_skip(self, time_s: float) -> None:
        """Leave out the beginning of the pattern."""
        self._loaded().milled_s = min(time_s, self._loaded().total_s)

    def pattern_state(self) -> tuple[str, float]:
        """Return state ("empty", "loaded", "paused", "done") and beam time spent."""
        return ("empty", 0.0) if self.pattern is None else (self.pattern.state, self.pattern.milled_s)

    def pattern_clear(self) -> None:
        """Stop and forget the pattern."""
        self.pattern = None

    def _loaded(self) -> Pattern:
        if self.pattern is None:
            raise AcmeError("E60 no pattern")
        return self.pattern

    def pressure_mbar(self) -> float:
        """Return the chamber pressure."""
        return 2e-6
