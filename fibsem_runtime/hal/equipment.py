"""What one column may have beyond the `Beam`; what it lacks is absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from fibsem_runtime.core import CancelToken, DetectorSettings, Image, ImagePoint, ImageSettings


class Source(Protocol):
    """Switch of the beam."""

    def turn_on(self, *, cancel: CancelToken) -> None:
        """Switch on and wait until the beam reads on; raise `BeamError` when it does not."""

    def turn_off(self) -> None:
        """Switch off and confirm it; safe to call twice."""


class Detectors(Protocol):
    """Choice and levels of the detector."""

    def available(self) -> Sequence[str]:
        """Return the names of the detectors of this column."""

    def modes(self) -> Sequence[str]:
        """Return the modes of the detector in use; empty where it has none."""

    def select(self, name: str, *, mode: str | None = None) -> DetectorSettings:
        """Use a detector, in ``mode`` or its present one, and return what is read back."""

    def set_levels(self, *, brightness_fraction: float, contrast_fraction: float) -> DetectorSettings:
        """Set brightness and contrast, each 0 to 1, and return what is read back."""


class AutoFocus(Protocol):
    """Focusing by the instrument."""

    def focus(self, *, cancel: CancelToken) -> float:
        """Focus on what the beam sees and return the working distance read back, m.

        Raises `HardwareError` when the instrument did not find a focus; never a made-up number.
        """


class Stigmator(Protocol):
    """Correction of astigmatism, dimensionless."""

    def set_stigmation(self, stigmation_x: float, stigmation_y: float) -> tuple[float, float]:
        """Set both components and return them read back."""


class LiveView(Protocol):
    """Continuous scanning."""

    @property
    def is_running(self) -> bool:
        """Return whether it was started here and not stopped since; no call to the instrument."""

    def start(self, settings: ImageSettings) -> None:
        """Scan frame after frame until `stop`."""

    def frame(self, *, cancel: CancelToken) -> Image:
        """Return the newest whole frame; wait for the first one."""

    def stop(self) -> None:
        """Stop scanning; safe to call twice."""


class Presets(Protocol):
    """Conditions of a column that the instrument keeps under names."""

    def available(self) -> Sequence[str]:
        """Return the names."""

    def activate(self, name: str, *, cancel: CancelToken) -> None:
        """Bring about the conditions, keeping field width, scan rotation and shift; wait until the column is ready."""


class Spot(Protocol):
    """Beam held on one point."""

    def expose(self, point: ImagePoint, *, duration_s: float, cancel: CancelToken) -> None:
        """Hold the beam on ``point`` of the present field, then leave it as it was, on every exit."""


class PlasmaSource(Protocol):
    """Ion source whose gas can be changed."""

    def available_gases(self) -> Sequence[str]:
        """Return the names of the gases."""

    def gas(self) -> str:
        """Read the gas in use."""

    def switch_gas(self, name: str, *, cancel: CancelToken) -> str:
        """Change the gas, wait (minutes) and return the one read back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnEquipment:
    """Everything one column has beyond the `Beam`; ``None`` is what the instrument cannot do."""

    source: Source | None = None
    detectors: Detectors | None = None
    auto_focus: AutoFocus | None = None
    stigmator: Stigmator | None = None
    live_view: LiveView | None = None
    presets: Presets | None = None
    spot: Spot | None = None
    plasma_source: PlasmaSource | None = None


NO_EQUIPMENT: Final = ColumnEquipment()
"""A column that is a beam and nothing else."""
