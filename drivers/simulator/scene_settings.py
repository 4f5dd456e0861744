"""What lies on the simulated grid square, in the units people speak."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

Range: TypeAlias = tuple[float, float]


class HoleSettings(BaseModel):
    """Round holes on a square lattice; R2/2 films have 2 µm holes 4 µm apart (physics.md section 12, anchor 9)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    diameter_um: float = Field(default=2.0, gt=0.5, le=20)
    lattice_um: float = Field(default=4.0, gt=1, le=40)

    @model_validator(mode="after")
    def _refuse_overlap(self) -> HoleSettings:
        if self.lattice_um < 1.2 * self.diameter_um:
            raise ValueError(
                f"holes of {self.diameter_um:g} µm need a lattice_um of at least {1.2 * self.diameter_um:g}, "
                f"got {self.lattice_um:g}"
            )
        return self


class SceneSettings(BaseModel):
    """One grid square with cells on a support film, plunge-frozen and coated.

    Square and bars: a 100-mesh grid, pitch 254 µm (assumed; wide squares keep lamellae apart). Cell and film sizes: the
    simulator's specification, typical adherent cells (assumed). The coating's thickness is published nowhere
    (physics.md section 1; prior 0.3-3 µm): milling at a tenth of the rate of ice, 0.2 µm let cells be cut through at
    15° by 10-20 µm worth of ice dose, near to published doses (Zachs 2020: 10 µm). Ice halo, roughness and
    contamination are assumed. Zero switches off: ``coating_um``, ``coating_variation_fraction``, ``ice_film_um``,
    ``ice_halo_um``, ``crystal_count``, ``roughness_nm``, ``cell_texture_fraction``; ``holes: null`` makes the film
    continuous.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["cells"] = "cells"
    map_width_um: float = Field(default=300.0, ge=40, le=400)
    pitch_um: float = Field(default=0.15, ge=0.1, le=0.5)
    square_um: float = Field(default=205.0, ge=20, le=390)
    square_rotation_max_deg: float = Field(default=4.0, ge=0, le=45)
    bar_thickness_um: float = Field(default=18.0, ge=1, le=50)
    film_thickness_nm: float = Field(default=12.0, ge=5, le=100)
    holes: HoleSettings | None = None
    cell_count: tuple[int, int] = (8, 14)
    crowded_cell_count: int = Field(default=3, ge=0, le=20)
    cell_radius_um: Range = (5.0, 10.0)
    cell_height_um: Range = (2.5, 6.0)
    cell_texture_fraction: float = Field(default=0.05, ge=0, le=0.2)
    ice_film_um: float = Field(default=0.0, ge=0, le=2)
    ice_halo_um: float = Field(default=0.3, ge=0, le=3)
    coating_um: float = Field(default=0.2, ge=0, le=3)
    coating_variation_fraction: float = Field(default=0.15, ge=0, le=0.5)
    roughness_nm: float = Field(default=15.0, ge=0, le=200)
    crystal_count: int = Field(default=60, ge=0, le=1000)
    crystal_size_um: Range = (0.4, 2.0)

    @model_validator(mode="after")
    def _refuse_impossible(self) -> SceneSettings:
        for name in ("cell_count", "cell_radius_um", "cell_height_um", "crystal_size_um"):
            low, high = getattr(self, name)
            if not 0 <= low <= high or (name != "cell_count" and low == 0):
                raise ValueError(f"{name} needs its smaller end first and above zero, got {low:g} to {high:g}")
        if self.cell_count[1] > 60:
            raise ValueError(f"at most 60 cells are modelled, got {self.cell_count[1]}")
        if self.square_um > self.map_width_um - 10:
            raise ValueError(
                f"square_um {self.square_um:g} leaves no bar within map_width_um {self.map_width_um:g}; "
                "make the map at least 10 µm wider"
            )
        if 2 * self.cell_radius_um[1] > self.square_um - 10:
            raise ValueError(
                f"cell_radius_um {self.cell_radius_um[1]:g} does not fit a square of {self.square_um:g} µm"
            )
        return self
