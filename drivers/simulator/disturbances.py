"""Disturbances of the machine over time and place, each a pure function of seed, settings and state.

Nothing here remembers anything: random numbers come from generators keyed by (seed, stream, counters), so that the
order of calls and a restart in between change nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from drivers.simulator.disturbance_settings import DisturbanceSettings
from drivers.simulator.projection import Errors, Vector
from drivers.simulator.state import StageState
from fibsem_runtime.core import ImagePoint, StagePosition
from fibsem_runtime.core.units import NM, UM

SECONDS_PER_MINUTE = 60.0

STORED_SHIFT_UM = (
    (1e-12, 0.06, 0.08),
    (2e-12, -0.60, 0.0),
    (5e-12, 0.20, 0.0),
    (10e-12, 0.20, -0.20),
    (20e-12, 0.0, 0.0),
    (50e-12, 0.0, 0.0),
    (100e-12, -0.30, 0.25),
    (300e-12, -0.87, 0.60),
    (700e-12, -1.20, 0.90),
    (1.5e-9, -1.10, 0.84),
    (3e-9, -1.23, 0.91),
    (7e-9, -1.40, 1.10),
    (15e-9, -2.18, 1.45),
    (30e-9, -3.19, 2.44),
    (65e-9, -0.45, 0.0),
    (100e-9, 0.40, 0.0),
)
"""Current (A) and beam-shift offset relative to 50 pA (µm) of a Zeiss Crossbeam at 30 kV (physics.md section 6)."""


class Stream(IntEnum):
    """Name what a random generator is for; each has its own sequence."""

    DRIFT = 1
    SETTLING = 2
    RECALL = 3
    HEIGHT = 4
    TILT_AXIS = 5
    ROTATION_CENTRE = 6
    COLUMN_OFFSET = 7
    CURRENT_SHIFT = 8
    CURRENT_FOCUS = 9
    FRAME = 10
    CONTRAST = 11
    NEEDLE = 21
    BENDING = 12
    FILM = 13
    AUTO_FOCUS = 14


def generator(seed: int, stream: Stream, *numbers: int) -> np.random.Generator:
    """Return the generator of one purpose and one counter; ``numbers`` may be negative."""
    return np.random.default_rng([seed, stream, *(2 * abs(number) + (number < 0) for number in numbers)])


def _direction(rng: np.random.Generator, dimensions: int) -> Vector:
    """Draw a unit vector, uniform on the circle or the sphere."""
    vector: Vector = rng.normal(size=dimensions)
    return vector / np.linalg.norm(vector)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbances:
    """Evaluate every disturbance for one seed."""

    settings: DisturbanceSettings
    seed: int

    def errors(self, stage: StageState, elapsed_s: float, nominal: Vector) -> Errors:
        """Return all deviations now; ``nominal`` is the ideal instrument's specimen point at coincidence."""
        return Errors(
            drift_m=self.drift_m(stage, elapsed_s),
            recall_m=np.array(stage.recall_error_m),
            tilt_axis_m=self._tilt_axis_m(),
            rotation_centre_m=self._rotation_centre_m(),
            height_m=self.height_m(float(nominal[0]), float(nominal[1])),
        )

    def drift_m(self, stage: StageState, elapsed_s: float) -> Vector:
        """Return the displacement of the sample in the chamber since the start."""
        drift = self.settings.drift
        if not drift.enabled:
            return np.zeros(3)
        steady_m = drift.rate_nm_per_min * NM / SECONDS_PER_MINUTE * elapsed_s
        return steady_m * _direction(generator(self.seed, Stream.DRIFT), 3) + self.settled_m(stage, elapsed_s)

    def settled_m(self, stage: StageState, elapsed_s: float) -> Vector:
        """Return the displacement by settling: what earlier moves left plus that of the last one until now."""
        drift = self.settings.drift
        earlier_m = np.array(stage.settled_m)
        if not drift.enabled or stage.move_count == 0:
            return earlier_m
        time_s = drift.settling_time_min * SECONDS_PER_MINUTE
        reach_m = drift.settling_nm_per_min * NM * drift.settling_time_min
        share = 1.0 - math.exp(-(elapsed_s - stage.moved_at_s) / time_s)
        return earlier_m + reach_m * share * _direction(generator(self.seed, Stream.SETTLING, stage.move_count), 3)

    def drift_rate_m_per_s(self, stage: StageState, elapsed_s: float) -> float:
        """Return an upper bound of the drift's speed now."""
        drift = self.settings.drift
        if not drift.enabled:
            return 0.0
        rate = drift.rate_nm_per_min
        if stage.move_count > 0:
            time_s = drift.settling_time_min * SECONDS_PER_MINUTE
            rate += drift.settling_nm_per_min * math.exp(-(elapsed_s - stage.moved_at_s) / time_s)
        return rate * NM / SECONDS_PER_MINUTE

    def recall_error_m(self, stage: StageState, target: StagePosition) -> Vector:
        """Return the error of the sample against the encoders after a move from ``stage`` to ``target``.

        The new error keeps its long-term sigma and renews a fraction that grows with the length of the move.
        """
        recall = self.settings.stage_recall
        if not recall.enabled:
            return np.zeros(3)
        renewed = self._renewed_fraction(stage.position, target)
        sigmas_m = np.array([recall.sigma_um, recall.sigma_um, recall.sigma_z_um]) * UM
        fresh_m = sigmas_m * generator(self.seed, Stream.RECALL, stage.move_count + 1).normal(size=3)
        return math.sqrt(1.0 - renewed**2) * np.array(stage.recall_error_m) + renewed * fresh_m

    def _renewed_fraction(self, here: StagePosition, target: StagePosition) -> float:
        recall = self.settings.stage_recall
        way_m = math.dist((here.x_m, here.y_m, here.z_m), (target.x_m, target.y_m, target.z_m))
        turn_rad = max(abs(target.r_rad - here.r_rad), abs(target.t_rad - here.t_rad))
        return min(1.0, way_m / (recall.full_distance_um * UM) + math.degrees(turn_rad) / recall.full_angle_deg)

    def height_m(self, x_m: float, y_m: float) -> float:
        """Return the height of the film at a place of the specimen: that of its square plus smooth variation."""
        height = self.settings.height
        if not height.enabled:
            return 0.0
        square = (math.floor(coordinate / (height.square_pitch_um * UM) + 0.5) for coordinate in (x_m, y_m))
        of_square_m = height.sigma_um * UM * float(generator(self.seed, Stream.HEIGHT, *square).normal())
        return of_square_m + height.variation_um * UM * self._smooth_variation(x_m, y_m)

    def _smooth_variation(self, x_m: float, y_m: float) -> float:
        """Return a smooth random surface with a standard deviation of one: four plane waves of one wavelength."""
        rng = generator(self.seed, Stream.HEIGHT)
        angles_rad, phases_rad = rng.uniform(0.0, math.tau, size=(2, 4))
        wave_number = math.tau / (self.settings.height.wavelength_um * UM)
        arguments = wave_number * (x_m * np.cos(angles_rad) + y_m * np.sin(angles_rad)) + phases_rad
        return float(np.sum(np.cos(arguments)) / math.sqrt(2.0))

    def _tilt_axis_m(self) -> Vector:
        axis = self.settings.tilt_axis
        if not axis.enabled:
            return np.zeros(3)
        y_m, z_m = axis.sigma_um * UM * generator(self.seed, Stream.TILT_AXIS).normal(size=2)
        return np.array([0.0, y_m, z_m])

    def _rotation_centre_m(self) -> Vector:
        centre = self.settings.rotation_centre
        if not centre.enabled:
            return np.zeros(3)
        rng = generator(self.seed, Stream.ROTATION_CENTRE)
        length_m = rng.uniform(centre.min_um, centre.max_um) * UM
        return np.append(length_m * _direction(rng, 2), 0.0)

    def ion_content_shift(self, beam_current_a: float) -> ImagePoint:
        """Return how far the content of the ion image lies from where the chain expects it, along the image."""
        offset_m = self._column_offset_m() + self._current_shift_m(beam_current_a)
        return ImagePoint(float(offset_m[0]), float(offset_m[1]))

    def _column_offset_m(self) -> Vector:
        offset = self.settings.column_offset
        if not offset.enabled:
            return np.zeros(2)
        return offset.lateral_um * UM * _direction(generator(self.seed, Stream.COLUMN_OFFSET), 2)

    def _current_shift_m(self, beam_current_a: float) -> Vector:
        shift = self.settings.current_shift
        if not shift.enabled:
            return np.zeros(2)
        if not shift.calibrated:
            return stored_shift_m(beam_current_a)
        rng = generator(self.seed, Stream.CURRENT_SHIFT, _current_key(beam_current_a))
        return rng.uniform(shift.residual_min_um, shift.residual_max_um) * UM * _direction(rng, 2)

    def ion_focus_error_m(self, beam_current_a: float) -> float:
        """Return how far beyond its set working distance the ion beam is focused at a current."""
        focus = self.settings.current_focus
        if not focus.enabled:
            return 0.0
        rng = generator(self.seed, Stream.CURRENT_FOCUS, _current_key(beam_current_a))
        return focus.sigma_um * UM * float(rng.normal())


def _current_key(beam_current_a: float) -> int:
    """Return a current as whole femtoamperes, the same for every way to write it."""
    return round(beam_current_a * 1e15)


def stored_shift_m(beam_current_a: float) -> Vector:
    """Return the stored offset of a current, interpolated in its logarithm and held beyond the table's ends."""
    table = np.array(STORED_SHIFT_UM)
    logarithm = math.log(beam_current_a)
    return np.array([np.interp(logarithm, np.log(table[:, 0]), table[:, column]) for column in (1, 2)]) * UM
