"""How fast the ion beam eats each material."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from drivers.simulator.sample import Material

UM3_PER_NC: Final = 1e-9
"""One µm³/nC in m³/C."""


class RemovalSettings(BaseModel):
    """Volume removed per charge at 30 kV Ga, in µm³/nC.

    Ice and frozen cells: dose calibrated by Zachs 2020, effective in cross-section mode, range 3-13 (physics.md
    sections 3 and 10); grazing incidence is in it. Cold GIS platinum: a tenth of ice, range 0.05-0.3 (assumed,
    FIB-view; section 10). Carbon film, gold bars, copper posts and the tungsten needle: vendor table (section 3),
    incidence not stated. The rates of coating, film and metals are read as those at normal incidence: they rise with
    1 / cos(incidence) up to ``grazing_peak_ratio``, 8, range 4-10 (section 10, TU Wien; the shape is assumed); 1
    switches that off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ice_um3_per_nc: float = Field(default=5.0, gt=0, le=100)
    cell_um3_per_nc: float = Field(default=5.0, gt=0, le=100)
    coating_um3_per_nc: float = Field(default=0.5, gt=0, le=100)
    film_um3_per_nc: float = Field(default=0.18, gt=0, le=100)
    bar_um3_per_nc: float = Field(default=1.5, gt=0, le=100)
    copper_um3_per_nc: float = Field(default=0.25, gt=0, le=100)
    tungsten_um3_per_nc: float = Field(default=0.12, gt=0, le=100)
    grazing_peak_ratio: float = Field(default=8.0, ge=1, le=20)


def removal_rates(settings: RemovalSettings | None = None) -> NDArray[np.float64]:
    """Return the removal rate of every `Material`, indexed by its number, in m³/C; infinite for vacuum."""
    chosen = settings or RemovalSettings()
    rates = np.full(len(Material), np.inf)
    rates[Material.FILM] = chosen.film_um3_per_nc
    rates[Material.ICE] = chosen.ice_um3_per_nc
    rates[Material.CELL] = chosen.cell_um3_per_nc
    rates[Material.BAR] = chosen.bar_um3_per_nc
    rates[Material.COATING] = chosen.coating_um3_per_nc
    rates[Material.COPPER] = chosen.copper_um3_per_nc
    rates[Material.TUNGSTEN] = chosen.tungsten_um3_per_nc
    return rates * UM3_PER_NC


def grazing_peaks(settings: RemovalSettings | None = None) -> NDArray[np.float64]:
    """Return by how much the rate of every `Material` can rise at grazing incidence, indexed by its number."""
    chosen = settings or RemovalSettings()
    peaks = np.ones(len(Material))
    peaks[[Material.FILM, Material.BAR, Material.COATING, Material.COPPER, Material.TUNGSTEN]] = (
        chosen.grazing_peak_ratio
    )
    return peaks
