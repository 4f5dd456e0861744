"""Open a Thermo Fisher instrument and bundle its devices."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from drivers.thermofisher import fitted
from drivers.thermofisher.beams import ThermoFisherBeam
from drivers.thermofisher.chamber import ThermoFisherPump, ThermoFisherVacuum
from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.coverage import COVERAGE
from drivers.thermofisher.equipment import ColumnDevice
from drivers.thermofisher.frames import Frames
from drivers.thermofisher.gas import ThermoFisherGas
from drivers.thermofisher.manipulator import ThermoFisherManipulator
from drivers.thermofisher.milling import ThermoFisherMilling
from drivers.thermofisher.sdk import Sdk, load_sdk, missing_packages
from drivers.thermofisher.settings import ThermoFisherSettings
from drivers.thermofisher.stage import ThermoFisherStage, find_stage
from drivers.thermofisher.views import Column
from fibsem_runtime.core import BeamType, CancelToken, InstrumentInfo
from fibsem_runtime.core.clock import Clock, WallClock
from fibsem_runtime.core.errors import HardwareError, InterlockError, NotSupportedError
from fibsem_runtime.hal.attempts import Attempt, attempt_all
from fibsem_runtime.hal.coverage import Coverage
from fibsem_runtime.hal.microscope import Microscope
from fibsem_runtime.hal.truth import Truth

MANUFACTURER: Final = "Thermo Fisher Scientific"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherDriver:
    """The instrument as a whole."""

    connection: Connection
    config: ThermoFisherSettings
    milling: ThermoFisherMilling
    beams: tuple[ThermoFisherBeam, ThermoFisherBeam]
    manipulator: ThermoFisherManipulator | None
    gas_injection: ThermoFisherGas | None

    def safe_state(self) -> None:
        """Stop milling, close gas valves, blank both beams, retract gas needle and manipulator; the stage stays.

        Each action on its own in the order of safety.md section 2; a connection that is lost or blocked is made anew
        first. Voltage, current and beam shift are restored by `hal.milling_conditions`, which knows them from before.
        Raises `HardwareError` naming what failed after everything was tried.
        """
        failures = attempt_all(self._attempts())
        if failures:
            raise HardwareError("; ".join(failures))

    def close(self) -> None:
        """Disconnect; the instrument stays as it is."""
        self.connection.close()

    def _attempts(self) -> list[Attempt]:
        electron, ion = self.beams
        attempts: list[Attempt] = [("reach the instrument", self.connection.take_over)]
        attempts.append(("stop milling", self._reached(self.milling.stop)))
        if self.gas_injection is not None:
            attempts.append(("close the gas valves", self._reached(self.gas_injection.close_valves)))
        attempts.append(("blank the ion beam", self._reached(partial(ion.set_blanked, blanked=True))))
        attempts.append(("blank the electron beam", self._reached(partial(electron.set_blanked, blanked=True))))
        if self.gas_injection is not None:
            retract = partial(self.gas_injection.retract, cancel=CancelToken())
            attempts.append(("retract the gas needle", self._reached(retract)))
        if self.manipulator is not None:
            attempts.append(("retract the manipulator", self._reached(self._secure_manipulator)))
        return attempts

    def _reached(self, action: Callable[[], object]) -> Callable[[], object]:
        """Return the action on a connection that is made anew when an action before has lost it."""

        def reach_and_act() -> None:
            self.connection.take_over()
            action()

        return reach_and_act

    def _secure_manipulator(self) -> None:
        if self.manipulator is None or self.manipulator.is_held or not self.manipulator.is_inserted():
            return
        if not self.config.safe_state_retracts_manipulator:
            raise InterlockError("it is inserted and may hold the sample; it stays where it is, look at it")
        self.manipulator.retract(cancel=CancelToken())


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherPlugin:
    """What the entry point ``thermofisher`` names; the clock is real unless a test brings another."""

    clock: Clock = field(default_factory=WallClock)

    @property
    def settings_model(self) -> type[ThermoFisherSettings]:
        """Return the model of the driver's section of ``config.yaml``."""
        return ThermoFisherSettings

    @property
    def coverage(self) -> Coverage:
        """Return what is carried out with which call of AutoScript, on an instrument that has everything."""
        return COVERAGE

    def open(self, settings: ThermoFisherSettings, *, seed: int, state_directory: Path | None) -> Microscope:
        """Connect and look what the instrument has; nothing moves, beams stay as they are.

        Raises `ConfigError` without AutoScript or for settings of another instrument, `ConnectionLostError` when it
        does not answer, `NotSupportedError` without both columns.
        """
        sdk = load_sdk()
        connection = Connection(sdk, settings)
        is_open = False
        try:
            microscope = self._bundle(sdk, connection, settings)
            is_open = True
        finally:
            if not is_open:
                attempt_all([("disconnect", connection.close)])
        return microscope

    def truth(self, microscope: Microscope) -> Truth | None:
        """Return None: an instrument does not know."""
        return None

    def diagnose(self) -> list[str]:
        """Return what this computer lacks of AutoScript."""
        return missing_packages()

    def _bundle(self, sdk: Sdk, connection: Connection, settings: ThermoFisherSettings) -> Microscope:
        info = connection.call("read what the instrument is", _read_info)
        connection.call("look for the columns", _require_columns)
        stage = ThermoFisherStage(
            connection=connection, settings=settings, clock=self.clock, limits=find_stage(connection, settings)
        )
        frames = self._frames(sdk, stage, info, settings)
        devices = [
            ColumnDevice(connection=connection, config=settings, column=each.column, clock=self.clock)
            for each in frames
        ]
        electron, ion = (
            ThermoFisherBeam(connection=connection, config=settings, column=each.column, clock=self.clock, frames=each)
            for each in frames
        )
        milling = ThermoFisherMilling(
            connection=connection,
            config=settings,
            column=ion.column,
            clock=self.clock,
            has_polygons=fitted.server_version(connection) >= fitted.POLYGON_VERSION,
        )
        manipulator = fitted.find_manipulator(connection, settings, stage, self.clock)
        gas = fitted.find_gas(connection, settings, stage, self.clock)
        vacuum = ThermoFisherVacuum(connection=connection)
        electron_equipment, ion_equipment = (
            fitted.find_equipment(device, each) for device, each in zip(devices, frames, strict=True)
        )
        return Microscope(
            info=info,
            chain=settings.geometry.chain(),
            clock=self.clock,
            driver=ThermoFisherDriver(
                connection=connection,
                config=settings,
                milling=milling,
                beams=(electron, ion),
                manipulator=manipulator,
                gas_injection=gas,
            ),
            stage=stage,
            electron_beam=electron,
            ion_beam=ion,
            milling=milling,
            electron_equipment=electron_equipment,
            ion_equipment=ion_equipment,
            manipulator=manipulator,
            gas_injection=gas,
            sputter_coater=fitted.find_coater(connection, settings),
            vacuum=vacuum,
            pump=ThermoFisherPump(connection=connection, config=settings, vacuum=vacuum, clock=self.clock),
            chamber_camera=fitted.find_camera(connection, settings, info, self.clock),
        )

    def _frames(
        self, sdk: Sdk, stage: ThermoFisherStage, info: InstrumentInfo, settings: ThermoFisherSettings
    ) -> tuple[Frames, Frames]:
        """Return what gives the images of both columns, numbered together."""
        numbers = itertools.count(1)
        electron, ion = (
            Frames(sdk=sdk, column=column, stage=stage, clock=self.clock, info=info, numbers=numbers)
            for column in _columns(sdk, settings)
        )
        return electron, ion


