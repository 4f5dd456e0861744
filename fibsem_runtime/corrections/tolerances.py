"""How far a point may be moved by a person before the detector counts as wrong (detection.md section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fibsem_runtime.core.units import UM

CONTACT_TOLERANCE_M: Final = 0.25 * UM
"""Row "needle to lamella contact": the contact offset is 0.25 µm."""

PLACEMENT_TOLERANCE_M: Final = 0.5 * UM
"""Rows "weld, sever placement", "undercut placement", "rough trenches" and "serial width match and corners"."""

SITE_TOLERANCE_M: Final = 5.0 * UM
"""Row "eucentric / coincidence": a site lands inside the 20 µm capture of the alignment that follows."""

_CONTACT: Final = ("NeedleTip", "NeedleTipBottom")
_PLACEMENT: Final = (
    "LamellaTarget",
    "LamellaCentre",
    "LamellaLeftEdge",
    "LamellaRightEdge",
    "LamellaTopEdge",
    "LamellaBottomEdge",
    "LandingPost",
    "LandingGridCentre",
    "LandingGridLeftEdge",
    "LandingGridRightEdge",
    "CoreFeature",
    "CopperAdapterCentre",
    "CopperAdapterTopEdge",
    "CopperAdapterBottomEdge",
    "VolumeBlockCentre",
    "VolumeBlockTopEdge",
    "VolumeBlockBottomEdge",
    "VolumeBlockTopLeftCorner",
    "VolumeBlockTopRightCorner",
    "VolumeBlockBottomLeftCorner",
    "VolumeBlockBottomRightCorner",
    "AdaptiveLamellaCentre",
)

_TOLERANCES_M: Final[Mapping[str, float]] = MappingProxyType(
    dict.fromkeys(_CONTACT, CONTACT_TOLERANCE_M) | dict.fromkeys(_PLACEMENT, PLACEMENT_TOLERANCE_M)
)


def tolerance_m(feature: str) -> float:
    """Return the tolerance of a feature; a name that is no key point is that of a site on an overview."""
    return _TOLERANCES_M.get(feature, SITE_TOLERANCE_M)
