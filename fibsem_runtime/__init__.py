"""An embedded microscope-control runtime for dual-beam FIB-SEM instruments."""

__version__ = "0.1.0"
