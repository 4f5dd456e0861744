"""Which function of the HAL a driver carries out, with what, and where that was verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.hal.chamber import ChamberCamera, Pump, Vacuum
from fibsem_runtime.hal.devices import Beam, Driver, Milling, Stage
from fibsem_runtime.hal.equipment import (
    AutoFocus,
    Detectors,
    LiveView,
    PlasmaSource,
    Presets,
    Source,
    Spot,
    Stigmator,
)
from fibsem_runtime.hal.gas import GasInjection, SputterCoater
from fibsem_runtime.hal.manipulator import Manipulator
from fibsem_runtime.hal.shapes import ShapeKind


class Verification(StrEnum):
    """Say where a function was seen to work."""

    HARDWARE = "hardware"
    VENDOR_SIMULATOR = "vendor's simulator"
    FAKE = "fake only"
    SIMULATION = "simulation"


@dataclass(frozen=True, slots=True)
class Carried:
    """A function that a driver carries out with ``call`` of the vendor's interface."""

    call: str
    verified: Verification = Verification.FAKE


@dataclass(frozen=True, slots=True)
class Absent:
    """A function that an instrument cannot carry out, or this driver does not, and why."""

    reason: str


Coverage: TypeAlias = Mapping[str, Carried | Absent]
"""By name of `hal_functions`; the name of a device stands for all of its functions that are not named themselves."""

DEVICES: Final[Mapping[str, type]] = {
    "driver": Driver,
    "stage": Stage,
    "electron_beam": Beam,
    "ion_beam": Beam,
    "milling": Milling,
    **{
        f"{column}_{name}": protocol
        for column in ("electron", "ion")
        for name, protocol in {
            "source": Source,
            "detectors": Detectors,
            "auto_focus": AutoFocus,
            "stigmator": Stigmator,
            "live_view": LiveView,
            "presets": Presets,
            "spot": Spot,
        }.items()
    },
    "ion_plasma_source": PlasmaSource,
    "manipulator": Manipulator,
    "gas_injection": GasInjection,
    "sputter_coater": SputterCoater,
    "vacuum": Vacuum,
    "pump": Pump,
    "chamber_camera": ChamberCamera,
}
"""Every device that an instrument may have, by the name that `Coverage` uses."""


def hal_functions() -> list[str]:
    """Return ``device.function`` for everything that the HAL names; drawing counts once for every kind of shape."""
    names = [f"{device}.{name}" for device, protocol in DEVICES.items() for name in _members(protocol)]
    at = names.index("milling.draw")
    names[at : at + 1] = [f"milling.draw {kind.value.lower()}" for kind in ShapeKind]
    return names


def complete(coverage: Coverage) -> dict[str, Carried | Absent]:
    """Return the entry of every function, in the order of the HAL.

    Raises `ConfigError` naming functions without an entry and entries without a function.
    """
    names = hal_functions()
    unknown = sorted(set(coverage) - set(names) - set(DEVICES))
    found = {name: coverage.get(name, coverage.get(name.split(".")[0])) for name in names}
    missing = [name for name, entry in found.items() if entry is None]
    if unknown or missing:
        raise ConfigError(
            f"the driver's coverage lacks {', '.join(missing) or 'nothing'} and names "
            f"{', '.join(unknown) or 'nothing'} that the HAL has not"
        )
    return {name: entry for name, entry in found.items() if entry is not None}


def _members(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]
