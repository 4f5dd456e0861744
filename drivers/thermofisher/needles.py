"""Manipulator and gas needle, as far as keeping them out of the way goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.settings import ThermoFisherSettings
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.core.errors import HardwareError, MotionError

_INSERTED = "inserted"
_RETRACTED = "retracted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherManipulator:
    """EasyLift (vendor-thermofisher.md section 11)."""

    connection: Connection
    config: ThermoFisherSettings
    clock: Clock

    def is_inserted(self) -> bool:
        """Read whether it is in the working space; any state but retracted counts as that."""
        return self.connection.call("read the manipulator state", self._read, family=MotionError) != _RETRACTED

    def retract(self, *, cancel: CancelToken) -> None:
        """Go to the park position, wait, retract; safe to call twice.

        It errs when it is retracted too quickly after the move (FOS:3127-3146). Raises `MotionError` when it is not
        retracted afterwards.
        """
        if not self.is_inserted():
            return
        cancel.raise_if_cancelled()
        limit_s = self.config.time_limits.needle_s
        self.connection.call("park the manipulator", self._park, family=MotionError, limit_s=limit_s)
        self.clock.sleep(self.config.settling.needle_s)
        self.connection.call(
            "retract the manipulator", lambda c: c.specimen.manipulator.retract(), family=MotionError, limit_s=limit_s
        )
        if self.is_inserted():
            raise MotionError("the manipulator was retracted, the instrument says that it is not; look at it")

    def _read(self, client: Client) -> str:
        return str(client.specimen.manipulator.state).lower()

    def _park(self, client: Client) -> None:
        manipulator, enumerations = client.specimen.manipulator, self.connection.sdk.enumerations
        park = manipulator.get_saved_position(
            enumerations.ManipulatorSavedPosition.PARK, enumerations.ManipulatorCoordinateSystem.RAW
        )
        manipulator.absolute_move(park)


@dataclass(slots=True, kw_only=True)
class ThermoFisherGas:
    """Gas needles that the settings name (section 12).

    AutoScript does not say whether a needle is inserted: each counts as inserted until this driver has retracted it.
    """

    connection: Connection
    config: ThermoFisherSettings
    _unknown: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._unknown = set(self.config.gas_ports)

    def is_inserted(self) -> bool:
        """Tell whether a needle may be near the sample."""
        return bool(self._unknown)

    def retract(self, *, cancel: CancelToken) -> None:
        """Close every valve, then retract every needle; safe to call twice. Tries all and raises `HardwareError`."""
        cancel.raise_if_cancelled()
        self.close_valves()
        for port in sorted(self._unknown):
            self.connection.call(
                f"retract the gas needle {port}",
                lambda client, name=port: client.gas.get_gis_port(name).retract(),  # type: ignore[misc]
                limit_s=self.config.time_limits.needle_s,
            )
            self._unknown.discard(port)

    def close_valves(self) -> None:
        """Close the valve of every needle that may be open."""
        for port in sorted(self._unknown):
            self.connection.call(
                f"close the gas valve {port}",
                lambda client, name=port: client.gas.get_gis_port(name).close(),  # type: ignore[misc]
            )


def check_gas_ports(connection: Connection, config: ThermoFisherSettings) -> None:
    """Raise `HardwareError` when the instrument has not every gas needle that the settings name."""
    fitted = connection.call("list the gas needles", lambda client: list(client.gas.list_all_gis_ports()))
    missing = sorted(set(config.gas_ports) - set(fitted))
    if missing:
        raise HardwareError(
            f"driver.settings.gas_ports names {', '.join(missing)}, the instrument has {', '.join(fitted) or 'none'}; "
            "correct the settings"
        )
