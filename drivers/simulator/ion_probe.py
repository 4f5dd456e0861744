"""The ion probe: a Gaussian core and a weak, wide tail, as a function of the beam current."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fibsem_runtime.core.errors import MillingError
from fibsem_runtime.core.units import NM, PA, format_quantity

PROBE_WIDTHS: Final = (
    (1 * PA, 5 * NM),
    (2 * PA, 10 * NM),
    (5 * PA, 14 * NM),
    (10 * PA, 25 * NM),
    (20 * PA, 35 * NM),
    (50 * PA, 45 * NM),
    (100 * PA, 70 * NM),
    (300 * PA, 175 * NM),
    (700 * PA, 210 * NM),
    (1500 * PA, 240 * NM),
    (3000 * PA, 325 * NM),
    (7000 * PA, 650 * NM),
    (15000 * PA, 750 * NM),
    (30000 * PA, 1400 * NM),
    (65000 * PA, 2000 * NM),
    (100000 * PA, 3750 * NM),
)
"""Beam current (A) and probe width (m) at 30 kV: the probe table of one Zeiss Crossbeam (physics.md section 6).

Chosen over the ThermoFisher diameters of the same section because those are an unsourced prior; a ``width_ratio`` of
0.5 comes near to them.
"""

FWHM_PER_SIGMA: Final = 2 * math.sqrt(2 * math.log(2))
"""Full width at half maximum of a Gaussian over its sigma; the table's widths are read as such (assumed)."""


class ProbeSettings(BaseModel):
    """How wide the ion probe is.

    ``width_ratio`` scales the table (physics.md section 10: 0.5-1). ``tail_fraction`` of the current lies in a second
    Gaussian ``tail_width_ratio`` times as wide: 1e-3 to 1e-2 and 3-10 (section 4, assumed); 0 switches it off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width_ratio: float = Field(default=1.0, gt=0, le=4)
    tail_fraction: float = Field(default=0.003, ge=0, le=0.1)
    tail_width_ratio: float = Field(default=4.0, gt=1, le=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class IonProbe:
    """Lateral distribution of the current: Gaussians of ``sigma_m`` and, for ``tail_fraction``, of ``tail_sigma_m``."""

    current_a: float
    sigma_m: float
    tail_fraction: float
    tail_sigma_m: float

    @property
    def reach_m(self) -> float:
        """Return the distance from a pattern beyond which its dose is not followed.

        Five sigma of the core and 3.5 of the tail: there 20 µm deep milling removes about 0.01 nm (calc).
        """
        return max(5 * self.sigma_m, 3.5 * self.tail_sigma_m if self.tail_fraction > 0 else 0.0)


def probe_for(current_a: float, settings: ProbeSettings | None = None) -> IonProbe:
    """Return the probe at a current, its width interpolated in log current and log width.

    Raises `MillingError` outside the table's 1 pA to 100 nA: a width is not extrapolated.
    """
    lowest_a, highest_a = PROBE_WIDTHS[0][0], PROBE_WIDTHS[-1][0]
    if not lowest_a * (1 - 1e-9) <= current_a <= highest_a * (1 + 1e-9):
        raise MillingError(
            f"no probe width is known for {format_quantity(current_a, 'A')}; choose a current between "
            f"{format_quantity(lowest_a, 'A')} and {format_quantity(highest_a, 'A')}"
        )
    chosen = settings or ProbeSettings()
    currents, widths = np.log(np.array(PROBE_WIDTHS)).T
    width_m = math.exp(float(np.interp(math.log(current_a), currents, widths)))
    sigma_m = chosen.width_ratio * width_m / FWHM_PER_SIGMA
    return IonProbe(
        current_a=current_a,
        sigma_m=sigma_m,
        tail_fraction=chosen.tail_fraction,
        tail_sigma_m=chosen.tail_width_ratio * sigma_m,
    )
