"""Coefficients of the image formation, each with its source and, where it is an effect, its switch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from drivers.simulator.charging import ChargingSettings


class BeamLook(BaseModel):
    """How one beam sees materials and slopes; signals are relative to film at normal incidence, all assumed.

    The secant law and edge brightening are physics.md section 7; fibsem-os' scene has trench floors at a quarter of
    the surface (#749, same section), a real waffle at 0.4 of it. ``detected_fraction`` of electrons was chosen so that
    neighbouring pixels of an overview correlate by about 0.16 at 25 pA and 0.2 us (#900, same section); what the
    present optics give at other pixel sizes is in docs/validation.md.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    film_yield: float = Field(gt=0)
    ice_yield: float = Field(gt=0)
    cell_yield: float = Field(gt=0)
    bar_yield: float = Field(gt=0)
    coating_yield: float = Field(gt=0)
    copper_yield: float = Field(gt=0)
    tungsten_yield: float = Field(gt=0)
    milled_fraction: float = Field(gt=0)
    transparency_fraction: float = Field(ge=0, lt=1, description="signal lost where the sample is thin; assumed")
    grazing_ratio: float = Field(gt=1)
    texture_fraction: float = Field(ge=0)
    edge_gain: float = Field(ge=0)
    detected_fraction: float = Field(gt=0, description="quanta detected per primary particle at signal 1")

    def yields(self) -> list[float]:
        """Return the yields in the order of `Material`."""
        tissue = [0.0, self.film_yield, self.ice_yield, self.cell_yield, self.bar_yield, self.coating_yield]
        return [*tissue, self.copper_yield, self.tungsten_yield]


class OpticsSettings(BaseModel):
    """What turns the truth into an image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    noise: bool = True
    texture: bool = True
    probe: bool = True
    defocus: bool = True
    edge_brightening: bool = True
    curtains: bool = True
    charging: ChargingSettings = ChargingSettings()

    electron: BeamLook = BeamLook(
        film_yield=0.40,
        ice_yield=0.46,
        cell_yield=0.70,
        bar_yield=0.95,
        coating_yield=0.75,
        copper_yield=0.95,
        tungsten_yield=1.0,
        milled_fraction=0.75,
        transparency_fraction=0.6,
        grazing_ratio=4.0,
        texture_fraction=0.09,
        edge_gain=0.9,
        detected_fraction=0.2,
    )
    ion: BeamLook = BeamLook(
        film_yield=0.26,
        ice_yield=0.28,
        cell_yield=0.34,
        bar_yield=0.40,
        coating_yield=0.36,
        copper_yield=0.55,
        tungsten_yield=0.75,
        milled_fraction=0.6,
        transparency_fraction=0.0,
        grazing_ratio=3.5,
        texture_fraction=0.10,
        edge_gain=0.6,
        detected_fraction=0.2,
    )
    underside_fraction: float = Field(0.35, ge=0, description="signal of a lower surface; assumed")
    background_fraction: float = Field(0.02, ge=0, description="signal where nothing is hit; assumed")
    shadow_floor_fraction: float = Field(
        0.50, ge=0, le=1, description="signal left where no sky is seen; assumed, see docs/simulator-images.md"
    )
    texture_wavelengths_um: tuple[float, ...] = (3.0, 0.6, 0.12, 0.024)
    texture_exponent: float = Field(0.1, ge=0, description="roughness falls with wavelength to this power; assumed")
    curtain_fraction: float = Field(0.10, ge=0, description="streaks on milled faces; assumed")
    curtain_width_um: float = Field(0.4, gt=0, description="width of a streak; assumed")
    ion_range_nm: float = Field(40.0, gt=0, description="range of 30 keV Ga in ice; assumed")
    edge_width_fraction: float = Field(0.35, gt=0, description="width of a bright edge over the range; assumed")
    amplifier_noise_ratio: float = Field(0.01, ge=0, description="noise of the detector at no signal; assumed")
    electron_convergence_mrad: float = Field(3.0, gt=0, description="half angle; assumed, typical of a cryo SEM")
    ion_convergence_mrad: float = Field(1.0, gt=0, description="half angle; assumed")
    stigmation_um: float = Field(20.0, gt=0, description="focus difference of a stigmation of 1; assumed")
