"""What has happened to the simulated sample by itself or by gas: part of the state on the disk."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Triple: TypeAlias = tuple[float, float, float]


class ProcessPart(BaseModel):
    """Part of the state; unknown keys forbidden, changed in place by its process."""

    model_config = ConfigDict(extra="forbid")


class LamellaState(ProcessPart):
    """A thin slab and its risk of bending.

    ``hazard`` is the risk gathered until ``since_s``, from then on it grows by ``hazard_per_s``; the slab bends when it
    passes ``fate``. It stands in ``body``, ``place_m`` is in that body's frame.
    """

    body: int
    place_m: Triple
    since_s: float
    hazard_score: float = 0.0
    hazard_per_s: float
    fate_score: float
    bend_m: float | None = None


class LayerKind(StrEnum):
    """Name what a layer is made of."""

    GAS = "gas"
    SPUTTERED = "sputtered"


class Layer(ProcessPart):
    """Something deposited on the whole of a body: thickest at one point, falling off as a Gaussian where ``sigma_m``.

    The point is in the body's own frame.
    """

    body: int
    kind: LayerKind
    thickness_m: float
    x_m: float = 0.0
    y_m: float = 0.0
    sigma_m: float | None = None


class FilmSite(ProcessPart):
    """A place of the support film, the charge that milling has spent on it and the direction in which it moves."""

    x_m: float
    y_m: float
    charge_c: float
    along: Triple


class ProcessState(ProcessPart):
    """Everything that processes remember.

    ``ice_count`` counts the equal steps in which ice has grown so far, ``freed_at_counts`` those before each piece came
    free, by its number: what grew until then is in its file.
    """

    ice_count: int = 0
    freed_at_counts: dict[int, int] = Field(default_factory=dict)
    lamellae: list[LamellaState] = Field(default_factory=list)
    layers: list[Layer] = Field(default_factory=list)
    film_sites: list[FilmSite] = Field(default_factory=list)

    def ice_count_on(self, number: int) -> int:
        """Return the steps in which ice has grown on a body since it was built or came free."""
        return self.ice_count - self.freed_at_counts.get(number, 0)
