"""The two columns through the SDK (vendor-tescan.md A4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from drivers.essence.ports import Scan
from drivers.essence.values import (
    BLANKER_AUTOMATIC,
    BLANKER_ON,
    ELECTROSTATIC_BLANKER,
    from_mm,
    from_pa,
    to_detector,
    to_mm,
    to_pa,
    to_shift,
)
from drivers.tescan.convert import to_answer, to_flag, to_info, to_names, to_number, to_pixels
from drivers.tescan.link import Link
from fibsem_runtime.core import CancelToken, DetectorSettings, ImagePoint, InstrumentInfo, Pixels
from fibsem_runtime.core.errors import BeamError, HardwareError, RefusedSettingError

T = TypeVar("T")

_CHANNEL: Final = 0
"""Channel that every frame uses (vendor-tescan.md A4)."""

_BITS: Final = {8: "Grayscale_8_bit", 16: "Grayscale_16_bit"}

_INFO_SIZE_PX, _INFO_DWELL_NS = 1, 100
"""Smallest frame whose header names the instrument (vendor-tescan.md A2)."""


@dataclass(kw_only=True)
class SdkColumn:
    """What ``SEM`` and ``FIB`` have alike; ``namespace`` is one of them, ``package`` the vendor's module."""

    link: Link
    package: Any
    namespace: str
    detector_name: str
    _detector: Any = field(default=None, init=False)

    def is_on(self) -> bool:
        """Read whether the source delivers a beam."""
        return bool(self.read("Beam.GetStatus", to_answer) == self.link.value(f"{self.namespace}.Beam.Status.BeamOn"))

    def is_off(self) -> bool:
        """Read whether the source is off."""
        return bool(self.read("Beam.GetStatus", to_answer) == self.link.value(f"{self.namespace}.Beam.Status.BeamOff"))

    def is_busy(self) -> bool:
        """Read whether a preset, optics or an auto function is at work."""
        return self.read("IsBusy", to_flag)

    def voltage_v(self) -> float:
        """Read the acceleration voltage."""
        return self.read("Beam.GetVoltage", float)

    def field_m(self) -> float:
        """Read the field width."""
        return self.read("Optics.GetViewfield", from_mm)

    def set_field(self, hfw_m: float) -> None:
        """Set the field width."""
        self.call("Optics.SetViewfield", to_mm(hfw_m))

    def scan_rotation_rad(self) -> float:
        """Read the scan rotation; NaN on the vendor's simulator."""
        return math.radians(self.read("Optics.GetImageRotation", float))

    def set_scan_rotation(self, scan_rotation_rad: float) -> None:
        """Rotate the scan."""
        self.call("Optics.SetImageRotation", math.degrees(scan_rotation_rad))

    def column_shift(self) -> ImagePoint:
        """Read the beam shift along the column."""
        return self.read("Optics.GetImageShift", to_shift)

    def set_column_shift(self, shift: ImagePoint) -> None:
        """Set the beam shift along the column."""
        self.call("Optics.SetImageShift", to_mm(shift.x_m), to_mm(shift.y_m))

    def detector(self) -> DetectorSettings:
        """Read gain and black level of the configured detector."""
        found = self._chosen_detector()
        return self.read("Detector.GetGainBlack", lambda levels: to_detector(found.name, levels), found)

    def auto_signal(self) -> None:
        """Let the instrument set gain and black level."""
        self.call("Detector.AutoSignal", self._chosen_detector())

    def turn_on(self) -> None:
        """Switch the beam on."""
        self.call("Beam.On")

    def turn_off(self) -> None:
        """Switch the beam off."""
        self.call("Beam.Off")

    def detectors(self) -> Sequence[str]:
        """Read the names of the detectors."""
        return list(self._detectors())

    def select_detector(self, name: str) -> None:
        """Use a detector, and read back that it is in use; one that is refused leaves the one from before."""
        before = self.detector_name, self._detector
        self.detector_name, self._detector = name, None
        try:
            self._select(8)
        except HardwareError:
            self.detector_name, self._detector = before
            raise

    def set_levels(self, *, brightness_fraction: float, contrast_fraction: float) -> None:
        """Set gain (contrast) and black level (brightness)."""
        gain_percent, black_percent = contrast_fraction * 100, brightness_fraction * 100
        self.call("Detector.SetGainBlack", self._chosen_detector(), gain_percent, black_percent)

    def presets(self) -> Sequence[str]:
        """Read the names of the presets."""
        return self.read("Preset.Enum", to_names)

    def activate(self, preset: str) -> None:
        """Activate a preset; raise `BeamError` for one that is not available now."""
        if not self.read("Preset.IsAvailable", to_flag, preset):
            raise BeamError(f"the preset {preset!r} is not available now; look at the instrument's preset list")
        self.call("Preset.Activate", preset)

    def scan(self, request: Scan, *, cancel: CancelToken) -> Pixels:
        """Stop what scans, select the detector, scan: the order in which it works (vendor-tescan.md A4)."""
        cancel.raise_if_cancelled()
        self._select(request.bit_depth)
        # A frame may take half as long again as its pixels (line overheads), on top of a call's own time.
        timeout_s = self.link.call_timeout_s + 1.5 * request.duration_s
        size = (request.width_px, request.height_px)
        name = "Scan.AcquireImageFromChannel"
        ends: tuple[int, ...] = ()
        if request.area_px is not None:
            left, top, width, height = request.area_px
            # The right and bottom ends are inclusive.
            name, ends = "Scan.AcquireROIFromChannel", (left, top, left + width - 1, top + height - 1)
        convert = partial(to_pixels, bit_depth=request.bit_depth, section=self.namespace)
        return self.read(name, convert, _CHANNEL, *size, *ends, request.dwell_time_ns, timeout_s=timeout_s)

    def stop_scan(self) -> None:
        """End scanning."""
        self.call("Scan.Stop")

    def instrument(self) -> InstrumentInfo:
        """Return what a header of the smallest frame says about the instrument."""
        self._select(8)
        args = (_CHANNEL, _INFO_SIZE_PX, _INFO_SIZE_PX, _INFO_DWELL_NS)
        return self.read("Scan.AcquireImageFromChannel", to_info, *args)

    def call(self, name: str, *args: Any, timeout_s: float | None = None) -> None:
        """Call a function of this column that answers nothing."""
        self.link.call(f"{self.namespace}.{name}", *args, family=BeamError, timeout_s=timeout_s)

    def read(self, name: str, convert: Callable[[Any], T], *args: Any, timeout_s: float | None = None) -> T:
        """Call a function of this column and return its answer as ``convert`` makes it."""
        return self.link.read(f"{self.namespace}.{name}", convert, *args, family=BeamError, timeout_s=timeout_s)

    def _select(self, bit_depth: int) -> None:
        self.stop_scan()
        bits = getattr(self.package.Common.Bpp, _BITS[bit_depth])
        self.call("Detector.Set", _CHANNEL, self._chosen_detector(), bits)
        found = self.read("Detector.Get", lambda detector: str(detector.name), _CHANNEL)
        if found != self.detector_name:
            raise RefusedSettingError(
                f"{self.namespace}: asked for the detector {self.detector_name!r}, the instrument reads back "
                f"{found!r}; select it at the instrument and look why it refuses"
            )

    def _detectors(self) -> dict[str, Any]:
        return self.read("Detector.Enum", lambda found: {str(detector.name): detector for detector in found})

    def _chosen_detector(self) -> Any:
        if self._detector is None:
            found = self._detectors()
            if self.detector_name not in found:
                raise HardwareError(
                    f"the {self.namespace} column has no detector {self.detector_name!r}; set its detector in the "
                    f"driver's settings to one of {', '.join(map(repr, found))}"
                )
            self._detector = found[self.detector_name]
        return self._detector


