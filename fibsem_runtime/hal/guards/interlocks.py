"""What the state of one device forbids another (safety.md section 1)."""

from __future__ import annotations

from dataclasses import dataclass

from fibsem_runtime.core import BeamType
from fibsem_runtime.core.errors import BeamError, InterlockError, VacuumError
from fibsem_runtime.hal.devices import Beam, MillingState
from fibsem_runtime.hal.gas import GasInjection
from fibsem_runtime.hal.manipulator import Manipulator
from fibsem_runtime.hal.microscope import Microscope


@dataclass(frozen=True, slots=True)
class Interlocks:
    """Ask the devices of one unguarded microscope before an action; ``action`` reads after 'asked to'."""

    microscope: Microscope

    def refuse_while_milling(self, action: str) -> None:
        """Raise `InterlockError` while the ion beam mills (I8)."""
        if self.microscope.milling.state() is MillingState.RUNNING:
            raise InterlockError(f"asked to {action} while the ion beam mills; wait for it or stop milling first")

    def refuse_unless_idle(self, action: str) -> None:
        """Raise `InterlockError` while milling runs or is paused, because it would go on at another place (I8)."""
        state = self.microscope.milling.state()
        if state is not MillingState.IDLE:
            raise InterlockError(
                f"asked to {action} while milling is {state.value}, allowed is idle; finish or stop milling first"
            )

    def refuse_with_live_view(self, action: str) -> None:
        """Raise `InterlockError` while a live view scans the sample: it would go on while milling (I8)."""
        for beam_type in BeamType:
            live_view = self.microscope.equipment(beam_type).live_view
            if live_view is not None and live_view.is_running:
                raise InterlockError(
                    f"asked to {action} while the {beam_type.value.lower()} live view runs; stop the live view first"
                )

    def refuse_with_needles(self, action: str) -> None:
        """Raise `InterlockError` when manipulator or gas needle are in the way (I7)."""
        self.refuse_with_manipulator(action)
        self.refuse_with_gas_needle(action)

    def refuse_with_manipulator(self, action: str) -> None:
        """Raise `InterlockError` when the manipulator is inserted."""
        _refuse_inserted(self.microscope.manipulator, "manipulator", action)

    def refuse_with_gas_needle(self, action: str) -> None:
        """Raise `InterlockError` when a gas needle is inserted."""
        _refuse_inserted(self.microscope.gas_injection, "gas needle", action)

    def require_vacuum(self, action: str) -> None:
        """Raise `VacuumError` when the instrument can tell that its chamber is not pumped (I15)."""
        vacuum = self.microscope.vacuum
        if vacuum is not None and not vacuum.is_pumped():
            raise VacuumError(f"asked to {action} while the chamber is not at working pressure; pump it first")

    def require_beam(self, beam: Beam, action: str) -> None:
        """Raise `BeamError` when a beam is off or blanked; nothing is switched on silently (I10)."""
        name = beam.beam_type.value.lower()
        if not beam.is_on():
            raise BeamError(f"asked to {action} while the {name} beam is off; switch it on at the instrument")
        if beam.is_blanked():
            raise BeamError(f"asked to {action} while the {name} beam is blanked; unblank it first")


def _refuse_inserted(device: Manipulator | GasInjection | None, name: str, action: str) -> None:
    if device is not None and device.is_inserted():
        raise InterlockError(f"asked to {action} while the {name} is inserted; retract the {name} first")
