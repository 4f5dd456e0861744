"""Pumping and venting behind their guards."""

from __future__ import annotations

from dataclasses import dataclass

from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import InterlockError, VacuumError
from fibsem_runtime.hal.chamber import Pump
from fibsem_runtime.hal.guards.interlocks import Interlocks


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedPump:
    """Vent only with everything off and out (safety.md I15)."""

    device: Pump
    interlocks: Interlocks

    def pump(self, *, cancel: CancelToken) -> None:
        """Pump and confirm working pressure."""
        cancel.raise_if_cancelled()
        self.device.pump(cancel=cancel)
        vacuum = self.interlocks.microscope.vacuum
        if vacuum is not None and not vacuum.is_pumped():
            raise VacuumError("the chamber was pumped and is not at working pressure; look at the vacuum system")

    def vent(self, *, cancel: CancelToken) -> None:
        """Vent when nothing mills, nothing is inserted and both beams are off."""
        self.interlocks.refuse_unless_idle("vent the chamber")
        self.interlocks.refuse_with_needles("vent the chamber")
        microscope = self.interlocks.microscope
        for beam in (microscope.electron_beam, microscope.ion_beam):
            if beam.is_on():
                name = beam.beam_type.value.lower()
                raise InterlockError(f"asked to vent the chamber while the {name} beam is on; switch it off first")
        cancel.raise_if_cancelled()
        self.device.vent(cancel=cancel)
