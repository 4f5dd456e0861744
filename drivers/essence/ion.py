"""The ion column: presets, a measured current and no blanker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from drivers.essence.column import EssenceColumn, refused, turned
from drivers.essence.ports import IonPort
from drivers.essence.settings import IonColumnSettings, IonPreset
from fibsem_runtime.core import BeamSettings, ImagePoint
from fibsem_runtime.core.errors import BeamError, ConfigError, NotSupportedError, RefusedSettingError
from fibsem_runtime.core.units import format_quantity

VOLTAGE_TOLERANCE_RATIO = 0.01
"""How near the voltage of a preset must read back (assumed; the guards' default)."""

SCAN_STOP_TIMEOUT_S = 5.0
"""How long a stopped scan may go on (assumed)."""


@dataclass(kw_only=True)
class EssenceIonBeam(EssenceColumn[IonPort, IonColumnSettings]):
    """Nothing but presets can be selected, the active one cannot be read, and there is no blanker.

    The preset in use is the one that was activated last, or at first the one that the measured current and voltage
    belong to. ``settings`` compares the voltage each time; the current is measured (a second each) when a preset is
    activated and before milling.

    Keeping the beam off the sample means ending its scan and refusing frames and milling: an ion column that neither
    scans nor exposes is blanked by the instrument itself. That is an inference (no interface has an ion blanker, and
    spots are exposed as timed DrawBeam dots, vendor-tescan.md A4), to be verified on the first day.
    """

    working_distance_m: float
    _preset: IonPreset | None = field(default=None, init=False)
    _is_held: bool = field(default=False, init=False)

    def check_presets(self) -> None:
        """Raise `ConfigError` for a configured preset that the instrument does not have, spelt exactly so."""
        offered = list(self.port.presets())
        missing = [preset.name for preset in self.limits.presets if preset.name not in offered]
        if missing:
            raise ConfigError(
                f"the instrument has no ion presets {', '.join(map(repr, missing))}; write them in "
                f"driver.settings.ion_beam.presets as it spells them: {', '.join(map(repr, offered))}"
            )

    @property
    def available_currents_a(self) -> Sequence[float]:
        """Return the currents of the presets at the present voltage, ascending."""
        voltage_v = self.port.voltage_v()
        return sorted(preset.current_a for preset in self._presets_at(voltage_v))

    def settings(self) -> BeamSettings:
        """Read the state of the beam; current and voltage are those of the preset in use.

        ``working_distance_m`` is the configured coincidence distance: the interface neither reads nor sets it.
        Raises `BeamError` when the preset in use is unknown or was changed by somebody else.
        """
        preset = self._known_preset()
        return BeamSettings(
            voltage_v=preset.voltage_v,
            beam_current_a=preset.current_a,
            working_distance_m=self.working_distance_m,
            hfw_m=self.port.field_m(),
            shift=self._shift(),
            scan_rotation_rad=self.scan_rotation_rad(),
        )

    def set_current(self, beam_current_a: float) -> float:
        """Activate the preset with this current at the present voltage; refuse any other current."""
        presets = self._presets_at(self.port.voltage_v())
        for preset in presets:
            if math.isclose(preset.current_a, beam_current_a, rel_tol=1e-6):
                self._activate(preset)
                return preset.current_a
        listed = ", ".join(format_quantity(a, "A") for a in self.available_currents_a)
        raise RefusedSettingError(
            f"{self.name}: asked for a current of {format_quantity(beam_current_a, 'A')}, available are {listed}; "
            "it was not changed, add a preset to ion_beam.presets or choose one of these"
        )

    def set_voltage(self, voltage_v: float) -> float:
        """Activate the preset with the lowest current at this voltage, unless it is the present voltage.

        Raises `NotSupportedError` when no preset has it: the voltage itself is not settable (vendor-tescan.md A4).
        """
        found_v = self.port.voltage_v()
        if math.isclose(found_v, voltage_v, rel_tol=VOLTAGE_TOLERANCE_RATIO):
            return self._known_preset().voltage_v
        presets = self._presets_at(voltage_v)
        if not presets:
            raise NotSupportedError(
                f"{self.name}: asked for {format_quantity(voltage_v, 'V')}, TESCAN sets the ion voltage by presets "
                f"only and none has it (now {format_quantity(found_v, 'V')}); add one to ion_beam.presets"
            )
        preset = min(presets, key=lambda each: each.current_a)
        self._activate(preset)
        return preset.voltage_v

    def set_working_distance(self, working_distance_m: float) -> float:
        """Raise `NotSupportedError`: no interface to TESCAN focuses the ion beam."""
        raise NotSupportedError(
            f"{self.name}: asked for a working distance of {format_quantity(working_distance_m, 'm')}, TESCAN's "
            "interface cannot focus the ion beam; nothing was changed, focus belongs to the preset"
        )

    def is_blanked(self) -> bool:
        """Tell whether the beam is kept off the sample: held back by this driver and not scanning."""
        return self._is_held and not self.port.is_scanning()

    def set_blanked(self, *, blanked: bool) -> bool:
        """End every scan and hold the beam back, or release it; see the class."""
        if blanked:
            self._is_held = True
            self.port.stop_scan()
            self.wait_for(lambda: not self.port.is_scanning(), SCAN_STOP_TIMEOUT_S, "stop scanning")
        else:
            self._is_held = False
        return self.is_blanked()

    def confirm_current(self) -> None:
        """Measure the current and raise `RefusedSettingError` when it is not that of the preset in use."""
        preset = self._known_preset()
        if self.limits.verify_probe_current:
            self._check_probe_current(preset, self.port.probe_current_a())

    def activate(self, name: str) -> None:
        """Activate one of the configured presets; see `set_current`."""
        self._activate(next(preset for preset in self.limits.presets if preset.name == name))

    def _known_preset(self) -> IonPreset:
        voltage_v = self.port.voltage_v()
        if self._preset is None:
            self._preset = self._identify(voltage_v)
        if not math.isclose(voltage_v, self._preset.voltage_v, rel_tol=VOLTAGE_TOLERANCE_RATIO):
            wanted = self._preset
            self._preset = None
            raise BeamError(
                f"{self.name}: it stands at {format_quantity(voltage_v, 'V')}, its preset {wanted.name!r} has "
                f"{format_quantity(wanted.voltage_v, 'V')}; somebody changed it, or it tripped: look at the instrument"
            )
        return self._preset

    def _identify(self, voltage_v: float) -> IonPreset:
        """Return the preset whose voltage and measured current are those of the beam, or that a person vouches for."""
        if not self.port.is_on():
            raise BeamError(f"{self.name}: it is off, so that its preset is unknown; switch it on at the instrument")
        if self.limits.active_preset is not None:
            return next(preset for preset in self.limits.presets if preset.name == self.limits.active_preset)
        found_a = self.port.probe_current_a()
        presets = self._presets_at(voltage_v)
        nearest = min(presets, key=lambda preset: abs(math.log(preset.current_a / max(found_a, 1e-15))), default=None)
        if nearest is None or not self._is_near(nearest, found_a):
            raise BeamError(
                f"{self.name}: it delivers {format_quantity(found_a, 'A')} at {format_quantity(voltage_v, 'V')}, which "
                "is none of the configured presets; activate one of them at the instrument: "
                f"{', '.join(repr(preset.name) for preset in self.limits.presets)}"
            )
        return nearest

    def _presets_at(self, voltage_v: float) -> list[IonPreset]:
        return [p for p in self.limits.presets if math.isclose(p.voltage_v, voltage_v, rel_tol=VOLTAGE_TOLERANCE_RATIO)]

    def _activate(self, preset: IonPreset) -> None:
        """Activate a preset, put back what that resets (vendor-tescan.md A4), and measure what it delivers."""
        field_m, rotation_rad, shift = self.port.field_m(), self.port.scan_rotation_rad(), self.port.column_shift()
        self._preset = None
        self.port.stop_scan()
        self.port.activate(preset.name)
        self.wait_until_ready()
        self.clock.sleep(self.limits.settling_s)
        self._restore(field_m, rotation_rad, shift)
        voltage_v = self.port.voltage_v()
        if not math.isclose(voltage_v, preset.voltage_v, rel_tol=VOLTAGE_TOLERANCE_RATIO):
            asked, found = format_quantity(preset.voltage_v, "V"), format_quantity(voltage_v, "V")
            raise refused(self.name, f"preset {preset.name!r} with a voltage", asked, found)
        if self.limits.verify_probe_current:
            self._check_probe_current(preset, self.port.probe_current_a())
        self._preset = preset

    def _restore(self, field_m: float, rotation_rad: float, shift: ImagePoint) -> None:
        self.set_field(field_m)
        if not math.isnan(rotation_rad):
            self.set_scan_rotation(rotation_rad)
        self.set_shift(turned(shift, -self.scan_rotation_rad()))

    def _is_near(self, preset: IonPreset, found_a: float) -> bool:
        tolerance_ratio = self.limits.probe_current_tolerance_percent / 100
        return abs(found_a - preset.current_a) <= tolerance_ratio * preset.current_a

    def _check_probe_current(self, preset: IonPreset, found_a: float) -> None:
        if not self._is_near(preset, found_a):
            asked = f"{format_quantity(preset.current_a, 'A')} with preset {preset.name!r}"
            raise refused(self.name, "current", asked, f"{format_quantity(found_a, 'A')} in the Faraday cup")
