"""The Thermo Fisher driver on the fake of its vendor's package, with the simulator's physics behind it.

`virtual_instrument` makes the fake importable and puts an instrument behind its host for as long as the context lasts;
afterwards no module of the fake is left. `opened` opens the driver on it, `rehearse` is what the contract suite uses.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import simulators

import drivers.thermofisher
from drivers.simulator import SimulatorSettings
from drivers.simulator import plugin as simulator_plugin
from drivers.thermofisher import ThermoFisherPlugin, ThermoFisherSettings
from fibsem_runtime.core import CancelToken, PixelPoint, SpecimenPosition
from fibsem_runtime.hal import ManipulatorPose, Microscope
from fibsem_runtime.hal.truth import FrameTruth, LamellaTruth, Site, Truth

PACKAGES = Path(__file__).parents[1] / "fakes" / "thermofisher"
CLIENT = "autoscript_sdb_microscope_client"
HOST = "virtual"
SEED = 11

GEOMETRY: dict[str, Any] = {
    "pretilt_deg": 35,
    "rotation_reference_deg": 0,
    "eucentric_z_mm": 32.37,
    "eucentric_working_distance_electron_mm": 7,
    "eucentric_working_distance_ion_mm": 19,
}
"""The geometry of the simulator's Aquilos."""

SETTINGS: dict[str, Any] = {"host": HOST, "geometry": GEOMETRY, "time_limits": {"call_s": 600}}
"""What the driver is opened with; the fake works out milling within a call, which takes longer than an instrument."""

EVERYTHING: dict[str, Any] = {
    **SETTINGS,
    "manipulator": {
        "x_range_mm": (-3, 3),
        "y_range_mm": (-3, 3),
        "z_range_mm": (-3, 3),
        "y_axis_sign": 1,
    },
    "gas": {"ports": ["Pt dep"], "multichem_gases": ["W dep"], "highest_stage_z_mm": 33},
    "spot_coordinates": "fraction",
}
GAS: dict[str, Any] = {"gas": {"ports": ["Pt dep"], "highest_stage_z_mm": 33}}
FULLY_FITTED: dict[str, Any] = {
    **{"version": "4.13.2.112", "multichem_gases": ("W dep",), "has_coater": True, "is_plasma": True},
}
"""An instrument that has everything that the driver can use, and settings that use it."""

COMPUSTAGE_GEOMETRY: dict[str, Any] = {
    "pretilt_deg": 0,
    "rotation_reference_deg": 0,
    "eucentric_z_mm": 0,
    "eucentric_working_distance_electron_mm": 10,
    "eucentric_working_distance_ion_mm": 16.5,
}
COMPUSTAGE_LIMITS: dict[str, Any] = {
    "x_range_mm": (-0.9999, 0.9999),
    "y_range_mm": (-0.3778, 0.3778),
    "z_range_mm": (-0.9999, 0.9999),
    "t_range_deg": (-195, 15),
}
"""An Arctis (vendor-thermofisher.md section 10)."""


@dataclass(frozen=True, slots=True)
class FakeTruth:
    """The simulator's truth for frames that came through the fake; the driver counts them as the server does."""

    instrument: Any
    truth: Truth

    def sites(self) -> tuple[Site, ...]:
        """Return the places where work makes sense."""
        return self.truth.sites()

    def specimen_point(self, frame_id: str, point: PixelPoint) -> SpecimenPosition:
        """Return the specimen point that a pixel of an acquired frame shows."""
        return self.truth.specimen_point(self._own_id(frame_id), point)

    def lamella(self, target: SpecimenPosition) -> LamellaTruth:
        """Measure the lamella whose centre should be at ``target``."""
        return self.truth.lamella(target)

    def frame(self, frame_id: str) -> FrameTruth:
        """Return what an acquired frame shows."""
        return self.truth.frame(self._own_id(frame_id))

    def _own_id(self, frame_id: str) -> str:
        number = int(frame_id.rsplit("-", 1)[1])
        return str(self.instrument.frame_ids[number - 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedPlugin(ThermoFisherPlugin):
    """The driver's plug-in on the fake's clock, with the truth behind the fake."""

    instrument: Any

    def truth(self, microscope: Microscope) -> Truth | None:
        """Return what the simulator behind the fake knows."""
        truth = simulator_plugin.truth(self.instrument.simulator)
        return None if truth is None else FakeTruth(self.instrument, truth)


@contextmanager
def virtual_instrument(
    simulator: SimulatorSettings | None = None, *, seed: int = SEED, **options: Any
) -> Iterator[Any]:
    """Put a virtual instrument behind `HOST` and the fake in the place of the vendor's package; give the instrument."""
    own_plugin = drivers.thermofisher.plugin
    sys.path.insert(0, str(PACKAGES))
    try:
        fake = import_module(f"{CLIENT}._instrument")
        raw = simulator_plugin.open(simulator or SimulatorSettings(), seed=seed, state_directory=None)
        instrument = fake.Instrument(simulator=raw, options=fake.Options(**options))
        fake.INSTRUMENTS[HOST] = instrument
        drivers.thermofisher.plugin = RehearsedPlugin(clock=instrument.clock, instrument=instrument)
        try:
            yield instrument
        finally:
            instrument.release()
    finally:
        drivers.thermofisher.plugin = own_plugin
        sys.path.remove(str(PACKAGES))
        for name in [name for name in sys.modules if name.split(".")[0] in _fake_packages()]:
            del sys.modules[name]


@contextmanager
def rehearse() -> Iterator[dict[str, Any]]:
    """Make the driver ready for the contract suite and give the settings it is opened with."""
    with virtual_instrument(**FULLY_FITTED):
        yield EVERYTHING


@contextmanager
def opened(instrument: Any, **changes: Any) -> Iterator[Microscope]:
    """Open the driver on a rehearsed instrument, raw, and leave it closed."""
    settings = ThermoFisherSettings.model_validate({**SETTINGS, **changes})
    microscope = drivers.thermofisher.plugin.open(settings, seed=0, state_directory=None)
    try:
        yield microscope
    finally:
        microscope.driver.close()


@contextmanager
def small_instrument(**options: Any) -> Iterator[Any]:
    """Put an instrument with a small scene, no disturbances and a needle that is not seen behind `HOST`."""
    with virtual_instrument(simulators.settings(needle=None), **options) as instrument:
        yield instrument


def assert_instrument_is_safe(instrument: Any) -> None:
    """Assert what a safe state promises, by what is behind the fake."""
    assert instrument.patterning.state_now() == "Idle"
    for name in ("electron_beam", "ion_beam"):
        assert instrument.beam(name).is_blanked()
    assert instrument.manipulator_state == "Retracted"
    assert not instrument.open_valves
    assert not instrument.inserted_needles


def insert_needle(instrument: Any) -> None:
    """Insert the needle behind the driver's back."""
    instrument.needle.insert(ManipulatorPose.WORKING, cancel=CancelToken())


def names(instrument: Any) -> list[str]:
    """Return the names of all calls so far."""
    return [call.name for call in instrument.calls]


def _fake_packages() -> set[str]:
    return {folder.name for folder in PACKAGES.iterdir() if folder.is_dir()}
