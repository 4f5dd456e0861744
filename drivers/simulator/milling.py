"""Milling by dose: where the beam has been, and how deep it has eaten."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.columns import ICE, lay_out_terrain
from drivers.simulator.footprint import Footprint, footprint_of
from drivers.simulator.ion_probe import IonProbe, ProbeSettings, probe_for
from drivers.simulator.materials import RemovalSettings, grazing_peaks, removal_rates
from drivers.simulator.pattern import DrawnPattern, Stroke, draw_pattern
from drivers.simulator.rays import deepen, lay_out_cuts
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.view import View
from fibsem_runtime.core.errors import MillingError
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal.shapes import Shape

__all__ = [
    "DrawnPattern",
    "IonProbe",
    "ProbeSettings",
    "RemovalSettings",
    "draw_pattern",
    "mill",
    "open_cuts",
    "probe_for",
    "removal_rates",
]

Limits: TypeAlias = tuple[float, float]
"""Lower and upper end, metres."""

DRIFT_ROOM_M: Final = 0.3 * UM
"""Room around a pattern for drift; a cut grows when that is not enough."""

LEAST_REMOVAL_M: Final = 1e-12
"""Ice removed by a dose too small to be followed; a hundred sub-steps lose less than 0.1 nm of depth."""

TURN_LIMIT: Final = 1e-4
"""Largest change of the beam's axes within one cut, radians."""


def open_cuts(sample: Sample, pattern: DrawnPattern, view: View, *, probe: IonProbe | None = None) -> list[Cut]:
    """Append one untouched cut a shape to ``sample.cuts`` and return them, in the order of the shapes.

    Each is aligned with its shape, v along the travel of the milled line, where its samples are closest. ``probe`` sets
    how close; without it the standard probe of the pattern's current does. Raises `MillingError` when the beam does not
    come from above the film.
    """
    if view.direction[2] > -0.02:
        raise MillingError(
            "the ion beam does not reach the sample from above; tilt or rotate the stage to a milling pose"
        )
    chosen = probe or probe_for(pattern.current_a)
    cuts = [_open_cut(shape, view, chosen) for shape in pattern.shapes]
    sample.cuts.extend(cuts)
    return cuts


def mill(
    sample: Sample,
    cuts: list[Cut],
    pattern: DrawnPattern,
    probe: IonProbe,
    view: View,
    *,
    from_s: float,
    until_s: float,
    removal: RemovalSettings | None = None,
    shadow: Callable[[Cut, NDArray[np.bool_]], NDArray[np.bool_]] | None = None,
) -> None:
    """Deposit the dose of ``pattern`` between two moments of its beam time, seen as ``view`` sees the sample now.

    ``cuts`` are those of `open_cuts` for the same pattern; only their fronts (and grids, when drift has carried the
    pattern out of them) change. Pieces of an interval add up to the whole. Raises `MillingError` when the sample has
    been tilted or turned since the cuts were opened. ``shadow`` is given a cut and (v, u) where its dose matters and
    returns (v, u) False where something else stands before the sample there.
    """
    terrain = lay_out_terrain(sample)
    rates = np.array([removal_rates(removal), grazing_peaks(removal)])
    for stroke in pattern.strokes(from_s, until_s):
        cut = cuts[stroke.shape_index]
        shape = pattern.shapes[stroke.shape_index]
        footprint = footprint_of(shape)
        _refuse_turned(cut, footprint, view)
        place_m = cut.axes[:2] @ (_centre_of(shape, view) - cut.origin)
        _make_room(cut, place_m, footprint.half_size_m, probe.reach_m)
        others = lay_out_cuts([c for c in sample.cuts if c is not cut], cut, terrain)
        grid = np.array([*cut.origin, *cut.axes.ravel(), cut.u0_m, cut.du_m, cut.v0_m, cut.dv_m])
        charge = _charge(cut, footprint, place_m, stroke, probe)
        if shadow is not None:
            charge *= shadow(cut, charge * rates[0, ICE] >= LEAST_REMOVAL_M)
        deepen(cut.front_m, grid, charge, terrain, others, rates, LEAST_REMOVAL_M)


