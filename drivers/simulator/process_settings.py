"""What happens to the sample besides milling: one section, one switch and one source for each process."""

from __future__ import annotations

import math
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from fibsem_runtime.core.units import NM

SECONDS_PER_HOUR: Final = 3600.0


class Process(BaseModel):
    """One process with its switch; frozen, unknown keys and infinite numbers forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    enabled: bool = True


class BendingSettings(Process):
    """Thin slabs bend with time: 9 of 20 were lost in a session with rough lamellae that waited 10 h (physics.md 9).

    A constant risk that gives this share after 10 h; its shape is unknown (exponential assumed). Slots at both ends
    (micro-expansion joints, Wolff 2019) leave ``relieved_ratio`` of it: that relief helps is published, how much is
    assumed. Thicker slabs than ``thickness_um`` are stiff (assumed; the rough lamellae of that session were about
    0.5 µm). A bent slab bulges by ``bulge_um`` in the middle, half to one and a half times, to a random side (assumed).
    """

    lost_after_10_h_fraction: float = Field(default=9 / 20, ge=0, lt=1)
    relieved_ratio: float = Field(default=0.1, ge=0, le=1)
    thickness_um: float = Field(default=1.0, gt=0)
    bulge_um: float = Field(default=0.8, ge=0, le=2)

    def hazard_per_s(self, *, is_relieved: bool) -> float:
        """Return the risk of bending per second, 1/s."""
        unrelieved = -math.log(1 - self.lost_after_10_h_fraction) / (10 * SECONDS_PER_HOUR)
        return unrelieved * (self.relieved_ratio if is_relieved else 1.0)


class IceGrowthSettings(Process):
    """Ice from the residual gas grows on everything that is cold: 50 nm/h, range 2-85 (physics.md 8 and 10).

    ``face_fraction``: share that reaches faces inside trenches, which see half of the chamber (assumed). Off by
    default: it is not known how fast it is on the instrument that a protocol is tested for.
    """

    enabled: bool = False
    rate_nm_per_h: float = Field(default=50.0, ge=0, le=1000)
    face_fraction: float = Field(default=0.5, ge=0, le=1)


class RedepositionSettings(Process):
    """What is milled away lands on other faces of the cavity near by; narrow slots close (physics.md 4).

    ``sticking_fraction`` of the removed depth grows on faces within about ``reach_um``: the bright halo around a burnt
    spot is 0.4 µm wide (#840); the fraction is assumed. Off by default.
    """

    enabled: bool = False
    sticking_fraction: float = Field(default=0.1, ge=0, le=1)
    reach_um: float = Field(default=0.4, gt=0, le=5)


class FilmMotionSettings(Process):
    """The support film moves under the ion beam: 0.3 µm typically (assumed), up to 2.5 in FIB y (physics.md 5 and 10).

    A random reach for each place of the film, approached with the milled charge: ``charge_nc`` is that of one lamella's
    first stage (milling.md 7, 180 nC; the shape is assumed). Off by default.
    """

    enabled: bool = False
    typical_um: float = Field(default=0.3, ge=0)
    largest_um: float = Field(default=2.5, ge=0)
    charge_nc: float = Field(default=180.0, gt=0)
    site_um: float = Field(default=30.0, gt=0)


class DamageSettings(Process):
    """Dead layer on each milled face: 30-60 nm for Ga (physics.md 8; Lucas, Tuijtel). It is told by the truth only."""

    layer_nm: float = Field(default=30.0, ge=0, le=200)

    @property
    def layer_m(self) -> float:
        """Return the layer's thickness, 0 when it is switched off."""
        return self.layer_nm * NM if self.enabled else 0.0


class DepositionSettings(Process):
    """Platinum from the gas line and from the sputter coater; no rate is published (physics.md 1, both assumed).

    Gas: 45 s on a cold sample are taken as 2 µm (prior 0.3-3), warm lines and a beam are not told apart. It condenses
    around the point below the needle with a width of ``gas_sigma_um``. Sputtering: 15 s at 10 mA are taken as 5 nm.
    """

    gas_nm_per_s: float = Field(default=44.0, ge=0)
    gas_sigma_um: float = Field(default=300.0, gt=0)
    sputter_nm_per_ma_s: float = Field(default=0.033, ge=0)
    face_fraction: float = Field(default=0.5, ge=0, le=1)


class ProcessSettings(BaseModel):
    """All processes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bending: BendingSettings = BendingSettings()
    ice_growth: IceGrowthSettings = IceGrowthSettings()
    redeposition: RedepositionSettings = RedepositionSettings()
    film_motion: FilmMotionSettings = FilmMotionSettings()
    damage: DamageSettings = DamageSettings()
    deposition: DepositionSettings = DepositionSettings()
