"""What is milled away and lands on other faces of the same cavity, until narrow slots close."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulator.columns import lay_out_terrain
from drivers.simulator.faces import grow_on_faces, open_fronts
from drivers.simulator.process_settings import RedepositionSettings
from drivers.simulator.rays import lay_out_cuts
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.survey import FIRST_UNCUT, LAST_UNCUT, survey_rays
from fibsem_runtime.core.units import UM

Floats: TypeAlias = NDArray[np.float64]

SAMPLES_PER_REACH: Final = 4
"""How finely the removed depth is sampled before it is spread."""

SAME_CAVITY_FRACTION: Final = 0.01
"""A cut belongs to the cavity when a ray that it has dug is removed to this part of the largest depth (numerical)."""

PARALLEL: Final = 1e-4
"""Largest difference between the beam's directions of two cuts of one cavity."""


def redeposit(
    sample: Sample, milled: Sequence[Cut], before: Sequence[Cut], settings: RedepositionSettings
) -> list[Cut]:
    """Let part of what ``milled`` has removed since ``before`` grow on older faces near by; return the cuts changed.

    The faces of the milled cuts themselves stay as they are, because the beam passes them again; so do faces behind
    standing material, which cannot be reached.
    """
    thickness_m: list[Floats | float] = [0.0] * len(sample.cuts)
    for cut, old in zip(milled, before, strict=True):
        step_u, step_v = (max(1, int(settings.reach_um * UM / SAMPLES_PER_REACH / d)) for d in (cut.du_m, cut.dv_m))
        removed_m = _removed_m(sample, cut, old)[::step_v, ::step_u]
        if not removed_m.any():
            continue
        steps_m = (step_u * cut.du_m, step_v * cut.dv_m)
        spread_m = _spread(removed_m, settings.reach_um * UM, steps_m)
        for index, other in enumerate(sample.cuts):
            if (
                not other.is_milled
                or any(other is one for one in milled)
                or np.abs(other.axes[2] - cut.axes[2]).max() > PARALLEL
            ):
                continue
            places = _places(other, cut, steps_m)
            if _is_one_cavity(other, _read(removed_m, places), removed_m.max()):
                thickness_m[index] = thickness_m[index] + settings.sticking_fraction * _read(spread_m, places)
    grow_on_faces(sample, thickness_m)
    return [cut for cut, grown_m in zip(sample.cuts, thickness_m, strict=True) if np.any(grown_m)]


def _removed_m(sample: Sample, cut: Cut, old: Cut) -> Floats:
    """Return (v, u): the length of material that has gone on each ray of ``cut`` since ``old``."""
    rows, columns = cut.front_m.shape
    v, u = np.meshgrid(cut.v0_m + cut.dv_m * np.arange(rows), cut.u0_m + cut.du_m * np.arange(columns), indexing="ij")
    points = cut.origin + np.multiply.outer(u.ravel(), cut.axes[0]) + np.multiply.outer(v.ravel(), cut.axes[1])
    terrain = lay_out_terrain(sample)
    nothing = lay_out_cuts([], cut, terrain)
    until, cells = np.full(len(points), np.inf), np.zeros((len(points), 0), np.bool_)
    rays = survey_rays(points, cut.axes[2], until, terrain, nothing, 0.0, 1.0, cells)
    first_m, last_m = (rays[:, n].reshape(rows, columns) for n in (FIRST_UNCUT, LAST_UNCUT))
    without = replace(sample, cuts=[c for c in sample.cuts if c is not cut])
    earlier_m = open_fronts(without, _on_grid_of(cut, old))
    after_m, before_m = (_within(front_m, first_m, last_m) for front_m in (cut.front_m, earlier_m))
    return np.asarray(np.where(np.isfinite(first_m), np.maximum(after_m - before_m, 0.0), 0.0))


def _within(front_m: NDArray[np.floating], first_m: Floats, last_m: Floats) -> Floats:
    """Return how far a front has come within the material of each ray."""
    return np.asarray(np.clip(front_m, first_m, np.maximum(first_m, last_m)), np.float64)


def _on_grid_of(cut: Cut, old: Cut) -> Cut:
    """Return the older state of a cut on its present grid, which may have grown around it."""
    front_m = np.full_like(cut.front_m, -np.inf)
    row, column = round((old.v0_m - cut.v0_m) / cut.dv_m), round((old.u0_m - cut.u0_m) / cut.du_m)
    rows, columns = old.front_m.shape
    front_m[row : row + rows, column : column + columns] = old.front_m
    return replace(cut, front_m=front_m)


def _spread(removed_m: Floats, reach_m: float, steps_m: tuple[float, float]) -> Floats:
    """Return a map blurred by the reach, with room around it."""
    sigmas = [reach_m / step_m for step_m in steps_m]
    sizes = [2 * math.ceil(4 * sigma) + 1 for sigma in sigmas]
    return np.asarray(
        cv2.GaussianBlur(removed_m, sizes, sigmaX=sigmas[0], sigmaY=sigmas[1], borderType=cv2.BORDER_CONSTANT)
    )


def _places(other: Cut, cut: Cut, steps_m: tuple[float, float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return where the rays of ``other`` lie in the coarse map of ``cut``, columns and rows."""
    rows, columns = other.front_m.shape
    u = other.u0_m + other.du_m * np.arange(columns)[np.newaxis, :]
    v = other.v0_m + other.dv_m * np.arange(rows)[:, np.newaxis]
    turn = cut.axes[:2] @ other.axes[:2].T
    shift_m = cut.axes[:2] @ (other.origin - cut.origin)
    at_u, at_v = (shift_m[n] + turn[n, 0] * u + turn[n, 1] * v for n in (0, 1))
    return (
        ((at_u - cut.u0_m) / steps_m[0]).astype(np.float32),
        ((at_v - cut.v0_m) / steps_m[1]).astype(np.float32),
    )


def _read(values: Floats, places: tuple[NDArray[np.float32], NDArray[np.float32]]) -> Floats:
    return np.asarray(cv2.remap(values, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float64)


def _is_one_cavity(other: Cut, removed_m: Floats, largest_m: float) -> bool:
    """Tell whether the milled region has opened into what ``other`` has dug."""
    return bool((np.isfinite(other.front_m) & (removed_m > SAME_CAVITY_FRACTION * largest_m)).any())