@dataclass(kw_only=True)
class SdkElectronColumn(SdkColumn):
    """Implement `drivers.essence.ports.ElectronPort`."""

    namespace: str = "SEM"
    focus_timeout_s: float

    def current_a(self) -> float:
        """Read the beam current."""
        return self.read("Beam.GetCurrent", from_pa)

    def set_current(self, beam_current_a: float) -> None:
        """Set the beam current."""
        self.call("Beam.SetCurrent", to_pa(beam_current_a))

    def set_voltage(self, voltage_v: float) -> None:
        """Set the acceleration voltage."""
        self.call("Beam.SetVoltage", voltage_v)

    def working_distance_m(self) -> float:
        """Read the working distance."""
        return self.read("Optics.GetWD", from_mm)

    def set_working_distance(self, working_distance_m: float) -> None:
        """Focus."""
        self.call("Optics.SetWD", to_mm(working_distance_m))

    def auto_focus(self) -> None:
        """Focus with the detector in use."""
        self.call("AutoWDFine", self._chosen_detector(), timeout_s=self.focus_timeout_s)

    def is_blanked(self) -> bool:
        """Read the electrostatic blanker; in automatic mode it opens with the next scan."""
        return self.read("Scan.GetBlanker", to_number, ELECTROSTATIC_BLANKER) == BLANKER_ON

    def set_blanked(self, *, blanked: bool) -> None:
        """Blank, or let the blanker open with every scan and close after it, which spares the sample."""
        self.call("Scan.SetBlanker", ELECTROSTATIC_BLANKER, BLANKER_ON if blanked else BLANKER_AUTOMATIC)


@dataclass(kw_only=True)
class SdkIonColumn(SdkColumn):
    """Implement `drivers.essence.ports.IonPort`."""

    namespace: str = "FIB"

    def probe_current_a(self) -> float:
        """Measure the current in the Faraday cup."""
        return self.read("Beam.ReadProbeCurrent", from_pa)

    def is_scanning(self) -> bool:
        """Read whether the column is at work; the SDK does not tell scanning from other work."""
        return self.is_busy()
