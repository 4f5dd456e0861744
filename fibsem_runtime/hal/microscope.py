"""The bundle that the workflow receives."""

from __future__ import annotations

from dataclasses import dataclass

from fibsem_runtime.core import BeamType, Clock, InstrumentInfo, MicroscopeState
from fibsem_runtime.hal.chain import KinematicChain
from fibsem_runtime.hal.devices import Beam, Driver, GasInjection, Manipulator, Milling, Stage, Vacuum


@dataclass(frozen=True, slots=True, kw_only=True)
class Microscope:
    """All devices of one instrument; what it lacks is ``None``."""

    info: InstrumentInfo
    chain: KinematicChain
    clock: Clock
    driver: Driver
    stage: Stage
    electron_beam: Beam
    ion_beam: Beam
    milling: Milling
    manipulator: Manipulator | None = None
    gas_injection: GasInjection | None = None
    vacuum: Vacuum | None = None

    def beam(self, beam_type: BeamType) -> Beam:
        """Return one of the two beams."""
        return self.electron_beam if beam_type is BeamType.ELECTRON else self.ion_beam

    def state(self) -> MicroscopeState:
        """Read pose and beams."""
        return MicroscopeState(
            stage_position=self.stage.position(),
            electron_beam=self.electron_beam.settings(),
            ion_beam=self.ion_beam.settings(),
        )
