"""One model of dose and beam time: time = volume x charge per volume / current (milling.md sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.hal.shapes import CrossSection, MillingSettings, Shape

UM3_PER_NC: Final = 1e-9
"""One µm³/nC in m³/C."""

CLEANING_TIME_RATIO: Final = 0.66
"""Time of a cleaning cross-section over that of a rectangle, for rates stated without a mode (milling.md section 2)."""


class Material(StrEnum):
    """Name what is milled away."""

    ICE = "ice"
    GIS_PLATINUM = "gis_platinum"
    CARBON = "carbon"
    SILICON = "silicon"
    COPPER = "copper"
    PLATINUM = "platinum"
    TUNGSTEN = "tungsten"
    GOLD = "gold"
    SILICON_DIOXIDE = "silicon_dioxide"
    SILICON_NITRIDE = "silicon_nitride"
    PMMA = "pmma"


REMOVAL_RATES_M3_PER_C: Final[Mapping[Material, float]] = MappingProxyType(
    {
        # Frozen cells and ice, effective in cross-section mode: the dose of Zachs 2020, 20 mC/cm² per µm; range 3-13.
        Material.ICE: 5.0 * UM3_PER_NC,
        # Organometallic platinum from the cold gas needle mills about ten times slower than ice (physics.md section 3).
        Material.GIS_PLATINUM: 0.5 * UM3_PER_NC,
        # Vendor table for Ga at 30 kV (physics.md section 3), incidence and mode not stated.
        Material.CARBON: 0.18 * UM3_PER_NC,
        Material.SILICON: 0.27 * UM3_PER_NC,
        Material.COPPER: 0.25 * UM3_PER_NC,
        Material.PLATINUM: 0.23 * UM3_PER_NC,
        Material.TUNGSTEN: 0.12 * UM3_PER_NC,
        Material.GOLD: 1.50 * UM3_PER_NC,
        Material.SILICON_DIOXIDE: 0.24 * UM3_PER_NC,
        Material.SILICON_NITRIDE: 0.20 * UM3_PER_NC,
        Material.PMMA: 0.40 * UM3_PER_NC,
    }
)

_CALIBRATED_IN_CROSS_SECTION_MODE: Final = frozenset({Material.ICE, Material.GIS_PLATINUM})


def dose_c_per_m3(material: Material, cross_section: CrossSection = CrossSection.RECTANGLE) -> float:
    """Return the charge that removes one cubic metre at 30 kV.

    The rate of ice was calibrated in cross-section mode and holds as it stands; the vendor's rates are for rectangles,
    of which a cleaning cross-section needs `CLEANING_TIME_RATIO`.
    """
    ratio = 1.0
    if cross_section is CrossSection.CLEANING and material not in _CALIBRATED_IN_CROSS_SECTION_MODE:
        ratio = CLEANING_TIME_RATIO
    return ratio / REMOVAL_RATES_M3_PER_C[material]


def volume_m3(shapes: Iterable[Shape]) -> float:
    """Return the volume of all shapes, each with its full depth."""
    return sum(shape.area_m2 * shape.depth_m for shape in shapes)


def beam_time_s(shapes: Iterable[Shape], settings: MillingSettings) -> float:
    """Return the beam time that mills ``shapes`` to their depth; overheads are not in it."""
    if settings.beam_current_a <= 0:
        raise ConfigError(f"milling needs a beam current above 0 A, got {settings.beam_current_a:g} A")
    return volume_m3(shapes) * settings.dose_c_per_m3 / settings.beam_current_a
