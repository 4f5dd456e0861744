"""Open the simulator and bundle its devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from weakref import WeakKeyDictionary

from drivers.simulator.beams import INSTRUMENT, SimulatedBeam
from drivers.simulator.chamber import SimulatedCoater, SimulatedPump, SimulatedVacuum
from drivers.simulator.coverage import COVERAGE
from drivers.simulator.equipment import equip
from drivers.simulator.faults import FaultInjector, switch_on_beams
from drivers.simulator.gas_line import SimulatedGas
from drivers.simulator.handling import Hands
from drivers.simulator.machine import Machine
from drivers.simulator.manipulator import SimulatedManipulator
from drivers.simulator.milling_engine import MillingEngine
from drivers.simulator.settings import SimulatorSettings
from drivers.simulator.stage import SimulatedStage
from drivers.simulator.truth import SimulatorTruth
from drivers.simulator.variation import SCENES, vary
from fibsem_runtime.core import BeamType, CancelToken
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.core.errors import ConfigError, HardwareError
from fibsem_runtime.hal.attempts import attempt_all
from fibsem_runtime.hal.coverage import Coverage
from fibsem_runtime.hal.devices import Beam, Milling
from fibsem_runtime.hal.gas import GasInjection
from fibsem_runtime.hal.manipulator import Manipulator
from fibsem_runtime.hal.microscope import Microscope

_NEEDED_PACKAGES = ("cv2", "numba")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorDriver:
    """The instrument as a whole."""

    machine: Machine
    engine: Milling
    beams: tuple[Beam, Beam]
    gas: GasInjection
    manipulator: Manipulator | None

    def safe_state(self) -> None:
        """Stop milling, blank both beams, take gas needle and manipulator out; the stage and a held manipulator stay.

        Safe to call twice and on a closed simulator.

        Raises `HardwareError` naming what failed after everything was tried.
        """
        electron, ion = self.beams
        failures = attempt_all(
            [
                ("stop milling", self.engine.stop),
                ("blank the electron beam", lambda: electron.set_blanked(blanked=True)),
                ("blank the ion beam", lambda: ion.set_blanked(blanked=True)),
                ("retract the gas needle", lambda: self.gas.retract(cancel=CancelToken())),
                *self._out_of_the_way(),
            ]
        )
        if failures:
            raise HardwareError("; ".join(failures))

    def _out_of_the_way(self) -> list[tuple[str, Callable[[], None]]]:
        needle = self.manipulator
        if needle is None or needle.is_held:
            return []
        return [("retract the manipulator", lambda: needle.retract(cancel=CancelToken()))]

    def close(self) -> None:
        """Release the simulator; its state stays on the disk."""
        if self.machine.is_open:
            self.machine.save()
            self.machine.is_open = False


@dataclass(frozen=True, slots=True)
class SimulatorPlugin:
    """What the entry point ``simulator`` names."""

    _machines: WeakKeyDictionary[Clock, Machine] = field(default_factory=WeakKeyDictionary)

    @property
    def settings_model(self) -> type[SimulatorSettings]:
        """Return the model of the simulator's section of ``config.yaml``."""
        return SimulatorSettings

    @property
    def coverage(self) -> Coverage:
        """Return which functions of the HAL are carried out."""
        return COVERAGE

    def open(self, settings: SimulatorSettings, *, seed: int, state_directory: Path | None) -> Microscope:
        """Switch the simulated instrument on, or go on with the one in ``state_directory``.

        Milling that a dead client had ordered is finished first, as an instrument would, and its drawing cleared;
        beams that have tripped are on again. Devices fail where the fault plan of the settings says so.
        Raises `ExperimentError` when the folder belongs to another seed or other settings.
        """
        if seed < 0:
            raise ConfigError(f"a seed is 0 or more, got {seed}")
        machine = Machine(settings, seed=seed, state_directory=state_directory)
        engine = MillingEngine(machine)
        engine.finish_order()
        engine.stop()
        if machine.state.chamber.is_pumped:
            switch_on_beams(machine)
        machine.save()
        faults = FaultInjector(machine)
        milling = faults.wrap(engine, "milling")
        columns = {beam_type: SimulatedBeam(machine=machine, beam_type=beam_type) for beam_type in BeamType}
        electron, ion = (
            faults.wrap(columns[beam_type], name)
            for beam_type, name in ((BeamType.ELECTRON, "electron_beam"), (BeamType.ION, "ion_beam"))
        )
        gas = SimulatedGas(machine=machine)
        manipulator = (
            faults.wrap(SimulatedManipulator(machine=machine, hands=Hands(machine, settings.handling)), "manipulator")
            if settings.needle is not None
            else None
        )
        self._machines[machine.clock] = machine
        return Microscope(
            info=INSTRUMENT,
            chain=machine.chain,
            clock=machine.clock,
            driver=SimulatorDriver(
                machine=machine, engine=milling, beams=(electron, ion), gas=gas, manipulator=manipulator
            ),
            stage=faults.wrap(SimulatedStage(machine=machine), "stage"),
            electron_beam=electron,
            ion_beam=ion,
            milling=milling,
            electron_equipment=equip(columns[BeamType.ELECTRON], engine),
            ion_equipment=equip(columns[BeamType.ION], engine),
            manipulator=manipulator,
            gas_injection=faults.wrap(gas, "gas_injection"),
            sputter_coater=SimulatedCoater(machine=machine),
            vacuum=SimulatedVacuum(machine=machine),
            pump=SimulatedPump(machine=machine),
        )

    def truth(self, microscope: Microscope) -> SimulatorTruth | None:
        """Return the truth of a microscope that this plug-in opened, guarded or not; None for any other."""
        # Guards replace the devices of the bundle but never its clock.
        machine = self._machines.get(microscope.clock)
        return SimulatorTruth(machine=machine) if machine is not None else None

    def scene_names(self) -> tuple[str, ...]:
        """Return the scenes that `vary` can draw."""
        return tuple(SCENES)

    def vary(self, settings: SimulatorSettings, scene: str, *, seed: int) -> SimulatorSettings:
        """Return settings with the sample of a scene and a detector drawn from ``seed``, without disturbances.

        Raises `ConfigError` for a scene that there is not.
        """
        return vary(settings, scene, seed=seed)

    def diagnose(self) -> list[str]:
        """Return the packages that the simulator needs and this computer lacks."""
        return [
            f"the package {name} is missing; reinstall fibsem-runtime" for name in _NEEDED_PACKAGES if not _has(name)
        ]


def _has(package: str) -> bool:
    return find_spec(package) is not None
