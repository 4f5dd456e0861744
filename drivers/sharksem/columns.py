"""The two columns through SharkSEM (vendor-tescan.md B3, B4)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

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
from drivers.sharksem.connection import SharkConnection
from drivers.sharksem.frame import FrameAssembler
from drivers.sharksem.functions import ELECTRON, ION, ColumnFunctions
from drivers.sharksem.wire import parse_property_map
from fibsem_runtime.core import CancelToken, DetectorSettings, ImagePoint, Pixels
from fibsem_runtime.core.errors import (
    BeamError,
    ConnectionLostError,
    HardwareError,
    NotSupportedError,
    RefusedSettingError,
)

_CHANNEL: Final = 0
_SINGLE: Final = 1
_BEAM_ON: Final = 1
_BEAM_OFF: Final = 0
_WAIT_OPTICS: Final = 0x0400

_LARGEST_FRAME_PX: Final = 8192

_CANCEL_POLL_S: Final = 0.2
"""How often a scan that waits for pixels looks whether it is to stop, real seconds."""

_SHIFT_NAME: Final = "image shift"


@dataclass(kw_only=True)
class SharkColumn:
    """What both columns have alike."""

    connection: SharkConnection
    functions: ColumnFunctions
    detector_name: str
    _detector_index: int | None = field(default=None, init=False)

    def is_on(self) -> bool:
        """Read whether the source delivers a beam."""
        return self.connection.ask_int(self.functions.get_beam) == _BEAM_ON

    def is_off(self) -> bool:
        """Read whether the source is off; -1 is unknown, 1000 a change of the high voltage (vendor-tescan.md B4)."""
        return self.connection.ask_int(self.functions.get_beam) == _BEAM_OFF

    def is_busy(self) -> bool:
        """Read whether optics or an automatic procedure are at work."""
        return self.connection.ask_int("IsBusy", self.functions.work_bits) != 0

    def is_scanning(self) -> bool:
        """Read whether the beam is scanned over the sample."""
        return self.connection.ask_int("IsBusy", self.functions.scan_bit) != 0

    def voltage_v(self) -> float:
        """Read the acceleration voltage."""
        return self.connection.ask_float(self.functions.get_voltage)

    def field_m(self) -> float:
        """Read the field width."""
        return from_mm(self.connection.ask_float(self.functions.get_field))

    def set_field(self, hfw_m: float) -> None:
        """Set the field width."""
        self.connection.tell(self.functions.set_field, to_mm(hfw_m))

    def scan_rotation_rad(self) -> float:
        """Read the scan rotation."""
        return math.radians(self.connection.ask_float(self.functions.get_rotation))

    def set_scan_rotation(self, scan_rotation_rad: float) -> None:
        """Rotate the scan."""
        self.connection.tell(self.functions.set_rotation, math.degrees(scan_rotation_rad))

    def detector(self) -> DetectorSettings:
        """Read gain and black level of the configured detector."""
        levels = self.connection.ask(self.functions.get_gain_black, "FF", self._chosen_detector())
        return to_detector(self.detector_name, [float(level) for level in levels])

    def auto_signal(self) -> None:
        """Let the instrument set gain and black level."""
        self._select(8)
        self.connection.tell(self.functions.auto_signal, _CHANNEL)

    def turn_on(self) -> None:
        """Switch the beam on."""
        self.connection.tell(self.functions.beam_on)

    def turn_off(self) -> None:
        """Switch the beam off."""
        self.connection.tell(self.functions.beam_off)

    def detectors(self) -> Sequence[str]:
        """Read the names of the detectors."""
        return list(self._detector_numbers())

    def select_detector(self, name: str) -> None:
        """Use a detector, and read back that it is in use; one that is refused leaves the one from before."""
        before = self.detector_name, self._detector_index
        self.detector_name, self._detector_index = name, None
        try:
            self._select(8)
        except HardwareError:
            self.detector_name, self._detector_index = before
            raise

    def set_levels(self, *, brightness_fraction: float, contrast_fraction: float) -> None:
        """Set gain (contrast) and black level (brightness)."""
        gain_percent, black_percent = contrast_fraction * 100, brightness_fraction * 100
        self.connection.tell(self.functions.set_gain_black, self._chosen_detector(), gain_percent, black_percent)

    def stop_scan(self) -> None:
        """End scanning: the window's live scan, then whatever else scans.

        The live scan is not begun again afterwards, because it would go on dosing the sample.
        """
        self.connection.tell(self.functions.set_window_scanning, 0)
        self.connection.tell(self.functions.stop_scan)

    def scan(self, request: Scan, *, cancel: CancelToken) -> Pixels:
        """Scan one frame and read it from the data channel; a cancelled frame is stopped (vendor-tescan.md B4)."""
        cancel.raise_if_cancelled()
        region = square_region(request)
        with self.connection.lock:
            self._select(request.bit_depth)
            frame_id = self.connection.ask_int(self.functions.scan, 0, *region, _SINGLE, request.dwell_time_ns)
            if frame_id < 0:
                raise BeamError(
                    f"{self.functions.scan}: the instrument refuses a scan of {request.width_px} x {request.height_px} "
                    f"px with {frame_id}; check size and area"
                )
            assembler = FrameAssembler(
                frame_id=frame_id,
                channel=_CHANNEL,
                width_px=region[4] - region[2] + 1,
                height_px=region[5] - region[3] + 1,
                bit_depth=request.bit_depth,
            )
            try:
                self._receive(assembler, request, cancel)
            finally:
                # Needed after a single scan as well (B4).
                self.connection.tell(self.functions.stop_scan)
        return assembler.pixels()

    def _receive(self, assembler: FrameAssembler, request: Scan, cancel: CancelToken) -> None:
        deadline_s = time.monotonic() + self.connection.call_timeout_s + 1.5 * request.duration_s
        while not assembler.is_complete:
            cancel.raise_if_cancelled()
            if time.monotonic() >= deadline_s:
                self.connection.drop()
                raise ConnectionLostError(
                    f"{self.functions.scan}: the frame did not arrive in time; the connection is opened again with the "
                    "next call"
                )
            message = self.connection.next_data(_CANCEL_POLL_S)
            if message is not None and message[0].name == self.functions.data:
                assembler.add(message[1])

    def _select(self, bit_depth: int) -> None:
        self.stop_scan()
        wanted = self._chosen_detector()
        self.connection.tell(self.functions.select_detector, _CHANNEL, wanted)
        found = self.connection.ask_int(self.functions.get_selected_detector, _CHANNEL)
        if found != wanted:
            raise RefusedSettingError(
                f"{self.functions.select_detector}: asked for the detector {self.detector_name!r} ({wanted}), the "
                f"instrument reads back {found}; select it at the instrument and look why it refuses"
            )
        self.connection.tell(self.functions.enable_channel, _CHANNEL, 1, bit_depth)

    def _chosen_detector(self) -> int:
        if self._detector_index is None:
            found = self._detector_numbers()
            index = found.get(self.detector_name, "")
            if not index.isdecimal():
                raise HardwareError(
                    f"there is no detector {self.detector_name!r}; set the column's detector in the driver's settings "
                    f"to one of {', '.join(map(repr, found))}"
                )
            self._detector_index = int(index)
        return self._detector_index

    def _detector_numbers(self) -> dict[str, str]:
        entries = parse_property_map(self.connection.ask_text(self.functions.enumerate_detectors)).values()
        return {entry["name"]: entry["detector"] for entry in entries if {"name", "detector"} <= entry.keys()}


def square_region(request: Scan) -> tuple[int, int, int, int, int, int]:
    """Return width, height, left, top, right, bottom: the asked area centred in the square that the server scans.

    The field is always square and as wide as the field width (B4); right and bottom are inclusive. Raises
    `NotSupportedError` for frames that are higher than wide, whose field would be another one.
    """
    side = request.width_px
    if request.height_px > side or side > _LARGEST_FRAME_PX:
        raise NotSupportedError(
            f"asked for a frame of {request.width_px} x {request.height_px} px, SharkSEM scans a square as wide as the "
            f"field, up to {_LARGEST_FRAME_PX} px; take one that is wider than high"
        )
    left, top, width, height = request.area_px or (0, 0, request.width_px, request.height_px)
    top += (side - request.height_px) // 2
    return side, side, left, top, left + width - 1, top + height - 1


@dataclass(kw_only=True)
class SharkElectronColumn(SharkColumn):
    """Implement `drivers.essence.ports.ElectronPort`."""

    functions: ColumnFunctions = ELECTRON

    def column_shift(self) -> ImagePoint:
        """Read the beam shift along the column (unit assumed: mm, as in the SDK)."""
        return to_shift([float(value) for value in self.connection.ask("GetImageShift", "FF")])

    def set_column_shift(self, shift: ImagePoint) -> None:
        """Set the beam shift along the column."""
        self.connection.tell("SetImageShift", to_mm(shift.x_m), to_mm(shift.y_m))

    def current_a(self) -> float:
        """Read the beam current, when the optics are idle."""
        return from_pa(self.connection.ask_float("GetBeamCurrent", wait_flags=_WAIT_OPTICS))

    def set_current(self, beam_current_a: float) -> None:
        """Set the beam current."""
        self.connection.tell("SetBeamCurrent", to_pa(beam_current_a), wait_flags=_WAIT_OPTICS)

    def set_voltage(self, voltage_v: float) -> None:
        """Set the acceleration voltage; the server is silent for up to 20 s."""
        self.connection.tell("HVSetVoltage", float(voltage_v))

    def working_distance_m(self) -> float:
        """Read the working distance."""
        return from_mm(self.connection.ask_float("GetWD"))

    def set_working_distance(self, working_distance_m: float) -> None:
        """Focus."""
        self.connection.tell("SetWD", to_mm(working_distance_m))

    def auto_focus(self) -> None:
        """Focus with the detector in use; there is no reply, `is_busy` tells when it has ended."""
        self._select(8)
        self.connection.tell("AutoWDFine", _CHANNEL)

    def presets(self) -> Sequence[str]:
        """Read the names of the presets."""
        return self.connection.ask_text("PresetEnum").split("\n")

    def activate(self, preset: str) -> None:
        """Activate a preset; there is no reply."""
        self.connection.tell("PresetSetEx", preset)

    def is_blanked(self) -> bool:
        """Read the electrostatic blanker; in automatic mode it opens with the next scan."""
        return self.connection.ask_int("ScGetBlanker", ELECTROSTATIC_BLANKER) == BLANKER_ON

    def set_blanked(self, *, blanked: bool) -> None:
        """Blank, or let the blanker open with every scan and close after it, which spares the sample."""
        self.connection.tell("ScSetBlanker", ELECTROSTATIC_BLANKER, BLANKER_ON if blanked else BLANKER_AUTOMATIC)


@dataclass(kw_only=True)
class SharkIonColumn(SharkColumn):
    """Implement `drivers.essence.ports.IonPort`.

    The ion column has no function for the beam shift; it is one of its geometry corrections, found by name.
    """

    functions: ColumnFunctions = ION
    shift_name: str = _SHIFT_NAME
    _shift_index: int | None = field(default=None, init=False)

    def column_shift(self) -> ImagePoint:
        """Read the beam shift along the column (unit assumed: mm)."""
        return to_shift([float(value) for value in self.connection.ask("FibGetGeom", "FF", self._shift_geometry())])

    def set_column_shift(self, shift: ImagePoint) -> None:
        """Set the beam shift along the column."""
        self.connection.tell("FibSetGeom", self._shift_geometry(), to_mm(shift.x_m), to_mm(shift.y_m))

    def presets(self) -> Sequence[str]:
        """Read the names of the presets."""
        return self.connection.ask_text("FibEnumPresets").split("\n")

    def activate(self, preset: str) -> None:
        """Activate a preset; there is no reply, the measured current tells."""
        self.connection.tell("FibSetPreset", preset)

    def probe_current_a(self) -> float:
        """Measure the current in the Faraday cup."""
        return from_pa(self.connection.ask_float("FibReadFCCurr"))

    def _shift_geometry(self) -> int:
        if self._shift_index is None:
            entries = parse_property_map(self.connection.ask_text("FibEnumGeom"))
            found = [key for key, entry in entries.items() if entry.get("name", "").lower() == self.shift_name.lower()]
            if len(found) != 1:
                names = ", ".join(repr(entry.get("name", "")) for entry in entries.values())
                raise NotSupportedError(
                    f"the ion column has no geometry correction named {self.shift_name!r}; set ion_shift_name in the "
                    f"driver's settings to one of {names}"
                )
            self._shift_index = int(found[0].rpartition(".")[2])
        return self._shift_index
