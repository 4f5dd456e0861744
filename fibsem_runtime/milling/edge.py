"""Where a through-cut edge lies beyond the edge of its pattern, so that a preset can aim at a thickness.

A Gaussian beam swept evenly over a half plane leaves a dose that falls across the pattern's edge as the Gaussian
cumulative distribution: at a distance d outside it is a fraction Phi(-d / sigma) of the dose inside. Material is cut
through where that fraction times the overdose ratio reaches one, so the cut ends at d = sigma x Phi^-1(1 - 1/ratio)
(calc). The half plane is a good model for patterns several sigma high; beam tails, taper by grazing incidence and drift
are not in it.
"""

from __future__ import annotations

from statistics import NormalDist

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.core.units import format_quantity


def edge_recession_m(*, beam_sigma_m: float, dose_ratio: float) -> float:
    """Return how far the cut reaches beyond the pattern's edge, in metres; negative below twice the needed dose.

    ``dose_ratio`` is the dose given over the dose that cuts through: the milled depth over the length of material along
    the beam. Raises `ConfigError` when the dose does not cut through at all (ratio of 1 or less).
    """
    if dose_ratio <= 1:
        raise ConfigError(
            f"a dose ratio of {dose_ratio:g} does not cut through; give more than 1, for example a larger depth_um"
        )
    if beam_sigma_m < 0:
        raise ConfigError(f"a beam width is 0 m or more, got {beam_sigma_m:g} m")
    return beam_sigma_m * NormalDist().inv_cdf(1 - 1 / dose_ratio)


def trench_spacing_for(target_thickness_m: float, *, beam_sigma_m: float, dose_ratio: float) -> float:
    """Return the trench spacing, in metres, that leaves a lamella of ``target_thickness_m`` between two through-cuts.

    Raises `ConfigError` when the beam is too wide to leave a pattern gap at all or the dose does not cut through.
    """
    recession_m = edge_recession_m(beam_sigma_m=beam_sigma_m, dose_ratio=dose_ratio)
    spacing_m = target_thickness_m + 2 * recession_m
    if target_thickness_m <= 0 or spacing_m <= 0:
        raise ConfigError(
            f"no trench spacing leaves {format_quantity(target_thickness_m, 'm')}: a dose ratio of {dose_ratio:g} "
            f"moves each edge by {format_quantity(recession_m, 'm')}; ask for a thicker lamella or a larger depth_um"
        )
    return spacing_m


def lamella_thickness_for(spacing_m: float, *, beam_sigma_m: float, dose_ratio: float) -> float:
    """Return the thickness, in metres, that a trench spacing leaves; 0 when the lamella is milled away."""
    return max(0.0, spacing_m - 2 * edge_recession_m(beam_sigma_m=beam_sigma_m, dose_ratio=dose_ratio))
