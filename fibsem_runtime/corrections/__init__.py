"""What people changed in proposals: made, classified and counted."""

from fibsem_runtime.corrections.classify import CHANGED, CLASSES, Comparison, classify
from fibsem_runtime.corrections.making import make_corrections
from fibsem_runtime.corrections.tolerances import tolerance_m

__all__ = ["CHANGED", "CLASSES", "Comparison", "classify", "make_corrections", "tolerance_m"]
