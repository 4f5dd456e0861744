"""What a site says of everything that is inserted over the sample: manipulator, gas needles, sputter coater.

Ranges and heights have no default where a wrong one lets things collide.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from drivers.thermofisher.section import Section
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.manipulator import ManipulatorLimits
from fibsem_runtime.hal.stage_ranges import Range

Name = Annotated[str, Field(min_length=1)]


class ManipulatorSettings(Section):
    """The needle (EasyLift) in STAGE coordinates, the only ones in which moves seen in an image can be worked out.

    The ranges are where the needle may be sent, measured on site. It is inserted only with the stage above
    ``lowest_stage_z_mm`` raw (vendor-thermofisher.md section 11). ``y_axis_sign`` is +1 where a move by +y takes the
    tip up in the electron image at scan rotation 0, -1 where it takes it down; nobody has published it
    (vendor-geometry.md section 8), and without it no image move is made.
    """

    x_range_mm: Range
    y_range_mm: Range
    z_range_mm: Range
    lowest_stage_z_mm: float = Field(default=3.7, ge=-100, le=100)
    y_axis_sign: Literal[-1, 1] | None = None

    @model_validator(mode="after")
    def _refuse_empty_ranges(self) -> Self:
        for name in ("x_range_mm", "y_range_mm", "z_range_mm"):
            low, high = getattr(self, name)
            if low >= high:
                raise ValueError(f"{name} needs its lower end first, got {low:g} to {high:g}")
        return self

    def limits(self) -> ManipulatorLimits:
        """Return the ranges in metres."""
        x, y, z = (
            AxisLimits(low=low / 1e3, high=high / 1e3)
            for low, high in (self.x_range_mm, self.y_range_mm, self.z_range_mm)
        )
        return ManipulatorLimits(x_m=x, y_m=y, z_m=z)


class GasSettings(Section):
    """Gas lines that may be used: ports of the gas injection system and gases of the multichem, by their names.

    A needle is inserted only with the stage at or below ``highest_stage_z_mm``, no default: fibsemOS refuses above raw
    4.0 mm (vendor-thermofisher.md section 12), which is the eucentric height where z is linked and means nothing where
    it is not. A line delivers from 300 K on (same section).
    """

    ports: tuple[Name, ...] = ()
    multichem_gases: tuple[Name, ...] = ()
    multichem_position: Name = "ION_DEFAULT"
    highest_stage_z_mm: float = Field(ge=-100, le=100)
    ready_temperature_k: float = Field(default=300.0, gt=0, le=600)

    @model_validator(mode="after")
    def _refuse_unclear_lines(self) -> Self:
        names = self.lines
        if not names or len(set(names)) != len(names):
            raise ValueError("gas needs at least one name in ports or multichem_gases, each only once")
        return self

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the names of all lines."""
        return (*self.ports, *self.multichem_gases)


class SputterSettings(Section):
    """The sputter coater; with ``pressure_pa`` the chamber is pumped to it first, as some sites do (section 12)."""

    pressure_pa: float | None = Field(default=None, gt=0, le=1e3)
