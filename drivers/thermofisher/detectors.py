"""Choice and levels of a column's detector (vendor-thermofisher.md section 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from drivers.thermofisher import convert
from drivers.thermofisher.connection import Client
from drivers.thermofisher.equipment import ColumnDevice
from fibsem_runtime.core import DetectorSettings
from fibsem_runtime.core.errors import HardwareError, InterlockError, NotSupportedError, RefusedSettingError

_LEVEL_TOLERANCE_FRACTION: Final = 0.02
"""How near brightness and contrast must read back (assumed; a real read-back is 0.3355 and 0.788)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherDetectors(ColumnDevice):
    """Type first, then mode, then contrast and brightness: a later type resets the mode."""

    def available(self) -> Sequence[str]:
        """Return the names of the detectors of this column."""
        return self.on_view(
            f"list the {self.column.name} detectors", lambda client: convert.texts(client.detector.type)
        )

    def modes(self) -> Sequence[str]:
        """Return the modes of the detector in use."""
        return self.on_view(
            f"list the {self.column.name} detector modes", lambda client: convert.texts(client.detector.mode)
        )

    def select(self, name: str, *, mode: str | None = None) -> DetectorSettings:
        """Use a detector, in ``mode`` or in the one that the instrument gives it, and return what is read back.

        Raises `NotSupportedError` for a mode that the detector has not, `InterlockError` for one that is retracted:
        inserting it brings it under the column, which a person looks at. The detector from before comes back then.
        """

        def order(client: Client) -> DetectorSettings:
            before = convert.detector_settings(client.detector)
            is_taken = False
            try:
                self._take(client.detector, name, mode)
                is_taken = True
            finally:
                if not is_taken:
                    self._restore(client.detector, before)
            return convert.detector_settings(client.detector)

        found = self._setting(f"select the {self.column.name} detector {name}", order)
        if found.name != name or mode not in (None, found.mode):
            raise RefusedSettingError(
                f"asked for the {self.column.name} detector {name} ({mode or 'any mode'}), the instrument reads back "
                f"{found.name} ({found.mode})"
            )
        return found

    def set_levels(self, *, brightness_fraction: float, contrast_fraction: float) -> DetectorSettings:
        """Set contrast, then brightness, and return what is read back; exactly 0 is refused, as by the vendor."""
        asked = (("contrast", contrast_fraction), ("brightness", brightness_fraction))
        for name, level in asked:
            if not 0 < level <= 1:
                raise RefusedSettingError(
                    f"asked for a {name} of {level:g}, the instrument takes more than 0 and up to 1; it is unchanged"
                )

        def order(client: Client) -> DetectorSettings:
            for name, level in asked:
                getattr(client.detector, name).value = level
            return convert.detector_settings(client.detector)

        found = self._setting(f"set the {self.column.name} contrast and brightness", order)
        for name, level in asked:
            read = getattr(found, f"{name}_fraction")
            if not abs(read - level) <= _LEVEL_TOLERANCE_FRACTION:
                raise RefusedSettingError(f"asked for a {name} of {level:g}, the instrument reads back {read:g}")
        return found

    def _setting(self, what: str, order: Callable[[Client], DetectorSettings]) -> DetectorSettings:
        return self.on_view(what, order, family=RefusedSettingError)

    def _take(self, detector: Any, name: str, mode: str | None) -> None:
        if str(detector.type.value) != name:
            detector.type.value = name
        if self._is_retracted(detector):
            raise InterlockError(
                f"asked for the {self.column.name} detector {name}, it is retracted; insert it at the instrument, "
                "looking into the chamber"
            )
        if mode is None:
            return
        modes = convert.texts(detector.mode)
        if mode not in modes:
            raise NotSupportedError(
                f"asked for the mode {mode!r} of the {self.column.name} detector {name}, it has: {', '.join(modes)}"
            )
        detector.mode.value = mode

    def _is_retracted(self, detector: Any) -> bool:
        """Tell whether it is out; ``state`` raises for a detector that cannot be moved."""
        try:
            return str(detector.state).lower() == "retracted"
        except self.connection.sdk.error_types:
            return False

    def _restore(self, detector: Any, before: DetectorSettings) -> None:
        try:
            detector.type.value = before.name
            detector.mode.value = before.mode
            detector.contrast.value = before.contrast_fraction
            detector.brightness.value = before.brightness_fraction
        except self.connection.sdk.error_types as error:
            raise HardwareError(
                f"the {self.column.name} detector {before.name} could not be brought back: {error}; select it at the "
                "instrument"
            ) from error
