"""What lies on the shuttle, by the kind of scene: cells on a film, a waffle, or a block and what it is landed on."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from drivers.simulator.scene_settings import Range, SceneSettings


class CoatedSurface(BaseModel):
    """Surface of a frozen or metal body: grain, contamination and coating.

    ``coating_um`` is organometallic platinum from the gas injector, published nowhere (prior 0.3-3 µm, physics.md
    section 8); ``sputter_nm`` is metal on top of it, of even thickness (SerialFIB: W 4 nm; the default is assumed). The
    sputtered metal counts as coating. Roughness and crystals are assumed; zero switches each off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    map_width_um: float = Field(default=300.0, ge=20, le=1000)
    pitch_um: float = Field(default=0.2, ge=0.1, le=1)
    coating_um: float = Field(default=0.5, ge=0, le=5)
    coating_variation_fraction: float = Field(default=0.15, ge=0, le=0.5)
    sputter_nm: float = Field(default=10.0, ge=0, le=500)
    roughness_nm: float = Field(default=40.0, ge=0, le=500)
    crystal_count: int = Field(default=40, ge=0, le=1000)
    crystal_size_um: Range = (0.5, 3.0)

    @model_validator(mode="after")
    def _refuse_huge_map(self) -> CoatedSurface:
        if self.map_width_um / self.pitch_um > 2500:
            raise ValueError(
                f"a map of {self.map_width_um:g} µm needs a pitch_um of at least {self.map_width_um / 2500:.2g}, "
                f"got {self.pitch_um:g}"
            )
        return self


class WaffleSettings(CoatedSurface):
    """A slab of high-pressure frozen ice on a grid, its bars beneath the film (Kelley 2022, methods.md section 7).

    20-50 µm thick is issue 3; the planchette's turning marks, the share and size of the cells, which are columns
    through the whole slab, and the 200-mesh grid (pitch 125 µm) are assumed.
    """

    kind: Literal["waffle"] = "waffle"
    map_width_um: float = Field(default=260.0, ge=20, le=500)
    thickness_um: float = Field(default=30.0, ge=20, le=50)
    mark_spacing_um: float = Field(default=5.0, gt=1, le=50)
    mark_height_nm: float = Field(default=150.0, ge=0, le=2000)
    cell_fraction: float = Field(default=0.5, ge=0, le=1)
    cell_size_um: float = Field(default=4.0, gt=0.5, le=30)
    mesh_pitch_um: float = Field(default=125.0, gt=20, le=400)
    bar_width_um: float = Field(default=35.0, gt=1, le=200)
    bar_thickness_um: float = Field(default=18.0, ge=2, le=50)
    film_thickness_nm: float = Field(default=12.0, ge=5, le=100)


class BlockSettings(CoatedSurface):
    """A bulk of frozen tissue, as high-pressure frozen in a planchette: rough, deep, with clumps of ice on it.

    All numbers are assumed and were judged beside the lift-out images of ``data/autoliftout``.
    """

    roughness_nm: float = Field(default=90.0, ge=0, le=500)
    thickness_um: float = Field(default=80.0, ge=20, le=200)
    relief_um: float = Field(default=0.9, ge=0, le=10)
    relief_grain_um: float = Field(default=6.0, gt=0.5, le=100)
    clump_count: int = Field(default=60, ge=0, le=500)
    clump_size_um: Range = (4.0, 20.0)
    cell_fraction: float = Field(default=0.6, ge=0, le=1)
    cell_size_um: float = Field(default=8.0, gt=0.5, le=50)


class PostSettings(CoatedSurface):
    """A copper half-moon with posts: plate with round holes, posts with a raised rib on a thinner rim.

    Sizes were read off ``data/autoliftout`` at its field widths (400 and 900 µm, methods.md section 2): assumed.
    """

    kind: Literal["posts"] = "posts"
    map_width_um: float = Field(default=640.0, ge=100, le=1000)
    pitch_um: float = Field(default=0.4, ge=0.1, le=1)
    coating_um: float = Field(default=0.0, ge=0, le=5)
    crystal_count: int = Field(default=25, ge=0, le=1000)
    post_pitch_um: float = Field(default=215.0, gt=20, le=500)
    post_width_um: float = Field(default=65.0, gt=5, le=200)
    post_length_um: float = Field(default=230.0, gt=20, le=500)
    rib_width_um: float = Field(default=26.0, ge=0, le=200)
    thickness_um: float = Field(default=24.0, ge=5, le=100)
    rib_height_um: float = Field(default=8.0, ge=0, le=50)
    hole_diameter_um: float = Field(default=36.0, ge=0, le=200)


class ReceiverSettings(CoatedSurface):
    """A copper mesh without film, on whose windows sections of a block are welded (methods.md section 9 G).

    62 x 250 µm is that protocol's pitch (a 400 x 100 mesh); bar width and thickness are assumed.
    """

    kind: Literal["receiver"] = "receiver"
    map_width_um: float = Field(default=400.0, ge=50, le=1000)
    pitch_um: float = Field(default=0.25, ge=0.1, le=1)
    coating_um: float = Field(default=0.0, ge=0, le=5)
    crystal_count: int = Field(default=25, ge=0, le=1000)
    pitch_x_um: float = Field(default=62.0, gt=5, le=500)
    pitch_y_um: float = Field(default=250.0, gt=5, le=500)
    bar_width_um: float = Field(default=22.0, gt=1, le=200)
    thickness_um: float = Field(default=20.0, ge=5, le=100)


class _TwoGrids(BaseModel):
    """A block on the first grid and what it is landed on, ``landing_at_mm`` away on the shuttle (assumed)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    block: BlockSettings = BlockSettings()
    landing_at_mm: tuple[float, float] = (6.0, 0.0)

    @model_validator(mode="after")
    def _refuse_overlap(self) -> _TwoGrids:
        if max(map(abs, self.landing_at_mm)) < 1:
            raise ValueError(f"landing_at_mm {self.landing_at_mm} lies on the first grid; put it at least 1 mm away")
        return self


class LiftOutSettings(_TwoGrids):
    """A block and a half-moon grid with posts (methods.md section 8)."""

    kind: Literal["lift-out"] = "lift-out"
    landing: PostSettings = PostSettings()


class SerialLiftOutSettings(_TwoGrids):
    """A block and a receiver mesh (methods.md section 9)."""

    kind: Literal["serial-lift-out"] = "serial-lift-out"
    landing: ReceiverSettings = ReceiverSettings()


def _kind_of(value: Any) -> str:
    """Return the kind of a scene; one that does not say is cells on a film."""
    kind = value.get("kind", "cells") if isinstance(value, dict) else getattr(value, "kind", "")
    return str(kind)


AnyScene: TypeAlias = Annotated[
    Annotated[SceneSettings, Tag("cells")]
    | Annotated[WaffleSettings, Tag("waffle")]
    | Annotated[LiftOutSettings, Tag("lift-out")]
    | Annotated[SerialLiftOutSettings, Tag("serial-lift-out")],
    Discriminator(_kind_of),
]
"""What people write under ``scene``; ``kind`` chooses, cells on a film is the default."""
