"""EasyLift (vendor-thermofisher.md section 11, vendor-fakes.md T16): the simulated needle is moved, in the chamber, and
both coordinate systems are read from where its encoders say that it is.

Chamber axes: x right, y up in the electron image, z towards the electron column, as in vendor-geometry.md section 8:
a move of the tip along the electron image's y is (0, cos t, sin t) in STAGE, one along z is (0, -sin t, cos t).
"""

from __future__ import annotations

import math
from typing import Any

from autoscript_core.common import ApplicationServerException

from fibsem_runtime.core import CancelToken
from fibsem_runtime.hal import ManipulatorPose
from fibsem_runtime.hal import ManipulatorPosition as TruePosition

from ._instrument import Instrument
from .structures import ManipulatorPosition

SAVED = {"Park": ManipulatorPose.PARKED, "Eucentric": ManipulatorPose.WORKING}
LOWEST_STAGE_Z_M = 3.7e-3
NEAR_M = 1e-6


class Manipulator:
    """Inserted from a saved position only, retracted from its park after a pause."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client
        if instrument.version >= (4, 7):
            self.get_saved_position = self._get_saved_position

    def _call(self, name: str, *arguments: Any) -> Any:
        return self._instrument.call(self._client, f"manipulator.{name}", *arguments)

    @property
    def is_installed(self) -> bool:
        with self._call("is_installed"):
            return self._instrument.options.has_manipulator

    @property
    def state(self) -> str:
        with self._call("state"):
            return self._instrument.manipulator_state

    @property
    def current_position(self) -> ManipulatorPosition:
        with self._call("current_position"):
            return self._to_vendor(self._instrument.manipulator_tip_m, self._instrument.manipulator_coordinates)

    def set_default_coordinate_system(self, system: str) -> None:
        with self._call("set_default_coordinate_system", system) as fault:
            if system not in ("Raw", "Stage"):
                raise ApplicationServerException(f"The coordinate system {system} does not exist.")
            if fault != "ignore":
                self._instrument.manipulator_coordinates = system

    def _get_saved_position(self, name: str, system: str) -> ManipulatorPosition:
        with self._call("get_saved_position", name, system):
            if name not in SAVED:
                raise ApplicationServerException(f"There is no saved position {name}.")
            return self._to_vendor(self._saved_m(name), system)

    def insert(self, position: Any) -> None:
        with self._call("insert", position) as fault:
            tip_m = self._from_vendor(position)
            near = [name for name in SAVED if math.dist(tip_m, self._saved_m(name)) <= NEAR_M]
            if not near:
                raise ApplicationServerException("The manipulator is inserted from park or eucentric only.")
            if self._instrument.manipulator_state == "Inserted":
                raise ApplicationServerException("The manipulator is inserted already.")
            if self._instrument.simulator.stage.position().z_m <= LOWEST_STAGE_Z_M:
                raise ApplicationServerException("The stage is too low to insert the manipulator.")
            if fault != "ignore":
                self._instrument.needle.insert(SAVED[near[0]], cancel=CancelToken())

    def absolute_move(self, position: Any) -> None:
        with self._call("absolute_move", position) as fault:
            self._move(self._from_vendor(position), fault)

    def relative_move(self, position: Any) -> None:
        with self._call("relative_move", position) as fault:
            self._move(self._from_vendor(position, start_m=self._instrument.manipulator_tip_m), fault)

    def _move(self, target_m: tuple[float, float, float], fault: str) -> None:
        instrument = self._instrument
        if instrument.manipulator_state != "Inserted":
            raise ApplicationServerException("The manipulator is retracted.")
        if fault == "short":
            here_m = instrument.manipulator_tip_m
            target_m = tuple(a + 0.6 * (b - a) for a, b in zip(here_m, target_m, strict=True))  # type: ignore[assignment]
        if fault != "ignore":
            x_m, y_m, z_m = target_m
            instrument.needle.move_to(TruePosition(x_m=x_m, y_m=y_m, z_m=z_m), cancel=CancelToken())
        instrument.manipulator_moved_at_s = instrument.clock.monotonic_s()

    def retract(self) -> None:
        with self._call("retract") as fault:
            waited_s = self._instrument.clock.monotonic_s() - self._instrument.manipulator_moved_at_s
            if waited_s < 1.0 - 1e-9:
                raise ApplicationServerException("The manipulator is still moving.")
            if math.dist(self._instrument.manipulator_tip_m, self._saved_m("Park")) > NEAR_M:
                raise ApplicationServerException("The manipulator is not parked.")
            if fault != "ignore":
                self._instrument.needle.retract(cancel=CancelToken())

    def _saved_m(self, name: str) -> tuple[float, float, float]:
        """Return a saved position in the chamber."""
        kept = self._instrument.needle.saved_position(SAVED[name])
        return kept.x_m, kept.y_m, kept.z_m

    @property
    def _tilt(self) -> tuple[float, float]:
        t_rad = self._instrument.simulator.stage.position().t_rad
        return math.cos(t_rad), math.sin(t_rad)

    def _to_vendor(self, tip_m: tuple[float, float, float], system: str) -> ManipulatorPosition:
        x, y, z = tip_m
        if system == "Raw":
            return ManipulatorPosition(x=x, y=y, z=-z, r=None, coordinate_system=system)
        cos, sin = self._tilt
        sign = self._instrument.options.manipulator_y_sign
        return ManipulatorPosition(
            x=x, y=sign * (y * cos - z * sin), z=y * sin + z * cos, r=None, coordinate_system=system
        )

    def _from_vendor(
        self, asked: Any, start_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ) -> tuple[float, float, float]:
        if not isinstance(asked, ManipulatorPosition):
            raise ApplicationServerException("The manipulator needs a ManipulatorPosition.")
        if asked.r is not None:
            raise ApplicationServerException("The manipulator has no rotation.")
        x, y, z = asked.x or 0.0, asked.y or 0.0, asked.z or 0.0
        if (asked.coordinate_system or self._instrument.manipulator_coordinates) == "Raw":
            return start_m[0] + x, start_m[1] + y, start_m[2] - z
        cos, sin = self._tilt
        y *= self._instrument.options.manipulator_y_sign
        return start_m[0] + x, start_m[1] + y * cos + z * sin, start_m[2] - y * sin + z * cos