def _charge(
    cut: Cut, footprint: Footprint, place_m: NDArray[np.float64], stroke: Stroke, probe: IonProbe
) -> NDArray[np.float64]:
    """Return (v, u) float64, C/m²: the dose of core and tail with the shape's centre at ``place_m``."""
    rows, columns = cut.front_m.shape
    u_m = _samples_m(cut.u0_m, cut.du_m, columns) - place_m[0]
    v_m = _samples_m(cut.v0_m, cut.dv_m, rows) - place_m[1]
    charge = (1 - probe.tail_fraction) * footprint.dose(u_m, v_m, stroke, probe.sigma_m)
    if probe.tail_fraction > 0:
        charge += probe.tail_fraction * footprint.dose(u_m, v_m, stroke, probe.tail_sigma_m)
    return np.asarray(stroke.charge_c_per_m2 * charge)


def _axes_of(footprint: Footprint, view: View) -> NDArray[np.float64]:
    """Return (u, v, w) of a footprint in the specimen frame, w along the ions."""
    cos, sin = math.cos(footprint.angle_rad), math.sin(footprint.angle_rad)
    across = cos * view.right + sin * view.up
    return np.array([across, cos * view.up - sin * view.right, view.direction], np.float64)


def _centre_of(shape: Shape, view: View) -> NDArray[np.float64]:
    """Return the point of the specimen frame under the shape's centre, in the plane of the view's origin."""
    return np.asarray(view.origin + shape.centre.x_m * view.right + shape.centre.y_m * view.up, np.float64)


def _refuse_turned(cut: Cut, footprint: Footprint, view: View) -> None:
    if np.abs(_axes_of(footprint, view) - cut.axes).max() > TURN_LIMIT:
        raise MillingError("the sample was tilted or turned while a pattern was drawn; stop, draw it again and mill on")


def _open_cut(shape: Shape, view: View, probe: IonProbe) -> Cut:
    footprint = footprint_of(shape)
    half_u_m, half_v_m = footprint.half_size_m
    du_m, dv_m = footprint.pitch_m(probe.sigma_m)
    margin_m = DRIFT_ROOM_M + probe.reach_m
    columns, rows = (2 * math.ceil((half + margin_m) / d) + 1 for half, d in ((half_u_m, du_m), (half_v_m, dv_m)))
    centre = _centre_of(shape, view)
    # The origin lies on the film's plane, so that fronts are small numbers and float32 keeps them to picometres.
    return Cut(
        origin=np.asarray(centre - view.direction * (centre[2] / view.direction[2])),
        axes=_axes_of(footprint, view),
        u0_m=-(columns - 1) / 2 * du_m,
        du_m=du_m,
        v0_m=-(rows - 1) / 2 * dv_m,
        dv_m=dv_m,
        front_m=np.full((rows, columns), -np.inf, np.float32),
        drawn_m=np.array([[-half_u_m, -half_v_m], [half_u_m, half_v_m]]),
    )


def _samples_m(start_m: float, pitch_m: float, count: int) -> NDArray[np.float64]:
    return np.asarray(start_m + pitch_m * np.arange(count), np.float64)


def _make_room(cut: Cut, place_m: NDArray[np.float64], half_size_m: tuple[float, float], reach_m: float) -> None:
    """Enlarge the cut's grid where the dose of a shape at ``place_m`` would leave it."""
    ends_u_m, ends_v_m = ((float(at) - half, float(at) + half) for at, half in zip(place_m, half_size_m, strict=True))
    before_u, after_u = _missing(cut.u0_m, cut.du_m, cut.front_m.shape[1], ends_u_m, reach_m)
    before_v, after_v = _missing(cut.v0_m, cut.dv_m, cut.front_m.shape[0], ends_v_m, reach_m)
    if before_u or after_u or before_v or after_v:
        cut.front_m = np.pad(cut.front_m, ((before_v, after_v), (before_u, after_u)), constant_values=-np.inf)
        cut.u0_m -= before_u * cut.du_m
        cut.v0_m -= before_v * cut.dv_m


def _missing(start_m: float, pitch_m: float, count: int, limits_m: Limits, reach_m: float) -> tuple[int, int]:
    """Return how many samples to add before and after, with fresh room for drift."""
    before_m = start_m - (limits_m[0] - reach_m)
    after_m = limits_m[1] + reach_m - (start_m + pitch_m * (count - 1))
    return (
        math.ceil((before_m + DRIFT_ROOM_M) / pitch_m) if before_m > 0 else 0,
        math.ceil((after_m + DRIFT_ROOM_M) / pitch_m) if after_m > 0 else 0,
    )
