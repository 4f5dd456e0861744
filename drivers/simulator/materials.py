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
    """Volume removed per charge at 30 kV Ga, in µm³/nC; one number a material, incidence is not modelled.

    Ice and frozen cells: dose calibrated by Zachs 2020, effective in cross-section mode, range 3-13 (physics.md
    sections 3 and 10). Cold GIS platinum: a tenth of ice, range 0.05-0.3 (assumed, FIB-view; section 10). Carbon film
    and gold bars: vendor table (section 3), incidence not stated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ice_um3_per_nc: float = Field(default=5.0, gt=0, le=100)
    cell_um3_per_nc: float = Field(default=5.0, gt=0, le=100)
    coating_um3_per_nc: float = Field(default=0.5, gt=0, le=100)
    film_um3_per_nc: float = Field(default=0.18, gt=0, le=100)
    bar_um3_per_nc: float = Field(default=1.5, gt=0, le=100)


def removal_rates(settings: RemovalSettings | None = None) -> NDArray[np.float64]:
    """Return the removal rate of every `Material`, indexed by its number, in m³/C; infinite for vacuum."""
    chosen = settings or RemovalSettings()
    rates = np.full(len(Material), np.inf)
    rates[Material.FILM] = chosen.film_um3_per_nc
    rates[Material.ICE] = chosen.ice_um3_per_nc
    rates[Material.CELL] = chosen.cell_um3_per_nc
    rates[Material.BAR] = chosen.bar_um3_per_nc
    rates[Material.COATING] = chosen.coating_um3_per_nc
    return rates * UM3_PER_NC
