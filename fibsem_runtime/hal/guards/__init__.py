"""Guards around every driver alike: they refuse with what was asked, what is allowed and what to do; they never clip.

Rules: safety.md section 1 (I3, I4, I7-I10, I12, I15) and section 2.
"""

from __future__ import annotations

from dataclasses import replace

from fibsem_runtime.hal.devices import Beam
from fibsem_runtime.hal.guards.beam import GuardedBeam
from fibsem_runtime.hal.guards.driver import GuardedDriver
from fibsem_runtime.hal.guards.equipment import guard_equipment
from fibsem_runtime.hal.guards.gas import GuardedGasInjection, GuardedSputterCoater
from fibsem_runtime.hal.guards.interlocks import Interlocks
from fibsem_runtime.hal.guards.limits import check_limits
from fibsem_runtime.hal.guards.manipulator import GuardedManipulator
from fibsem_runtime.hal.guards.milling import GuardedMilling
from fibsem_runtime.hal.guards.pump import GuardedPump
from fibsem_runtime.hal.guards.settings import GuardSettings
from fibsem_runtime.hal.guards.stage import GuardedStage
from fibsem_runtime.hal.kinematics import Kinematics
from fibsem_runtime.hal.microscope import Microscope

__all__ = ["GuardSettings", "check_limits", "guard"]


def guard(microscope: Microscope, settings: GuardSettings) -> Microscope:
    """Return the same instrument with everything that moves, mills or shines behind guards.

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
    guarded_microscope = replace(
        microscope,
        driver=GuardedDriver(microscope=microscope, milling=milling),
        stage=GuardedStage(stage=microscope.stage, interlocks=interlocks, settings=settings),
        electron_beam=guarded(microscope.electron_beam),
        ion_beam=guarded(microscope.ion_beam),
        milling=milling,
        electron_equipment=guard_equipment(microscope.electron_equipment, microscope.electron_beam, interlocks),
        ion_equipment=guard_equipment(microscope.ion_equipment, microscope.ion_beam, interlocks),
    )
    return _guard_inserted(guarded_microscope, interlocks, settings)


def _guard_inserted(microscope: Microscope, interlocks: Interlocks, settings: GuardSettings) -> Microscope:
    """Guard what only some instruments have; what is absent stays absent."""
    manipulator, gas = microscope.manipulator, microscope.gas_injection
    coater, pump = microscope.sputter_coater, microscope.pump
    return replace(
        microscope,
        manipulator=manipulator
        and GuardedManipulator(manipulator=manipulator, interlocks=interlocks, settings=settings),
        gas_injection=gas and GuardedGasInjection(gas=gas, interlocks=interlocks),
        sputter_coater=coater and GuardedSputterCoater(coater=coater, interlocks=interlocks),
        pump=pump and GuardedPump(device=pump, interlocks=interlocks),
    )
