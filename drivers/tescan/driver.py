"""Open a TESCAN instrument through its Automation SDK and bundle its devices."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from drivers.essence.electron import EssenceElectronBeam
from drivers.essence.equipment import EssenceIonSpot, electron_equipment, ion_equipment
from drivers.essence.ion import EssenceIonBeam
from drivers.essence.patterning import EssencePatterning
from drivers.essence.ports import Phase
from drivers.essence.stage import EssenceStage
from drivers.essence.values import UNKNOWN_INSTRUMENT, session_name
from drivers.tescan.chamber_camera import SdkChamberCamera
from drivers.tescan.columns import SdkElectronColumn, SdkIonColumn
from drivers.tescan.coverage import COVERAGE
from drivers.tescan.drawbeam import SdkDrawBeam
from drivers.tescan.gas_injection import SdkGasInjection
from drivers.tescan.link import Link
from drivers.tescan.manipulator import SdkManipulator
from drivers.tescan.settings import TescanSettings
from drivers.tescan.stage import SdkStage
from drivers.tescan.vacuum import SdkVacuum
from fibsem_runtime.core import BeamType, CancelToken, Clock, InstrumentInfo, WallClock
from fibsem_runtime.core.errors import ConfigError, HardwareError, InterlockError, NotSupportedError
from fibsem_runtime.hal.attempts import Attempt, attempt_all
from fibsem_runtime.hal.coverage import Coverage
from fibsem_runtime.hal.microscope import Microscope
from fibsem_runtime.hal.truth import Truth

PACKAGE = "tescanautomation"

HOW_TO_INSTALL = (
    f"the package {PACKAGE} is missing: it comes from TESCAN, not from PyPI. Run TESCAN's "
    "tescan-automation-sdk-install*.exe and choose this Python, or copy every folder tescan*, PySide6* and shiboken* "
    "of an installed one into its site-packages; the driver 'sharksem' needs no package"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TescanDriver:
    """The instrument as a whole."""

    link: Link
    milling: EssencePatterning
    electron_beam: EssenceElectronBeam
    ion_beam: EssenceIonBeam
    gas_injection: SdkGasInjection | None
    manipulator: SdkManipulator | None
    safe_state_retracts_manipulator: bool

    def safe_state(self) -> None:
        """Stop milling, close gas valves, blank the beams, retract gas needle and manipulator; everything is tried.

        The order is that of safety.md section 2. With ``safe_state_retracts_manipulator`` off an inserted manipulator
        holds still, which is reported as not safe.
        """
        attempts: list[Attempt] = [("stop milling", self.milling.stop)]
        if self.gas_injection is not None:
            attempts.append(("close the gas valves", self.gas_injection.close_valves))
        attempts.append(("blank the ion beam", partial(self.ion_beam.set_blanked, blanked=True)))
        attempts.append(("blank the electron beam", partial(self.electron_beam.set_blanked, blanked=True)))
        if self.gas_injection is not None:
            attempts.append(("retract the gas needle", partial(self.gas_injection.retract, cancel=CancelToken())))
        attempts.append(("retract the manipulator", self._secure_manipulator))
        failures = attempt_all(attempts)
        if failures:
            raise HardwareError("; ".join(failures))

    def close(self) -> None:
        """Close the connection; the instrument stays as it is."""
        self.link.close()

    def _secure_manipulator(self) -> None:
        if self.manipulator is None or self.manipulator.is_held or not self.manipulator.is_inserted():
            return
        if not self.safe_state_retracts_manipulator:
            raise InterlockError("it is inserted and may hold the sample; it stays where it is, look at it")
        self.manipulator.retract(cancel=CancelToken())


@dataclass(frozen=True, slots=True)
class TescanPlugin:
    """What the entry point ``tescan`` names; ``make_clock`` is real time except in tests."""

    make_clock: Callable[[], Clock] = WallClock

    @property
    def settings_model(self) -> type[TescanSettings]:
        """Return the model of the driver's section of ``config.yaml``."""
        return TescanSettings

    @property
    def coverage(self) -> Coverage:
        """Say of every HAL function with what call of the SDK it is carried out, or why it is absent."""
        return COVERAGE

    def open(self, settings: TescanSettings, *, seed: int, state_directory: Path | None) -> Microscope:
        """Connect; ``seed`` and ``state_directory`` are for simulators and ignored.

        Raises `ConfigError` when the vendor's package is missing or a configured preset does not exist,
        `ConnectionLostError` when nobody answers. Nothing moves and no beam is switched on.
        """
        package = _import_package()
        link = Link(
            connect=lambda: package.Automation(settings.host, settings.port),
            address=f"{settings.host}:{settings.port}",
            call_timeout_s=settings.time_limits.call_s,
        )
        try:
            return _bundle(settings, link, package, self.make_clock())
        except BaseException:
            link.close()
            raise

    def truth(self, microscope: Microscope) -> Truth | None:
        """Return None: an instrument does not know the truth."""
        return None

    def diagnose(self) -> list[str]:
        """Return what is missing on this computer."""
        return [] if find_spec(PACKAGE) is not None else [HOW_TO_INSTALL]


