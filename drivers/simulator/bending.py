"""Thin slabs that bend while they wait: when, and how the bent slab stands in the sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.disturbances import Stream, generator
from drivers.simulator.faces import U_AXIS, V_AXIS, displaced, widen
from drivers.simulator.lamella_site import STANDING, Site, open_site
from drivers.simulator.process_settings import BendingSettings
from drivers.simulator.process_state import LamellaState
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.slab import Slab, find_slab, slab_at
from drivers.simulator.view import View
from fibsem_runtime.core import SpecimenPosition
from fibsem_runtime.core.units import UM

Floats: TypeAlias = NDArray[np.float64]

SAME_M: Final = 3 * UM
"""Slabs nearer to each other than this are one and the same, milled further."""

RELIEF_REACH_M: Final = 15 * UM
RELIEF_STEP_M: Final = 0.15 * UM
"""How far beyond the end of a slab a slot relieves it, and how finely it is looked for (slots are 0.5 µm wide)."""

PARALLEL: Final = 0.999
"""Least cosine between the axes of a slab and of a cut that moves with it."""

RIGID_M: Final = 0.2 * UM
"""How far beyond its edges a slab moves as a whole: its faces are not quite straight."""

STEEPEST: Final = 0.4
"""Largest change of the displacement across a trench, so that it stays a trench."""


def watch_lamella(
    sample: Sample,
    lamellae: list[LamellaState],
    place_m: Floats,
    ion_view: View,
    settings: BendingSettings,
    *,
    seed: int,
    now_s: float,
    body: int = 0,
) -> None:
    """Note the slab that milling has just left in a body at ``place_m``: from now on it may bend, or at another risk.

    Nothing happens where no slab thinner than that of the settings stands between two trenches that are cut through.
    """
    target = SpecimenPosition(x_m=float(place_m[0]), y_m=float(place_m[1]), z_m=float(place_m[2]))
    site = open_site(sample, target, ion_view)
    slab = slab_at(site) if site is not None else None
    if site is None or slab is None or not slab.is_through or slab.top_m - slab.bottom_m > settings.thickness_um * UM:
        return
    if not _is_between_trenches(sample, slab):
        return
    per_s = settings.hazard_per_s(is_relieved=is_relieved(site, slab))
    x_m, y_m, z_m = map(float, slab.point(*slab.key_points()["centre"]))
    known = next((one for one in lamellae if _is_same(one, body, (x_m, y_m, z_m))), None)
    if known is None:
        fate = float(generator(seed, Stream.BENDING, len(lamellae)).exponential())
        place = (x_m, y_m, z_m)
        new = LamellaState(body=body, place_m=place, since_s=now_s, hazard_per_s=per_s, fate_score=fate)
        lamellae.append(new)
        return
    known.hazard_score += known.hazard_per_s * (now_s - known.since_s)
    known.since_s, known.hazard_per_s = now_s, per_s


def _is_same(one: LamellaState, body: int, place_m: tuple[float, float, float]) -> bool:
    return one.body == body and math.dist(one.place_m, place_m) < SAME_M


def is_relieved(site: Site, slab: Slab) -> bool:
    """Tell whether beyond both ends of a slab, behind what stands there, a slot has been cut."""
    middle_m = (slab.bottom_m + slab.top_m) / 2
    for end_m, side in ((slab.left_m, -1), (slab.right_m, 1)):
        u = end_m + side * np.arange(RELIEF_STEP_M, RELIEF_REACH_M, RELIEF_STEP_M)
        is_open = site.states(u, np.full_like(u, middle_m), slab.limit_m) > STANDING
        stands_first = np.flatnonzero(~is_open)
        if len(stands_first) == 0 or not is_open[stands_first[0] :].any():
            return False
    return True


def bend_due(
    samples: Mapping[int, Sample],
    lamellae: list[LamellaState],
    ion_view: View,
    settings: BendingSettings,
    *,
    seed: int,
    now_s: float,
) -> list[Cut]:
    """Bend the slabs whose time has come and return the cuts that changed; ``samples`` are those of the bodies."""
    changed: list[Cut] = []
    for index, one in enumerate(lamellae):
        gathered = one.hazard_score + one.hazard_per_s * (now_s - one.since_s)
        if one.bend_m is not None or gathered < one.fate_score:
            continue
        x_m, y_m, z_m = one.place_m
        slab = find_slab(samples[one.body], SpecimenPosition(x_m=x_m, y_m=y_m, z_m=z_m), ion_view)
        rng = generator(seed, Stream.BENDING, index, 1)
        one.bend_m = float(rng.choice([-1, 1]) * rng.uniform(0.5, 1.5)) * settings.bulge_um * UM
        if slab is not None:
            changed += bend(samples[one.body], slab, one.bend_m)
    return changed


def bend(sample: Sample, slab: Slab, bulge_m: float) -> list[Cut]:
    """Bend a slab by ``bulge_m`` in its middle, along the up of its view, and return the cuts that changed.

    It is held at both ends, and moves as a whole across its thickness: the fronts of all cuts that bound it move with
    it, less and less towards the far walls of the trenches. What is bent stays within the old surface.
    """
    moved = []
    for cut in sample.cuts:
        axis = _axis_along(cut, slab)
        if axis is None:
            continue
        widen(cut, abs(bulge_m))
        displacement_m = _displacement_m(cut, slab, bulge_m)
        if np.any(displacement_m):
            sign = math.copysign(1.0, float(cut.axes[0 if axis == U_AXIS else 1] @ slab.view.up))
            pitch_m = cut.du_m if axis == U_AXIS else cut.dv_m
            front_m = displaced(cut.front_m.astype(np.float64), -sign * displacement_m / pitch_m, axis)
            cut.front_m = front_m.astype(np.float32)
            moved.append(cut)
    return moved


def _axis_along(cut: Cut, slab: Slab) -> int | None:
    """Return the axis of a cut's array along the up of a slab's view, None for a cut of another frame."""
    if abs(float(cut.axes[2] @ slab.view.direction)) <= PARALLEL or not np.isfinite(cut.front_m).any():
        return None
    along = {axis: abs(float(cut.axes[n] @ slab.view.up)) for n, axis in enumerate((U_AXIS, V_AXIS))}
    return next((axis for axis, share in along.items() if share > PARALLEL), None)


def _is_between_trenches(sample: Sample, slab: Slab) -> bool:
    """Tell whether at least two cuts along the slab bound it; what stands between the arms of a cross is no lamella."""
    bounding = [
        cut
        for cut in sample.cuts
        if _axis_along(cut, slab) is not None
        and bool((np.isfinite(cut.front_m) & (_displacement_m(cut, slab, RIGID_M) != 0)).any())
    ]
    return len(bounding) >= 2


def _displacement_m(cut: Cut, slab: Slab, bulge_m: float) -> Floats:
    """Return (v, u): how far what stands at each ray of a cut moves along the up of the slab's view."""
    rows, columns = cut.front_m.shape
    u = cut.u0_m + cut.du_m * np.arange(columns)
    v = cut.v0_m + cut.dv_m * np.arange(rows)
    right, up = (
        (cut.axes[:2] @ axis, (cut.origin - slab.view.origin) @ axis) for axis in (slab.view.right, slab.view.up)
    )
    x_m = right[1] + v[:, np.newaxis] * right[0][1] + u[np.newaxis, :] * right[0][0]
    y_m = up[1] + v[:, np.newaxis] * up[0][1] + u[np.newaxis, :] * up[0][0]
    across = np.clip((x_m - (slab.left_m + slab.right_m) / 2) / (slab.right_m - slab.left_m), -0.5, 0.5)
    middle_m, half_m = (slab.bottom_m + slab.top_m) / 2, (slab.top_m - slab.bottom_m) / 2
    beyond_m = np.abs(y_m - middle_m) - half_m - abs(bulge_m) - RIGID_M
    held = np.clip(beyond_m * STEEPEST / max(abs(bulge_m), 1e-12), 0, 1)
    return np.asarray(bulge_m * np.cos(math.pi * across) ** 2 * (1 - held))
