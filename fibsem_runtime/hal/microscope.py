"""The bundle that the workflow receives."""

from __future__ import annotations

from dataclasses import dataclass

from fibsem_runtime.core import BeamType, Clock, InstrumentInfo, MicroscopeState
from fibsem_runtime.hal.chain import KinematicChain
from fibsem_runtime.hal.chamber import ChamberCamera, Pump, Vacuum
from fibsem_runtime.hal.devices import Beam, Driver, Milling, Stage
from fibsem_runtime.hal.equipment import NO_EQUIPMENT, ColumnEquipment
from fibsem_runtime.hal.gas import GasInjection, SputterCoater
from fibsem_runtime.hal.manipulator import Manipulator


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
    electron_equipment: ColumnEquipment = NO_EQUIPMENT
    ion_equipment: ColumnEquipment = NO_EQUIPMENT
    manipulator: Manipulator | None = None
    gas_injection: GasInjection | None = None
    sputter_coater: SputterCoater | None = None
    vacuum: Vacuum | None = None
    pump: Pump | None = None
    chamber_camera: ChamberCamera | None = None

    def beam(self, beam_type: BeamType) -> Beam:
        """Return one of the two beams."""
        return self.electron_beam if beam_type is BeamType.ELECTRON else self.ion_beam

    def equipment(self, beam_type: BeamType) -> ColumnEquipment:
        """Return what one column has beyond the beam."""
        return self.electron_equipment if beam_type is BeamType.ELECTRON else self.ion_equipment

    def state(self) -> MicroscopeState:
        """Read pose and beams."""
        return MicroscopeState(
            stage_position=self.stage.position(),
            electron_beam=self.electron_beam.settings(),
            ion_beam=self.ion_beam.settings(),
        )
