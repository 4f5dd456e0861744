"""The detectors of both columns and how each sees the sample."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from drivers.simulator.optics_settings import OpticsSettings
from fibsem_runtime.core import BeamType

STANDARD: Final = "ETD"
"""Everhart-Thornley detector in both columns (vendor-thermofisher.md section 8); the optics are its own."""

DETECTOR_NAMES: Final = {BeamType.ELECTRON: (STANDARD, "TLD"), BeamType.ION: (STANDARD, "ICE")}
"""Through-the-lens detector of the electron column, ion conversion detector of the ion column (same section)."""

SECONDARY_ELECTRONS, SECONDARY_IONS = "SecondaryElectrons", "SecondaryIons"


class DetectorLook(BaseModel):
    """A detector compared with the standard one, all assumed.

    ``slope_ratio``: how much of the gain on slopes and edges it sees; ``shadow_ratio``: how much of the signal from the
    depth of a trench; ``detected_ratio``: how many quanta it counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    slope_ratio: float = Field(gt=0, le=2)
    shadow_ratio: float = Field(gt=0, le=10)
    detected_ratio: float = Field(gt=0, le=10)


class DetectorLooks(BaseModel):
    """The detectors besides the standard one.

    The lens pulls electrons out of trenches and sees less of the topography; ions are far fewer and come from the
    uppermost layer only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tld: DetectorLook = DetectorLook(slope_ratio=0.6, shadow_ratio=1.6, detected_ratio=1.5)
    ice: DetectorLook = DetectorLook(slope_ratio=0.5, shadow_ratio=1.0, detected_ratio=0.3)


def mode_of(name: str) -> str:
    """Return the only mode of a detector."""
    return SECONDARY_IONS if name == "ICE" else SECONDARY_ELECTRONS


def seen_with(optics: OpticsSettings, beam_type: BeamType, name: str, looks: DetectorLooks) -> OpticsSettings:
    """Return the optics as a detector sees them."""
    if name == STANDARD:
        return optics
    look = looks.tld if name == "TLD" else looks.ice
    column = "electron" if beam_type is BeamType.ELECTRON else "ion"
    beam = getattr(optics, column)
    seen = beam.model_copy(
        update={
            "grazing_ratio": 1 + look.slope_ratio * (beam.grazing_ratio - 1),
            "edge_gain": look.slope_ratio * beam.edge_gain,
            "detected_fraction": look.detected_ratio * beam.detected_fraction,
        }
    )
    floor = min(1.0, look.shadow_ratio * optics.shadow_floor_fraction)
    return optics.model_copy(update={column: seen, "shadow_floor_fraction": floor})
