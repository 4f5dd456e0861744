"""The driver's safe state, verified."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from fibsem_runtime.core import BeamType
from fibsem_runtime.core.errors import HardwareError
from fibsem_runtime.hal.attempts import Attempt, attempt_all
from fibsem_runtime.hal.devices import Beam, MillingState
from fibsem_runtime.hal.gas import GasInjection
from fibsem_runtime.hal.guards.milling import GuardedMilling
from fibsem_runtime.hal.manipulator import Manipulator
from fibsem_runtime.hal.microscope import Microscope


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedDriver:
    """Bring the instrument to its safe state and read back that it is there."""

    microscope: Microscope
    milling: GuardedMilling

    def safe_state(self) -> None:
        """Bring about the driver's safe state and stop live views; raise `HardwareError` naming what is not safe then.

        A manipulator that touches or holds the sample is safe where it is (safety.md section 2, step 5).
        """
        failures = attempt_all(
            [
                ("bring about the driver's safe state", self.microscope.driver.safe_state),
                *self._live_view_stops(),
                ("confirm that milling is idle", self._confirm_idle),
                ("confirm that the ion beam is blanked", partial(_confirm_blanked, self.microscope.ion_beam)),
                ("confirm that the electron beam is blanked", partial(_confirm_blanked, self.microscope.electron_beam)),
                *self._needle_checks(),
            ]
        )
        if failures:
            held = "; the manipulator touches or holds the sample and stays where it is" if self._holds_sample() else ""
            raise HardwareError(
                f"the instrument is not in its safe state: {'; '.join(failures)}{held}; go to the instrument and look"
            )

    def close(self) -> None:
        """Release the instrument; it stays as it is."""
        self.microscope.driver.close()

    def _live_view_stops(self) -> list[Attempt]:
        views = {beam_type: self.microscope.equipment(beam_type).live_view for beam_type in BeamType}
        return [
            (f"stop the {beam_type.value.lower()} live view", live_view.stop)
            for beam_type, live_view in views.items()
            if live_view is not None and live_view.is_running
        ]

    def _confirm_idle(self) -> None:
        self.milling.forget_drawing()
        state = self.microscope.milling.state()
        if state is not MillingState.IDLE:
            raise HardwareError(f"it is {state.value}")

    def _needle_checks(self) -> list[Attempt]:
        return [
            (f"confirm that the {name} is retracted", partial(_confirm_retracted, device))
            for name, device in (
                ("gas needle", self.microscope.gas_injection),
                ("manipulator", None if self._holds_sample() else self.microscope.manipulator),
            )
            if device is not None
        ]

    def _holds_sample(self) -> bool:
        manipulator = self.microscope.manipulator
        return manipulator is not None and manipulator.is_held


def _confirm_blanked(beam: Beam) -> None:
    if beam.is_on() and not beam.is_blanked():
        raise HardwareError("it is not")


def _confirm_retracted(device: GasInjection | Manipulator) -> None:
    if device.is_inserted():
        raise HardwareError("it is inserted")
