"""Guards around every driver alike: they refuse with what was asked, what is allowed and what to do; they never clip.

Rules: safety.md section 1 (I3, I4, I7-I10, I12, I15) and section 2.
"""

from __future__ import annotations

from dataclasses import replace

from fibsem_runtime.hal.devices import Beam
from fibsem_runtime.hal.guards.beam import GuardedBeam
from fibsem_runtime.hal.guards.driver import GuardedDriver
from fibsem_runtime.hal.guards.interlocks import Interlocks
from fibsem_runtime.hal.guards.limits import check_limits
from fibsem_runtime.hal.guards.milling import GuardedMilling
from fibsem_runtime.hal.guards.settings import GuardSettings
from fibsem_runtime.hal.guards.stage import GuardedStage
from fibsem_runtime.hal.kinematics import Kinematics
from fibsem_runtime.hal.microscope import Microscope

__all__ = ["GuardSettings", "check_limits", "guard"]


def guard(microscope: Microscope, settings: GuardSettings) -> Microscope:
    """Return the same instrument with stage, beams, milling and driver behind guards.

    The guards ask the devices of ``microscope`` itself at every action and keep no state of the instrument, except for
    which conditions and place the present pattern was drawn.
    """
    interlocks = Interlocks(microscope)

    def guarded(beam: Beam) -> GuardedBeam:
        return GuardedBeam(beam=beam, interlocks=interlocks, limits=settings)

    milling = GuardedMilling(
        milling=microscope.milling,
        beam=microscope.ion_beam,
        stage=microscope.stage,
        kinematics=Kinematics(microscope.chain),
        interlocks=interlocks,
        limits=settings,
    )
    return replace(
        microscope,
        driver=GuardedDriver(microscope=microscope, milling=milling),
        stage=GuardedStage(stage=microscope.stage, interlocks=interlocks, settings=settings),
        electron_beam=guarded(microscope.electron_beam),
        ion_beam=guarded(microscope.ion_beam),
        milling=milling,
    )
