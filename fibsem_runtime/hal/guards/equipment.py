"""What a column has beyond the beam, behind its guards: nothing of it happens while the ion beam mills."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fibsem_runtime.core import CancelToken, DetectorSettings, Image, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import BeamError, NotSupportedError, RefusedSettingError
from fibsem_runtime.core.units import format_quantity
from fibsem_runtime.hal.devices import Beam
from fibsem_runtime.hal.equipment import (
    AutoFocus,
    ColumnEquipment,
    Detectors,
    LiveView,
    PlasmaSource,
    Presets,
    Source,
    Spot,
    Stigmator,
)
from fibsem_runtime.hal.field import FIELD_ASPECT_RATIO
from fibsem_runtime.hal.guards.interlocks import Interlocks

_LEVEL_TOLERANCE_FRACTION = 0.02
"""How near brightness and contrast must read back (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column as the guards of its equipment need it."""

    beam: Beam
    interlocks: Interlocks

    @property
    def name(self) -> str:
        """Return how messages call it."""
        return self.beam.beam_type.value.lower()

    def require_image(self, action: str) -> None:
        """Raise unless the beam can scan the sample now."""
        self.interlocks.refuse_while_milling(action)
        self.interlocks.require_vacuum(action)
        self.interlocks.require_beam(self.beam, action)


def guard_equipment(equipment: ColumnEquipment, beam: Beam, interlocks: Interlocks) -> ColumnEquipment:
    """Return the same equipment behind guards; what is absent stays absent."""
    column = Column(beam=beam, interlocks=interlocks)
    return ColumnEquipment(
        source=equipment.source and GuardedSource(source=equipment.source, column=column),
        detectors=equipment.detectors and GuardedDetectors(detectors=equipment.detectors, column=column),
        auto_focus=equipment.auto_focus and GuardedAutoFocus(auto_focus=equipment.auto_focus, column=column),
        stigmator=equipment.stigmator and GuardedStigmator(stigmator=equipment.stigmator, column=column),
        live_view=equipment.live_view and GuardedLiveView(live_view=equipment.live_view, column=column),
        presets=equipment.presets and GuardedPresets(presets=equipment.presets, column=column),
        spot=equipment.spot and GuardedSpot(spot=equipment.spot, column=column),
        plasma_source=equipment.plasma_source and GuardedPlasmaSource(source=equipment.plasma_source, column=column),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedSource:
    """Switch a beam on only in a vacuum, and confirm both ways."""

    source: Source
    column: Column

    def turn_on(self, *, cancel: CancelToken) -> None:
        """Switch on and confirm it."""
        action = f"switch the {self.column.name} beam on"
        self.column.interlocks.refuse_while_milling(action)
        self.column.interlocks.require_vacuum(action)
        cancel.raise_if_cancelled()
        self.source.turn_on(cancel=cancel)
        if not self.column.beam.is_on():
            raise BeamError(f"the {self.column.name} beam was switched on and reads off; look at its column")

    def turn_off(self) -> None:
        """Switch off and confirm it."""
        self.column.interlocks.refuse_while_milling(f"switch the {self.column.name} beam off")
        self.source.turn_off()
        if self.column.beam.is_on():
            raise BeamError(f"the {self.column.name} beam was switched off and reads on; look at its column")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedDetectors:
    """Choose only what is there, and notice what was not taken over."""

    detectors: Detectors
    column: Column

    def available(self) -> Sequence[str]:
        """Return the names of the detectors of this column."""
        return self.detectors.available()

    def modes(self) -> Sequence[str]:
        """Return the modes of the detector in use."""
        return self.detectors.modes()

    def select(self, name: str, *, mode: str | None = None) -> DetectorSettings:
        """Use a detector; raise `NotSupportedError` when there is none such, `RefusedSettingError` on read-back."""
        self.column.interlocks.refuse_while_milling(f"change the {self.column.name} detector")
        _require_listed("detector", name, self.available())
        found = self.detectors.select(name, mode=mode)
        if found.name != name or mode not in (None, found.mode):
            raise RefusedSettingError(
                f"asked for the detector {name} ({mode or 'any mode'}), the instrument reads back {found.name} "
                f"({found.mode}); select it at the instrument"
            )
        return found

    def set_levels(self, *, brightness_fraction: float, contrast_fraction: float) -> DetectorSettings:
        """Set brightness and contrast; raise `RefusedSettingError` outside 0 to 1 or when they do not read back."""
        self.column.interlocks.refuse_while_milling(f"change the {self.column.name} detector")
        for what, asked in (("brightness", brightness_fraction), ("contrast", contrast_fraction)):
            if not 0 <= asked <= 1:
                raise RefusedSettingError(f"asked for a {what} of {asked:g}, allowed are 0 to 1; it is unchanged")
        found = self.detectors.set_levels(brightness_fraction=brightness_fraction, contrast_fraction=contrast_fraction)
        for what, asked, read in (
            ("brightness", brightness_fraction, found.brightness_fraction),
            ("contrast", contrast_fraction, found.contrast_fraction),
        ):
            if not abs(asked - read) <= _LEVEL_TOLERANCE_FRACTION:
                raise RefusedSettingError(f"asked for a {what} of {asked:g}, the instrument reads back {read:g}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedAutoFocus:
    """Focus only with a beam on the sample."""

    auto_focus: AutoFocus
    column: Column

    def focus(self, *, cancel: CancelToken) -> float:
        """Focus and return the working distance read back, m."""
        self.column.require_image(f"focus the {self.column.name} beam")
        cancel.raise_if_cancelled()
        return self.auto_focus.focus(cancel=cancel)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedStigmator:
    """Change the stigmator only between millings."""

    stigmator: Stigmator
    column: Column

    def set_stigmation(self, stigmation_x: float, stigmation_y: float) -> tuple[float, float]:
        """Set both components and return them read back."""
        self.column.interlocks.refuse_while_milling(f"change the {self.column.name} stigmator")
        return self.stigmator.set_stigmation(stigmation_x, stigmation_y)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedLiveView:
    """Scan only with a beam on the sample and between millings (safety.md I8, I10); stopping is never refused.

    That goes for every frame: where nothing streams, a frame is a scan of its own.
    """

    live_view: LiveView
    column: Column

    @property
    def is_running(self) -> bool:
        """Return whether it was started and not stopped since."""
        return self.live_view.is_running

    def start(self, settings: ImageSettings) -> None:
        """Scan frame after frame until `stop`."""
        self.column.require_image(f"start the {self.column.name} live view")
        self.live_view.start(settings)

    def frame(self, *, cancel: CancelToken) -> Image:
        """Return the newest whole frame; needs the same as an image."""
        self.column.require_image(f"read the {self.column.name} live view")
        return self.live_view.frame(cancel=cancel)

    def stop(self) -> None:
        """Stop scanning; safe to call twice."""
        self.live_view.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedPresets:
    """Activate only what is there."""

    presets: Presets
    column: Column

    def available(self) -> Sequence[str]:
        """Return the names."""
        return self.presets.available()

    def activate(self, name: str, *, cancel: CancelToken) -> None:
        """Bring about the conditions of a preset."""
        action = f"activate the {self.column.name} preset {name}"
        self.column.interlocks.refuse_unless_idle(action)
        self.column.interlocks.require_vacuum(action)
        _require_listed("preset", name, self.available())
        cancel.raise_if_cancelled()
        self.presets.activate(name, cancel=cancel)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedSpot:
    """Burn a spot only inside the field and only between millings."""

    spot: Spot
    column: Column

    def expose(self, point: ImagePoint, *, duration_s: float, cancel: CancelToken) -> None:
        """Hold the beam on a point of the present field."""
        action = f"expose a spot with the {self.column.name} beam"
        self.column.interlocks.refuse_unless_idle(action)
        self.column.interlocks.require_vacuum(action)
        if not self.column.beam.is_on():
            raise BeamError(f"asked to {action} while it is off; switch it on first, nothing was exposed")
        if not 0 < duration_s < math.inf:
            raise RefusedSettingError(f"asked to {action} for {duration_s:g} s; it must be above 0 s")
        half_m = self.column.beam.settings().hfw_m / 2
        if not (abs(point.x_m) <= half_m and abs(point.y_m) <= half_m * FIELD_ASPECT_RATIO):
            raise RefusedSettingError(
                f"asked to {action} at ({format_quantity(point.x_m, 'm')}, {format_quantity(point.y_m, 'm')}), the "
                f"field ends at ±{format_quantity(half_m, 'm')}; nothing was exposed"
            )
        cancel.raise_if_cancelled()
        self.spot.expose(point, duration_s=duration_s, cancel=cancel)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedPlasmaSource:
    """Change the gas only to one that is there."""

    source: PlasmaSource
    column: Column

    def available_gases(self) -> Sequence[str]:
        """Return the names of the gases."""
        return self.source.available_gases()

    def gas(self) -> str:
        """Read the gas in use."""
        return self.source.gas()

    def switch_gas(self, name: str, *, cancel: CancelToken) -> str:
        """Change the gas; raise `RefusedSettingError` when another one reads back."""
        self.column.interlocks.refuse_unless_idle("change the plasma gas")
        _require_listed("plasma gas", name, self.available_gases())
        cancel.raise_if_cancelled()
        found = self.source.switch_gas(name, cancel=cancel)
        if found != name:
            raise RefusedSettingError(f"asked for the plasma gas {name}, the instrument reads back {found}")
        return found


def _require_listed(what: str, name: str, available: Sequence[str]) -> None:
    if name not in available:
        raise NotSupportedError(f"the {what} {name!r} was asked for, this column has: {', '.join(available) or 'none'}")
