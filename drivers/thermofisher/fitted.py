"""What one instrument has beyond stage, beams and milling, by what it answers and by what its settings name."""

from __future__ import annotations

from typing import Final, TypeVar

from drivers.thermofisher.chamber import ThermoFisherCamera
from drivers.thermofisher.coater import ThermoFisherCoater
from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.detectors import ThermoFisherDetectors
from drivers.thermofisher.equipment import (
    ColumnDevice,
    ThermoFisherAutoFocus,
    ThermoFisherPlasmaSource,
    ThermoFisherSource,
    ThermoFisherStigmator,
    has_plasma_source,
)
from drivers.thermofisher.frames import Frames
from drivers.thermofisher.gas import ThermoFisherGas, check_gas_lines
from drivers.thermofisher.live_view import ThermoFisherLiveView
from drivers.thermofisher.manipulator import ThermoFisherManipulator
from drivers.thermofisher.settings import ThermoFisherSettings
from drivers.thermofisher.spot import ThermoFisherSpot
from drivers.thermofisher.stage import ThermoFisherStage
from fibsem_runtime.core import BeamType, InstrumentInfo
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.core.errors import NotSupportedError
from fibsem_runtime.hal.equipment import ColumnEquipment

Device = TypeVar("Device", bound=ColumnDevice)

OLDEST_VERSION: Final = (4, 7)
"""Saved manipulator positions came with AutoScript 4.7 (FOS:3096); without them no needle can be retracted."""
POLYGON_VERSION: Final = (4, 12)
"""FOS:3961."""


def server_version(connection: Connection) -> tuple[int, ...]:
    """Return the version of the AutoScript server; raise `NotSupportedError` for one that is too old or unreadable."""
    text = connection.call("read the version", lambda client: str(client.service.autoscript.server.version))
    parts = text.split(".")
    version = tuple(int(part) for part in parts if part.isdigit())
    if len(version) != len(parts) or version < OLDEST_VERSION:
        raise NotSupportedError(f"the instrument has AutoScript {text}, needed is 4.7 or newer; update it")
    return version


def find_manipulator(
    connection: Connection, settings: ThermoFisherSettings, stage: ThermoFisherStage, clock: Clock
) -> ThermoFisherManipulator | None:
    """Return the needle when one is fitted."""
    if not connection.call("look for a manipulator", lambda client: bool(client.specimen.manipulator.is_installed)):
        return None
    return ThermoFisherManipulator(connection=connection, config=settings, stage=stage, clock=clock)


def find_gas(
    connection: Connection, settings: ThermoFisherSettings, stage: ThermoFisherStage, clock: Clock
) -> ThermoFisherGas | None:
    """Return the configured gas lines; raise `HardwareError` when the instrument has not all of them."""
    if settings.gas is None:
        return None
    check_gas_lines(connection, settings.gas)
    return ThermoFisherGas(connection=connection, config=settings, settings=settings.gas, stage=stage, clock=clock)


def find_coater(connection: Connection, settings: ThermoFisherSettings) -> ThermoFisherCoater | None:
    """Return the sputter coater; an instrument without one has not the attribute (section 12)."""

    def probe(client: Client) -> bool:
        return hasattr(client.specimen, "sputter_coater")

    if not connection.call("look for a sputter coater", probe):
        return None
    return ThermoFisherCoater(connection=connection, config=settings)


def find_camera(
    connection: Connection, settings: ThermoFisherSettings, info: InstrumentInfo, clock: Clock
) -> ThermoFisherCamera | None:
    """Return the chamber camera of the configured view; whether it is fitted is seen only when it is used."""
    if settings.camera_view is None:
        return None
    return ThermoFisherCamera(connection=connection, view=settings.camera_view, clock=clock, info=info)


def find_equipment(device: ColumnDevice, frames: Frames) -> ColumnEquipment:
    """Return the equipment of one column; the ion beam is never focused by the instrument, which damages (SFB:789)."""
    connection, config, column, clock = device.connection, device.config, device.column, device.clock

    def of(kind: type[Device]) -> Device:
        return kind(connection=connection, config=config, column=column, clock=clock)

    is_ion = column.beam_type is BeamType.ION
    return ColumnEquipment(
        source=of(ThermoFisherSource),
        detectors=of(ThermoFisherDetectors),
        auto_focus=None if is_ion else of(ThermoFisherAutoFocus),
        stigmator=of(ThermoFisherStigmator),
        live_view=ThermoFisherLiveView(connection=connection, config=config, column=column, clock=clock, frames=frames),
        spot=None if config.spot_coordinates is None else of(ThermoFisherSpot),
        plasma_source=of(ThermoFisherPlasmaSource) if is_ion and has_plasma_source(connection, column) else None,
    )
