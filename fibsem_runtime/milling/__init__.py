"""Milling: pattern catalogue, stages, dose and time model, and the edge model that aims at a thickness."""

from fibsem_runtime.hal.field import FIELD_ASPECT_RATIO, outside_field
from fibsem_runtime.milling.dose import (
    CLEANING_TIME_RATIO,
    REMOVAL_RATES_M3_PER_C,
    Material,
    beam_time_s,
    dose_c_per_m3,
    volume_m3,
)
from fibsem_runtime.milling.edge import edge_recession_m, lamella_thickness_for, trench_spacing_for
from fibsem_runtime.milling.estimate import Overheads, TimeEstimate, estimate_time
from fibsem_runtime.milling.patterns import (
    FiducialPattern,
    MicroExpansionPattern,
    Pattern,
    RectanglePattern,
    TrenchPattern,
)
from fibsem_runtime.milling.stage import DriftCorrectedStrategy, MillingStage, StandardStrategy, Strategy

__all__ = [
    "CLEANING_TIME_RATIO",
    "FIELD_ASPECT_RATIO",
    "REMOVAL_RATES_M3_PER_C",
    "DriftCorrectedStrategy",
    "FiducialPattern",
    "Material",
    "MicroExpansionPattern",
    "MillingStage",
    "Overheads",
    "Pattern",
    "RectanglePattern",
    "StandardStrategy",
    "Strategy",
    "TimeEstimate",
    "TrenchPattern",
    "beam_time_s",
    "dose_c_per_m3",
    "edge_recession_m",
    "estimate_time",
    "lamella_thickness_for",
    "outside_field",
    "trench_spacing_for",
    "volume_m3",
]
