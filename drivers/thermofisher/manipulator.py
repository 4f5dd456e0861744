"""The needle (EasyLift): in from a saved position, straight moves in STAGE coordinates, parked before it is retracted.

Facts: vendor-thermofisher.md section 11, vendor-geometry.md section 8.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from drivers.thermofisher import convert
from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.insertion_settings import ManipulatorSettings
from drivers.thermofisher.settings import ThermoFisherSettings
from drivers.thermofisher.stage import ThermoFisherStage
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.core.errors import ConfigError, InterlockError, MotionError, NotSupportedError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.hal.manipulator import (
    ManipulatorChain,
    ManipulatorLimits,
    ManipulatorPose,
    ManipulatorPosition,
)

T = TypeVar("T")

_RETRACTED: Final = "retracted"
_TOLERANCE_M: Final = 1e-6
"""How near the needle must arrive (assumed)."""

_SAVED: Final = {ManipulatorPose.PARKED: "PARK", ManipulatorPose.WORKING: "EUCENTRIC"}
"""The positions that AutoScript keeps; the needle can be inserted at no other."""


@dataclass(slots=True, kw_only=True)
class ThermoFisherManipulator:
    """Needle without a rotation; its positions are STAGE coordinates, whose axes tilt with the stage."""

    connection: Connection
    config: ThermoFisherSettings
    stage: ThermoFisherStage
    clock: Clock
    _is_held: bool = field(default=False, init=False)

    @property
    def is_held(self) -> bool:
        """Return what `hold` was told last; the instrument does not know."""
        return self._is_held

    def hold(self, *, held: bool) -> None:
        """Keep the word until the connection is closed; a new one must be told again."""
        self._is_held = held

    @property
    def chain(self) -> ManipulatorChain | None:
        """Return the directions of the axes once the site has measured the sense of y (section 8)."""
        sign = self.config.manipulator.y_axis_sign if self.config.manipulator else None
        return None if sign is None else ManipulatorChain(y_axis=(0.0, float(sign), 0.0), rides_on_tilt=True)

    @property
    def limits(self) -> ManipulatorLimits:
        """Return the configured ranges; raise `ConfigError` when there are none."""
        return self._settings.limits()

    def is_inserted(self) -> bool:
        """Read whether it is in the working space; any state but retracted counts as that."""
        return self._do("read the manipulator state", lambda needle: str(needle.state).lower()) != _RETRACTED

    def position(self) -> ManipulatorPosition:
        """Read where it is."""
        return self._do("read the manipulator position", self._read)

    def saved_position(self, pose: ManipulatorPose) -> ManipulatorPosition:
        """Read a kept position; raise `NotSupportedError` for the standby, which AutoScript does not have."""
        name = _saved_name(pose)
        return self._do(
            f"read the saved position {name.lower()}",
            lambda needle: convert.manipulator_position(self._saved(needle, name, "STAGE")),
        )

    def insert(self, pose: ManipulatorPose, *, cancel: CancelToken) -> ManipulatorPosition:
        """Insert the needle at a saved position and return the position read back.

        Raises `ConfigError` without configured ranges, `NotSupportedError` for a position that is not kept,
        `InterlockError` when the stage is too low; nothing has moved then. Raises `MotionError` when the needle is
        refused or not where it was sent.
        """
        name, lowest_m = _saved_name(pose), self._settings.lowest_stage_z_mm / 1e3
        cancel.raise_if_cancelled()

        def order(client: Client) -> tuple[ManipulatorPosition, ManipulatorPosition]:
            z_m = self.stage.read(client).z_m
            if not z_m > lowest_m:
                raise InterlockError(
                    f"asked to insert the manipulator with the stage at z = {format_quantity(z_m, 'm')}, needed is "
                    f"more than {format_quantity(lowest_m, 'm')} (driver.settings.manipulator.lowest_stage_z_mm); "
                    "move the stage first"
                )
            needle = client.specimen.manipulator
            needle.insert(self._saved(needle, name, "RAW"))
            return convert.manipulator_position(self._saved(needle, name, "STAGE")), self._read(needle)

        return _arrived(*self._call("insert the manipulator", order, limit_s=self._limit_s))

    def move_to(self, target: ManipulatorPosition, *, cancel: CancelToken) -> ManipulatorPosition:
        """Move in a straight line and return the position read back; a move that has begun is not cancelled.

        Raises `NotSupportedError` for a rotation, `ConfigError` without configured ranges, `MotionError` when the
        needle is refused, retracted or not where it was sent.
        """
        if target.r_rad is not None:
            raise NotSupportedError("a rotation of the manipulator was asked for, it has none; it has not moved")
        limits = self.limits
        if not all(
            allowed.contains(asked_m)
            for allowed, asked_m in ((limits.x_m, target.x_m), (limits.y_m, target.y_m), (limits.z_m, target.z_m))
        ):
            raise MotionError(f"asked to move the manipulator to {target}, allowed are {limits}; it has not moved")
        cancel.raise_if_cancelled()
        goal = convert.vendor_manipulator_position(self.connection.sdk, target)

        def order(needle: Any) -> ManipulatorPosition:
            needle.absolute_move(goal)
            return self._read(needle)

        return _arrived(target, self._do("move the manipulator", order, limit_s=self._limit_s))

    def retract(self, *, cancel: CancelToken) -> None:
        """Go to the park position, wait, retract; safe to call twice.

        It errs when it is retracted too quickly after the move (FOS:3127-3146). Raises `MotionError` when it is not
        retracted afterwards.
        """
        if not self.is_inserted():
            return
        cancel.raise_if_cancelled()
        park = "park the manipulator"
        self._do(park, lambda needle: needle.absolute_move(self._saved(needle, "PARK", "RAW")), limit_s=self._limit_s)
        self.clock.sleep(self.config.settling.needle_s)
        self._do("retract the manipulator", lambda needle: needle.retract(), limit_s=self._limit_s)
        if self.is_inserted():
            raise MotionError("the manipulator was retracted, the instrument says that it is not; look at it")

    @property
    def _settings(self) -> ManipulatorSettings:
        if self.config.manipulator is None:
            raise ConfigError(
                "asked to use the manipulator, driver.settings.manipulator is empty; enter the ranges measured on site"
            )
        return self.config.manipulator

    @property
    def _limit_s(self) -> float:
        return self.config.time_limits.needle_s

    def _read(self, needle: Any) -> ManipulatorPosition:
        """Read the position as part of another action; another program may have chosen other coordinates."""
        needle.set_default_coordinate_system(self.connection.sdk.enumerations.ManipulatorCoordinateSystem.STAGE)
        return convert.manipulator_position(needle.current_position)

    def _saved(self, needle: Any, name: str, system: str) -> Any:
        enumerations = self.connection.sdk.enumerations
        return needle.get_saved_position(
            getattr(enumerations.ManipulatorSavedPosition, name),
            getattr(enumerations.ManipulatorCoordinateSystem, system),
        )

    def _do(self, what: str, job: Callable[[Any], T], *, limit_s: float | None = None) -> T:
        return self._call(what, lambda client: job(client.specimen.manipulator), limit_s=limit_s)

    def _call(self, what: str, job: Callable[[Client], T], *, limit_s: float | None = None) -> T:
        return self.connection.call(what, job, family=MotionError, limit_s=limit_s)


def _saved_name(pose: ManipulatorPose) -> str:
    name = _SAVED.get(pose)
    if name is None:
        raise NotSupportedError(
            f"the manipulator position {pose.value} was asked for, this instrument keeps: "
            f"{', '.join(kept.value for kept in _SAVED)}; nothing has moved"
        )
    return name


def _arrived(target: ManipulatorPosition, reached: ManipulatorPosition) -> ManipulatorPosition:
    missed_m = math.dist((target.x_m, target.y_m, target.z_m), (reached.x_m, reached.y_m, reached.z_m))
    if not missed_m <= _TOLERANCE_M:
        raise MotionError(
            f"the manipulator stopped {format_quantity(missed_m, 'm')} from where it was sent, allowed are "
            f"{format_quantity(_TOLERANCE_M, 'm')}; look at it before anything moves"
        )
    return reached
