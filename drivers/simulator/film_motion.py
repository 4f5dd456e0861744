"""The support film moves while the ion beam mills on it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.disturbances import Stream, generator
from drivers.simulator.process_settings import FilmMotionSettings
from drivers.simulator.process_state import FilmSite
from drivers.simulator.view import View
from fibsem_runtime.core.units import UM

MEAN_OF_HALF_NORMAL = math.sqrt(2 / math.pi)


def moved_by_film(view: View, sites: list[FilmSite], settings: FilmMotionSettings, *, seed: int) -> View:
    """Return what a beam sees of a film that has moved at the place that it looks at."""
    index = _site_at(sites, view, settings)
    if index is None:
        return view
    motion_m = film_motion_m(sites[index], index, settings, seed=seed)
    return View(origin=view.origin - motion_m, right=view.right, up=view.up, direction=view.direction)


def film_motion_m(site: FilmSite, index: int, settings: FilmMotionSettings, *, seed: int) -> NDArray[np.float64]:
    """Return how far a place of the film has moved, specimen frame."""
    share = -math.expm1(-site.charge_c / _charge_c(settings))
    return np.asarray(_reach_m(index, settings, seed=seed) * share * np.array(site.along))


def film_speed_m_per_c(sites: list[FilmSite], ion_view: View, settings: FilmMotionSettings, *, seed: int) -> float:
    """Return how fast the film moves with the charge where the ion beam looks, without sign."""
    index = _site_at(sites, ion_view, settings)
    spent_c = 0.0 if index is None else sites[index].charge_c
    reach_m = _reach_m(len(sites) if index is None else index, settings, seed=seed)
    return abs(reach_m) / _charge_c(settings) * math.exp(-spent_c / _charge_c(settings))


def _reach_m(index: int, settings: FilmMotionSettings, *, seed: int) -> float:
    """Return how far a place moves in the end."""
    drawn = float(generator(seed, Stream.FILM, index).normal())
    reach_um = settings.typical_um / MEAN_OF_HALF_NORMAL * drawn
    return float(np.clip(reach_um, -settings.largest_um, settings.largest_um)) * UM


def _charge_c(settings: FilmMotionSettings) -> float:
    return settings.charge_nc * 1e-9


def spend_on_film(sites: list[FilmSite], ion_view: View, charge_c: float, settings: FilmMotionSettings) -> None:
    """Note that milling has spent a charge where the ion beam looks; the film moves along its image's y."""
    index = _site_at(sites, ion_view, settings)
    if index is None:
        x_m, y_m = _on_film(ion_view)
        x, y, z = map(float, ion_view.up)
        sites.append(FilmSite(x_m=x_m, y_m=y_m, along=(x, y, z), charge_c=charge_c))
    else:
        sites[index].charge_c += charge_c


def _site_at(sites: list[FilmSite], view: View, settings: FilmMotionSettings) -> int | None:
    """Return the number of the site nearest to where a beam looks, None where nothing was milled near it."""
    x_m, y_m = _on_film(view)
    away_m = [math.hypot(site.x_m - x_m, site.y_m - y_m) for site in sites]
    nearest = min(range(len(sites)), key=away_m.__getitem__, default=None)
    return nearest if nearest is not None and away_m[nearest] <= settings.site_um * UM else None


def _on_film(view: View) -> tuple[float, float]:
    """Return where the beam's axis meets the film's plane, or the point it looks at where it runs along the film."""
    slope = float(view.direction[2])
    place = view.origin - view.direction * (view.origin[2] / slope) if abs(slope) > 1e-6 else view.origin
    return float(place[0]), float(place[1])
