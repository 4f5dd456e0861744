"""The simulated chamber: its vacuum, its pump and its sputter coater."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from drivers.simulator.machine import Machine
from drivers.simulator.process_state import LayerKind
from fibsem_runtime.core import BeamType, CancelToken
from fibsem_runtime.core.errors import HardwareError, InterlockError
from fibsem_runtime.core.units import NM

WORKING_PRESSURE_PA: Final = 4e-5
"""Below 4e-7 mbar in a cold chamber (physics.md section 8)."""

ATMOSPHERE_PA: Final = 101325.0

MILLIAMPERE_A: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedVacuum:
    """Reading of the chamber."""

    machine: Machine

    def is_pumped(self) -> bool:
        """Read whether the chamber is at working pressure."""
        return self.machine.state.chamber.is_pumped

    def pressure_pa(self) -> float:
        """Read the chamber pressure."""
        return WORKING_PRESSURE_PA if self.is_pumped() else ATMOSPHERE_PA


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPump:
    """Pumping and venting."""

    machine: Machine

    def pump(self, *, cancel: CancelToken) -> None:
        """Pump to working pressure."""
        cancel.raise_if_cancelled()
        self.machine.begin("pumping the chamber")
        self._reach(is_pumped=True, cost_s=self.machine.settings.timing.pump_s)

    def vent(self, *, cancel: CancelToken) -> None:
        """Vent; raise `InterlockError` while a beam is on or the gas needle is in."""
        cancel.raise_if_cancelled()
        machine = self.machine
        machine.begin("venting the chamber")
        if machine.state.chamber.is_gas_inserted:
            raise InterlockError("the chamber was to be vented with the gas needle inserted; retract it first")
        for beam_type in BeamType:
            if machine.beam_state(beam_type).is_on:
                raise InterlockError(
                    f"the chamber was to be vented with the {beam_type.value.lower()} beam on; switch it off first"
                )
        self._reach(is_pumped=False, cost_s=machine.settings.timing.vent_s)

    def _reach(self, *, is_pumped: bool, cost_s: float) -> None:
        chamber = self.machine.state.chamber
        if chamber.is_pumped != is_pumped:
            self.machine.spend(cost_s)
            chamber.is_pumped = is_pumped
            self.machine.save()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCoater:
    """Plasma coater: an even layer on everything, thinner in trenches."""

    machine: Machine

    def coat(self, *, duration_s: float, current_a: float, cancel: CancelToken) -> None:
        """Sputter for ``duration_s``; the chamber is brought to plasma pressure and back."""
        cancel.raise_if_cancelled()
        machine = self.machine
        machine.begin("sputtering")
        if not (0 < duration_s < math.inf and 0 < current_a < math.inf):
            raise HardwareError(f"sputtering for {duration_s:g} s at {current_a:g} A was asked for, both are above 0")
        if machine.state.chamber.is_gas_inserted:
            raise InterlockError("sputtering was asked for with the gas needle inserted; retract it first")
        machine.spend(machine.settings.timing.coater_s + duration_s)
        charge_ma_s = duration_s * current_a / MILLIAMPERE_A
        thickness_m = machine.settings.processes.deposition.sputter_nm_per_ma_s * NM * charge_ma_s
        machine.deposit(LayerKind.SPUTTERED, thickness_m, around_m=np.zeros(3))
        machine.save()
