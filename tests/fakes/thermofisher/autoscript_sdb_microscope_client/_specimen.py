"""Stage and compustage (vendor-thermofisher.md section 10), and everything that is inserted over the sample."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from autoscript_core.common import ApplicationServerException

from fibsem_runtime.core import CancelToken
from fibsem_runtime.core import StagePosition as TruePosition

from ._gas import SputterCoater
from ._instrument import Instrument
from ._manipulator import Manipulator
from .structures import CompustagePosition, Limits, StagePosition

SHORT_FRACTION = 0.6


class Stage:
    """Bulk stage: blocking moves, axes that are None stay, the electron focus is rewritten by tilts."""

    PREFIX = "stage"
    TILT = "t"

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client

    @property
    def is_installed(self) -> bool:
        with self._instrument.call(self._client, f"{self.PREFIX}.is_installed"):
            return not self._instrument.options.is_compustage

    @property
    def is_homed(self) -> bool:
        with self._instrument.call(self._client, f"{self.PREFIX}.is_homed"):
            return self._instrument.is_homed

    @property
    def is_linked(self) -> bool:
        with self._instrument.call(self._client, f"{self.PREFIX}.is_linked"):
            return self._instrument.is_linked

    def link(self) -> None:
        with self._instrument.call(self._client, f"{self.PREFIX}.link"):
            self._instrument.is_linked = True
            self._rewrite_focus()

    def set_default_coordinate_system(self, system: str) -> None:
        with self._instrument.call(self._client, f"{self.PREFIX}.set_default_coordinate_system", system):
            if system not in ("Raw", "Specimen"):
                raise ApplicationServerException(f"The coordinate system {system} does not exist.")
            self._instrument.default_coordinates = system

    def get_axis_limits(self, axis: str) -> Limits:
        with self._instrument.call(self._client, f"{self.PREFIX}.get_axis_limits", axis):
            limits = self._instrument.simulator.stage.limits
            fields = {"x": limits.x_m, "y": limits.y_m, "z": limits.z_m, "r": limits.r_rad, self.TILT: limits.t_rad}
            if axis not in fields:
                raise ApplicationServerException(f"The axis {axis} does not exist.")
            return Limits(fields[axis].low, fields[axis].high)

    @property
    def current_position(self) -> Any:
        with self._instrument.call(self._client, f"{self.PREFIX}.current_position"):
            return self._to_vendor(self._instrument.simulator.stage.position())

    def absolute_move(self, position: Any, settings: Any = None) -> None:
        with self._instrument.call(self._client, f"{self.PREFIX}.absolute_move", position, settings) as fault:
            self._instrument.refuse_while_milling("Moving the stage")
            here = self._instrument.simulator.stage.position()
            target = self._from_vendor(position, here)
            if fault == "ignore" or self._is_tiny(here, target):
                return
            if fault == "short":
                target = _between(here, target)
            self._instrument.simulator.stage.move_to(target, cancel=CancelToken())
            if abs(target.t_rad - here.t_rad) > 1e-6:
                self._rewrite_focus()

    def stop(self) -> None:
        with self._instrument.call(self._client, f"{self.PREFIX}.stop"):
            return

    def _is_tiny(self, here: TruePosition, target: TruePosition) -> bool:
        """Tell whether the move lies within the backlash and is ignored without an error (odemis#3055)."""
        way_m = math.dist((here.x_m, here.y_m, here.z_m), (target.x_m, target.y_m, target.z_m))
        is_turned = max(abs(here.r_rad - target.r_rad), abs(here.t_rad - target.t_rad)) > 1e-9
        return way_m < self._instrument.options.tiny_move_m and not is_turned

    def _rewrite_focus(self) -> None:
        beam = self._instrument.simulator.electron_beam
        beam.set_working_distance(beam.settings().working_distance_m + self._instrument.options.focus_rewrite_m)

    def _to_vendor(self, here: TruePosition) -> Any:
        x, y, z = here.x_m, here.y_m, here.z_m
        system = self._instrument.default_coordinates
        if system == "Specimen":
            offset = self._instrument.options.specimen_offset_m
            x, y, z = x + offset[0], y + offset[1], -z
        r = here.r_rad + self._instrument.options.read_turns * math.tau
        return StagePosition(x=x, y=y, z=z, r=r, t=here.t_rad, coordinate_system=system)

    def _from_vendor(self, asked: Any, here: TruePosition) -> TruePosition:
        if not isinstance(asked, StagePosition):
            raise ApplicationServerException("The stage needs a StagePosition.")
        x, y, z = asked.x, asked.y, asked.z
        if (asked.coordinate_system or self._instrument.default_coordinates) == "Specimen":
            offset = self._instrument.options.specimen_offset_m
            x = None if x is None else x - offset[0]
            y = None if y is None else y - offset[1]
            z = None if z is None else -z
        r = None if asked.r is None else asked.r - self._instrument.options.read_turns * math.tau
        return _merged(here, x, y, z, r, asked.t)


class Compustage(Stage):
    """Arctis stage: no rotation, no link (vendor-fakes.md T15)."""

    PREFIX = "compustage"
    TILT = "a"

    @property
    def is_installed(self) -> bool:
        with self._instrument.call(self._client, "compustage.is_installed"):
            return self._instrument.options.is_compustage

    def link(self) -> None:
        raise AttributeError("a compustage has no link")

    def _rewrite_focus(self) -> None:
        """Leave the focus alone."""

    def _to_vendor(self, here: TruePosition) -> Any:
        return CompustagePosition(x=here.x_m, y=here.y_m, z=here.z_m, a=here.t_rad, coordinate_system="Specimen")

    def _from_vendor(self, asked: Any, here: TruePosition) -> TruePosition:
        if not isinstance(asked, CompustagePosition):
            raise ApplicationServerException("The compustage needs a CompustagePosition.")
        if asked.z is not None and self._instrument.options.is_objective_inserted:
            raise ApplicationServerException("The stage cannot move in z while the objective is inserted.")
        return _merged(here, asked.x, asked.y, asked.z, None, asked.a)


def _merged(here: TruePosition, *asked: float | None) -> TruePosition:
    """Return where the stage goes: axes that are None stay."""
    names = ("x_m", "y_m", "z_m", "r_rad", "t_rad")
    return replace(here, **{name: value for name, value in zip(names, asked, strict=True) if value is not None})


def _between(here: TruePosition, target: TruePosition) -> TruePosition:
    """Return where a move ends that stops short."""
    return TruePosition(
        x_m=here.x_m + SHORT_FRACTION * (target.x_m - here.x_m),
        y_m=here.y_m + SHORT_FRACTION * (target.y_m - here.y_m),
        z_m=here.z_m + SHORT_FRACTION * (target.z_m - here.z_m),
        r_rad=here.r_rad + SHORT_FRACTION * (target.r_rad - here.r_rad),
        t_rad=here.t_rad + SHORT_FRACTION * (target.t_rad - here.t_rad),
    )


class Specimen:
    """``client.specimen``."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self.stage = Stage(instrument, client)
        self.compustage = Compustage(instrument, client)
        self.manipulator = Manipulator(instrument, client)
        if instrument.options.has_coater:
            self.sputter_coater = SputterCoater(instrument, client)
