"""Beam states and frames for tests of the simulator's optics."""

from __future__ import annotations

from dataclasses import replace

from drivers.simulator.optics import Conditions, OpticsSettings
from fibsem_runtime.core import BeamType

ELECTRON = Conditions(
    beam_type=BeamType.ELECTRON,
    beam_current_a=50e-12,
    voltage_v=2000,
    defocus_m=0.0,
    stigmation_x=0.0,
    stigmation_y=0.0,
    probe_sigma_m=3e-9,
    brightness_fraction=0.6,
    contrast_fraction=0.5,
)
ION = replace(ELECTRON, beam_type=BeamType.ION, beam_current_a=20e-12, voltage_v=30000, probe_sigma_m=8e-9)

QUIET = OpticsSettings(noise=False)
BARE = OpticsSettings(noise=False, texture=False, probe=False, defocus=False, edge_brightening=False, curtains=False)
"""Nothing but geometry, material and slope."""