def _read_info(client: Client) -> InstrumentInfo:
    system = client.service.system
    return InstrumentInfo(
        manufacturer=MANUFACTURER,
        model=str(system.name),
        serial_number=str(system.serial_number),
        software_version=f"xT {system.version}, AutoScript {client.service.autoscript.server.version}",
    )


def _require_columns(client: Client) -> None:
    missing = [
        beam_type.value.lower()
        for beam_type, beam in (
            (BeamType.ELECTRON, client.beams.electron_beam),
            (BeamType.ION, client.beams.ion_beam),
        )
        if not _is_installed(beam)
    ]
    if missing:
        raise NotSupportedError(f"the instrument has no {' and no '.join(missing)} column; a dual-beam is needed")


def _is_installed(beam: Any) -> bool:
    """Tell whether a column is fitted; versions without the attribute have both (evidence M)."""
    return bool(getattr(beam, "is_installed", True))


def _columns(sdk: Sdk, settings: ThermoFisherSettings) -> tuple[Column, Column]:
    device = sdk.enumerations.ImagingDevice
    return (
        Column(
            beam_type=BeamType.ELECTRON,
            view=settings.electron_view,
            device=device.ELECTRON_BEAM,
            attribute="electron_beam",
        ),
        Column(beam_type=BeamType.ION, view=settings.ion_view, device=device.ION_BEAM, attribute="ion_beam"),
    )