def _import_package() -> Any:
    """Import the vendor's package and take the Qt modules that it pulls in out again (vendor-tescan.md A1)."""
    before = set(sys.modules)
    try:
        package = importlib.import_module(PACKAGE)
        for part in ("Common", "DrawBeam"):
            importlib.import_module(f"{PACKAGE}.{part}")
    except ImportError as error:
        raise ConfigError(f"{HOW_TO_INSTALL} ({error})") from error
    for name in set(sys.modules) - before:
        if name == "PySide6.QtCore" or name.startswith((f"{PACKAGE}.GUI", f"{PACKAGE}.pyside6gui")):
            del sys.modules[name]
    return package


def _bundle(settings: TescanSettings, link: Link, package: Any, clock: Clock) -> Microscope:
    limits, chain = settings.time_limits, settings.geometry.chain()
    stage = EssenceStage(
        port=SdkStage(link=link, move_timeout_s=limits.move_s), clock=clock, limits=settings.stage.limits()
    )
    electron_port = SdkElectronColumn(
        link=link, package=package, detector_name=settings.electron_beam.detector, focus_timeout_s=limits.focus_s
    )
    ion_port = SdkIonColumn(link=link, package=package, detector_name=settings.ion_beam.detector)
    drawbeam = SdkDrawBeam(link=link, package=package)
    info = _instrument(electron_port, drawbeam)
    shared: dict[str, Any] = {
        "clock": clock,
        "stage": stage,
        "info": info,
        "session": session_name(info, clock),
        "busy_timeout_s": limits.busy_s,
    }
    electron = EssenceElectronBeam(
        port=electron_port, limits=settings.electron_beam, beam_type=BeamType.ELECTRON, **shared
    )
    ion = EssenceIonBeam(
        port=ion_port,
        limits=settings.ion_beam,
        beam_type=BeamType.ION,
        working_distance_m=chain.eucentric_working_distance_ion_m,
        **shared,
    )
    ion.check_presets()
    milling = EssencePatterning(port=drawbeam, ion=ion, clock=clock, limits=settings.milling)
    gas, manipulator = _gas_injection(link, settings, clock), _manipulator(link, settings)
    return Microscope(
        info=info,
        chain=chain,
        clock=clock,
        driver=TescanDriver(
            link=link,
            milling=milling,
            electron_beam=electron,
            ion_beam=ion,
            gas_injection=gas,
            manipulator=manipulator,
            safe_state_retracts_manipulator=settings.safe_state_retracts_manipulator,
        ),
        stage=stage,
        electron_beam=electron,
        ion_beam=ion,
        milling=milling,
        electron_equipment=electron_equipment(electron, limits),
        ion_equipment=ion_equipment(ion, limits, spot=EssenceIonSpot(beam=ion, milling=milling)),
        manipulator=manipulator,
        gas_injection=gas,
        vacuum=SdkVacuum(link=link),
        chamber_camera=SdkChamberCamera(link=link, clock=clock, info=info),
    )


def _instrument(column: SdkElectronColumn, drawbeam: SdkDrawBeam) -> InstrumentInfo:
    """Return what the instrument is, which only a frame tells; beside an exposure that goes on none is taken.

    A client that resumes after a crash finds one: a frame would end the scan of the electron column beside it.
    """
    if drawbeam.status().phase in (Phase.RUNNING, Phase.PAUSED):
        return UNKNOWN_INSTRUMENT
    return column.instrument()


def _gas_injection(link: Link, settings: TescanSettings, clock: Clock) -> SdkGasInjection | None:
    try:
        lines = link.read("GIS.Enum", tuple)
    except NotSupportedError:
        return None
    if not lines:
        return None
    limits = settings.time_limits
    return SdkGasInjection(
        link=link, found=lines, clock=clock, move_timeout_s=limits.move_s, heating_timeout_s=limits.heating_s
    )


def _manipulator(link: Link, settings: TescanSettings) -> SdkManipulator | None:
    if settings.manipulator is None:
        return None
    return SdkManipulator(link=link, settings=settings.manipulator, move_timeout_s=settings.time_limits.move_s)
