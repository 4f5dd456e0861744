"""Noise of fast frames, and whether coincidence can be measured on them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anchors.published_coincidence import published_disagreement_m
from anchors.row import Row
from drivers.simulator.driver import SimulatorPlugin
from drivers.simulator.settings import SimulatorSettings
from fibsem_runtime.core import CancelToken, Image, ImageSettings
from fibsem_runtime.core.errors import AlignmentError
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal import Kinematics
from fibsem_runtime.imaging import measure_coincidence

USUAL = "cells"
SCENES: dict[str, dict[str, Any]] = {
    USUAL: {},
    "no cells": {"cell_count": [0, 0], "crowded_cell_count": 0},
    "flat cells": {"cell_height_um": [0.5, 1.0], "cell_texture_fraction": 0.0},
}
"""The usual scene, a square without cells, and cells that hardly rise above the film."""

CASES = ((USUAL, 0.2, 1.0), (USUAL, 0.2, 0.2), (USUAL, 1.0, 1.0), ("no cells", 0.2, 1.0), ("flat cells", 0.2, 1.0))
"""Scene and the dwell times of electrons and ions in us."""


def neighbour_correlation(image: Image) -> float:
    """Return the correlation coefficient of horizontal neighbours."""
    values = image.data.astype(np.float64)
    return float(np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteResult:
    """One site imaged in both beams: by how much two sizes of detail disagree, infinite where a measure refuses.

    ``own_m`` by the runtime's measure, ``published_m`` by the published one, ``binned_m`` by that one on frames that
    were binned 2 x.
    """

    correlation: float
    own_m: float
    published_m: float
    binned_m: float


def image_site(found: SimulatorSettings, seed: int, electron_dwell_s: float, ion_dwell_s: float) -> SiteResult:
    """Image one site in both beams, electrons at 25 pA, and measure coincidence in both ways."""
    instrument = SimulatorPlugin().open(found, seed=seed, state_directory=None)
    instrument.electron_beam.set_current(25e-12)
    images = []
    for beam, dwell_time_s in ((instrument.electron_beam, electron_dwell_s), (instrument.ion_beam, ion_dwell_s)):
        beam.auto_contrast(cancel=CancelToken())
        request = ImageSettings(width_px=1536, height_px=1024, hfw_m=150 * UM, dwell_time_s=dwell_time_s)
        images.append(beam.acquire(request, cancel=CancelToken()))
    electron, ion = images
    stretch_ratio = Kinematics(instrument.chain).ion_stretch_ratio(instrument.stage.position())
    try:
        own_m = measure_coincidence(electron, ion, stretch_ratio).disagreement_m
    except AlignmentError:
        own_m = math.inf
    return SiteResult(
        correlation=neighbour_correlation(electron),
        own_m=own_m,
        published_m=published_disagreement_m(electron, ion, stretch_ratio),
        binned_m=published_disagreement_m(electron, ion, stretch_ratio, binned=2),
    )


def noisy_images(site_count: int) -> Iterator[Row]:
    """Compare frames at 0.2 and 1 us: noise, and whether coincidence is measured on them."""
    means: dict[float, float] = {}
    for scene, electron_us, ion_us in CASES:
        found = SimulatorSettings.model_validate({"scene": SCENES[scene]})
        results = [image_site(found, seed, electron_us * 1e-6, ion_us * 1e-6) for seed in range(1, site_count + 1)]
        if scene == USUAL and ion_us == 1:
            correlations = [result.correlation for result in results]
            means[electron_us] = statistics.mean(correlations)
            yield _noise_row(electron_us, correlations)
        yield from _coincidence_rows(f"{scene}, electrons 25 pA {electron_us:g} us, ions {ion_us:g} us", results)
    yield _odds_row(means)


def _coincidence_rows(name: str, results: list[SiteResult]) -> Iterator[Row]:
    """Compare with the session of the published measure, whose beams both imaged at 0.2 us."""
    is_session = name.endswith("ions 0.2 us")
    published = [result.published_m for result in results]
    yield Row(
        anchor=f"4 coincidence by the published measure, {name}",
        published="all refused (gate 2 um)" if is_session else "no run was reported",
        simulated=_counts(published),
        free="scene, field of 150 um, ion current 20 pA; nothing was fitted to it",
        agrees=f"{1 - _share(published, 2e-6):.0%} refused (published 100 %)"
        if is_session
        else "nothing to compare with",
    )
    if is_session:
        binned = [result.binned_m for result in results]
        yield Row(
            anchor=f"4 the same, frames binned 2 x, {name}",
            published="3 of 4 agree within 8 um, none within 2",
            simulated=_counts(binned),
            free="as above",
            agrees=f"{_share(binned, 8e-6):.0%} within 8 um (75 %), {_share(binned, 2e-6):.0%} within 2 (0 %)",
        )
    yield Row(
        anchor=f"4 coincidence by the runtime's measure, {name}",
        published="none: another measure",
        simulated=_counts([result.own_m for result in results]),
        free="as above",
        agrees="nothing to compare with",
    )


def _counts(disagreements_m: list[float]) -> str:
    within = [sum(value <= limit_m for value in disagreements_m) for limit_m in (8e-6, 2e-6, 0.75e-6)]
    return f"of {len(disagreements_m)}: {within[0]} agree within 8 um, {within[1]} within 2, {within[2]} within 0.75"


def _share(disagreements_m: list[float], limit_m: float) -> float:
    return sum(value <= limit_m for value in disagreements_m) / len(disagreements_m)


def _noise_row(electron_us: float, correlations: list[float]) -> Row:
    mean = statistics.mean(correlations)
    low, high = (0.11, 0.21) if electron_us < 1 else (0.3, 0.5)
    return Row(
        anchor=f"4 neighbour correlation, electrons 25 pA {electron_us:g} us",
        published="0.16" if electron_us < 1 else "0.3-0.5",
        simulated=f"{mean:.2f} ({min(correlations):.2f}-{max(correlations):.2f}, n {len(correlations)})",
        free="contrast of the scene, pixels of 98 nm, share of electrons that is detected (0.2)",
        agrees="yes" if low <= mean <= high else "no",
    )


def _odds_row(means: dict[float, float]) -> Row:
    """Compare how the correlation grows with the dwell time: signal over noise, c / (1 - c), grows as the dose does."""
    odds = {electron_us: mean / (1 - mean) for electron_us, mean in means.items()}
    published = [c / (1 - c) / (0.16 / 0.84) for c in (0.3, 0.5)]
    found = odds[1.0] / odds[0.2]
    return Row(
        anchor="4 growth of signal over noise, c / (1 - c), from 0.2 to 1 us",
        published=f"{published[0]:.1f}-{published[1]:.1f}",
        simulated=f"{found:.1f} (5 for shot noise alone)",
        free="none: contrast and detected share cancel",
        agrees="yes" if published[0] <= found <= published[1] else f"{found / published[1] - 1:+.0%} of its upper end",
    )
