"""The bulk stage or the compustage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from drivers.thermofisher import convert
from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.settings import ThermoFisherSettings
from fibsem_runtime.core import CancelToken, StagePosition
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.core.errors import ConfigError, MotionError, RefusedSettingError
from fibsem_runtime.core.units import format_angle, format_quantity
from fibsem_runtime.hal.devices import StageLimits
from fibsem_runtime.hal.guards.limits import check_limits

_POSITION_TOLERANCE_M: Final = 0.5e-6
_ANGLE_TOLERANCE_RAD: Final = math.radians(0.02)
"""How near the stage must arrive, and that it is sent twice at most: PyTriBeam, vendor-thermofisher.md section 10."""
_ATTEMPTS: Final = 2

_FOCUS_TOLERANCE_M: Final = 1e-6
"""How far the electron working distance may be off after it was restored (assumed; depth of focus is larger)."""


def find_stage(connection: Connection, settings: ThermoFisherSettings) -> StageLimits:
    """Make the fitted stage speak our coordinates and return its limits.

    Raises `ConfigError` when it is not the configured kind and `MotionError` when it is not homed.
    """
    is_compustage = settings.geometry.is_compustage

    def read(client: Client) -> dict[str, Any]:
        fitted = bool(client.specimen.compustage.is_installed)
        if fitted is not is_compustage:
            found = "a compustage" if fitted else "a bulk stage"
            raise ConfigError(
                f"the instrument has {found}; correct is_compustage in driver.settings.geometry, and its other values"
            )
        stage = stage_of(client, is_compustage=is_compustage)
        if not is_compustage and not stage.is_homed:
            raise MotionError("the stage is not homed, its positions mean nothing; home it at the instrument")
        stage.set_default_coordinate_system(convert.SPECIMEN if is_compustage else convert.RAW)
        axes = ("x", "y", "z", "a" if is_compustage else "t")
        return {axis: stage.get_axis_limits(axis) for axis in axes}

    found = connection.call("read the stage limits", read, family=MotionError)
    return convert.stage_limits(found, is_compustage=is_compustage)


def stage_of(client: Client, *, is_compustage: bool) -> Any:
    """Return the vendor's stage."""
    return client.specimen.compustage if is_compustage else client.specimen.stage


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherStage:
    """Absolute moves, each compared with its target; the electron focus survives them."""

    connection: Connection
    settings: ThermoFisherSettings
    clock: Clock
    limits: StageLimits

    @property
    def is_compustage(self) -> bool:
        """Tell whether the stage turns the grid over by tilting and has no rotation."""
        return self.settings.geometry.is_compustage

    def position(self) -> StagePosition:
        """Read the encoders."""
        return self.connection.call("read the stage position", self.read, family=MotionError)

    def read(self, client: Client) -> StagePosition:
        """Read the encoders as part of another action."""
        stage = stage_of(client, is_compustage=self.is_compustage)
        return convert.stage_position(stage.current_position, is_compustage=self.is_compustage)

    def move_to(self, target: StagePosition, *, cancel: CancelToken) -> StagePosition:
        """Go to ``target``, a second time when the first ended short, and return the position read back.

        A move that has begun is not cancelled. The server rewrites the electron working distance when a bulk stage
        tilts or is linked (section 10, fibsem#268): it is read before and restored after. Raises `StageLimitError`
        before anything has moved, `MotionError` when the stage is refused or not where it was sent.
        """
        check_limits(self.limits, target)
        cancel.raise_if_cancelled()
        what = "move the stage"
        for attempt in range(_ATTEMPTS):
            if attempt:
                self.clock.sleep(self.settings.settling.stage_s)
            reached = self.connection.call(
                what, lambda client: self._move(client, target), family=MotionError, limit_s=self._limit_s
            )
            missed_m, missed_rad = _missed(target, reached)
            if missed_m <= _POSITION_TOLERANCE_M and missed_rad <= _ANGLE_TOLERANCE_RAD:
                return reached
        raise MotionError(
            f"the stage stopped {format_quantity(missed_m, 'm')} and {format_angle(missed_rad)} from where it was sent "
            f"({_ATTEMPTS} attempts), allowed are {format_quantity(_POSITION_TOLERANCE_M, 'm')} and 0.02°; look into "
            "the chamber before moving on"
        )

    @property
    def _limit_s(self) -> float:
        return self.settings.time_limits.move_s

    def _move(self, client: Client, target: StagePosition) -> StagePosition:
        here = self.read(client)
        goal = convert.vendor_position(self.connection.sdk, target, here=here, is_compustage=self.is_compustage)
        stage = stage_of(client, is_compustage=self.is_compustage)
        if self.is_compustage:
            stage.absolute_move(goal)
            return self.read(client)
        focus = client.beams.electron_beam.working_distance
        before_m = float(focus.value)
        try:
            stage.absolute_move(goal)
        finally:
            if abs(float(focus.value) - before_m) > _FOCUS_TOLERANCE_M:
                focus.value = before_m
        if abs(float(focus.value) - before_m) > _FOCUS_TOLERANCE_M:
            raise RefusedSettingError(
                f"the stage move changed the electron working distance from {format_quantity(before_m, 'm')} to "
                f"{format_quantity(float(focus.value), 'm')} and it could not be restored; focus again"
            )
        return self.read(client)


def _missed(target: StagePosition, reached: StagePosition) -> tuple[float, float]:
    """Return how far two positions are apart, in metres and in radians; rotation counts modulo a turn."""
    missed_m = math.dist((target.x_m, target.y_m, target.z_m), (reached.x_m, reached.y_m, reached.z_m))
    turned_rad = math.remainder(reached.r_rad - target.r_rad, math.tau)
    return missed_m, max(abs(turned_rad), abs(reached.t_rad - target.t_rad))
