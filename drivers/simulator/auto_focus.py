"""Focusing on what the beam sees: sweeps of the working distance, judged on simulated frames with all their noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulator.beams import SimulatedBeam, require_beam, scan_time_s
from drivers.simulator.disturbances import Stream, generator
from fibsem_runtime.core import BeamType, CancelToken, ImageSettings, Pixels
from fibsem_runtime.core.errors import HardwareError
from fibsem_runtime.core.units import UM

Floats: TypeAlias = NDArray[np.float64]

FIELDS_M: Final = (100 * UM, 30 * UM, 10 * UM)
"""Largest field of each sweep; the first finds the focus from far away, the last one finely (assumed)."""

PROBE: Final = ImageSettings(width_px=384, height_px=256, dwell_time_s=4e-6, hfw_m=FIELDS_M[0])

STEP_COUNT: Final = 13
"""Frames of a sweep."""

END_BLUR_PX: Final = 4.0
"""Blur, one sigma, at both ends of a sweep that is centred on the focus."""

NOISE_SIGMA_PX: Final = 1.0
"""Blur before edges are measured."""

LEAST_GAIN_RATIO: Final = 1.5
"""How much sharper the best frame of the first sweep must be than the worst (assumed)."""

LEAST_SCORE_RATIO: Final = 0.01
"""Scores below this part of the best are noise and count as this (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedAutoFocus:
    """Sweep, fit, and sweep again more finely around what was found: exact to 2 um (electrons) or 3 um (ions)."""

    beam: SimulatedBeam

    def focus(self, *, cancel: CancelToken) -> float:
        """Focus and return the working distance; it costs the time of all frames.

        The blur grows with the distance from focus in quadrature, and the gradient across an edge falls as one over it.
        Raises `HardwareError` when there is no such peak within a sweep; the old focus stays then.
        """
        cancel.raise_if_cancelled()
        beam = self.beam
        beam.machine.begin("auto focus", while_paused=True)
        require_beam(beam, "auto focus")
        before_m = found_m = beam.settings().working_distance_m
        try:
            for number, field_m in enumerate(FIELDS_M):
                probe = replace(PROBE, hfw_m=min(field_m, beam.settings().hfw_m))
                found_m = self._sweep(found_m, probe, is_first=number == 0)
        finally:
            self._focus_at(before_m)
            beam.machine.save()
        return beam.set_working_distance(found_m)

    def _sweep(self, middle_m: float, probe: ImageSettings, *, is_first: bool) -> float:
        """Return where the sharpest frame around ``middle_m`` would be."""
        reach_m = END_BLUR_PX * probe.pixel_size_m / self._blur_ratio()
        distances_m = middle_m + np.linspace(-reach_m, reach_m, STEP_COUNT)
        limits = self.beam.machine.column(self.beam.beam_type).working_distance_limits_m
        distances_m = distances_m[[limits.contains(float(d)) for d in distances_m]]
        scores = np.array([self._sharpness(float(d), probe) for d in distances_m])
        if is_first and scores.max() <= LEAST_GAIN_RATIO * max(float(scores.min()), 0.0):
            raise HardwareError(
                "auto focus found nothing sharp: all frames of its sweep look alike; choose a field with edges or "
                "focus by hand, the focus is as it was"
            )
        best_m = _vertex_m(distances_m, scores)
        if best_m is None:
            raise HardwareError(
                f"auto focus found no peak within {reach_m / UM:.0f} um of the working distance; focus by hand first, "
                "the focus is as it was"
            )
        return best_m

    def _sharpness(self, working_distance_m: float, probe: ImageSettings) -> float:
        machine = self.beam.machine
        machine.spend(2 * scan_time_s(probe) + machine.settings.timing.reduced_area_frame_s)
        self._focus_at(working_distance_m)
        frames = []
        for _ in range(2):
            rng = generator(machine.seed, Stream.AUTO_FOCUS, machine.state.focus_count)
            machine.state.focus_count += 1
            frames.append(self.beam.scan(probe, rng))
        return sharpness(*frames)

    def _focus_at(self, working_distance_m: float) -> None:
        state = self.beam.machine.beam_state(self.beam.beam_type)
        state.settings = replace(state.settings, working_distance_m=working_distance_m)

    def _blur_ratio(self) -> float:
        """Return the blur, one sigma, over the distance from focus."""
        optics = self.beam.machine.settings.optics
        is_ion = self.beam.beam_type is BeamType.ION
        return 0.5e-3 * (optics.ion_convergence_mrad if is_ion else optics.electron_convergence_mrad)


def sharpness(first: Pixels, second: Pixels) -> float:
    """Return the mean square gradient of what two frames of one scene share; their noise cancels."""
    return float(sum(np.mean(a * b) for a, b in zip(_gradient(first), _gradient(second), strict=True)))


def _gradient(pixels: Pixels) -> tuple[NDArray[np.float32], ...]:
    smooth = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), NOISE_SIGMA_PX)
    return tuple(np.asarray(cv2.Sobel(smooth, cv2.CV_32F, *order), np.float32) for order in ((1, 0), (0, 1)))


def _vertex_m(distances_m: Floats, scores: Floats) -> float | None:
    """Return the vertex of a parabola through one over the squared scores, None when there is none within the sweep.

    Sharp frames weigh more: far from focus little is left but noise.
    """
    middle_m, scale_m = float(distances_m.mean()), float(np.ptp(distances_m)) / 2
    at = (distances_m - middle_m) / scale_m
    kept = np.maximum(scores, LEAST_SCORE_RATIO * scores.max())
    bend, slope, _ = np.polyfit(at, kept**-2.0, 2, w=kept**2.0)
    vertex = -slope / (2 * bend) if bend > 0 else np.inf
    return middle_m + float(vertex) * scale_m if abs(vertex) <= 1 else None
