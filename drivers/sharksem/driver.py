"""Open a TESCAN instrument over SharkSEM and bundle its devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drivers.essence.electron import EssenceElectronBeam
from drivers.essence.equipment import electron_equipment, ion_equipment
from drivers.essence.ion import EssenceIonBeam
from drivers.essence.patterning import EssencePatterning
from drivers.essence.stage import EssenceStage
from drivers.essence.values import UNKNOWN_INSTRUMENT, session_name
from drivers.sharksem.chamber_camera import SharkChamberCamera
from drivers.sharksem.columns import SharkElectronColumn, SharkIonColumn
from drivers.sharksem.connection import SharkConnection
from drivers.sharksem.coverage import COVERAGE
from drivers.sharksem.drawbeam import SharkDrawBeam
from drivers.sharksem.functions import ELECTRON, ION
from drivers.sharksem.settings import SharkSemSettings
from drivers.sharksem.stage import SharkStage
from drivers.sharksem.vacuum import SharkPump, SharkVacuum
from drivers.sharksem.wire import leading_version
from fibsem_runtime.core import BeamType, Clock, InstrumentInfo, WallClock
from fibsem_runtime.core.errors import HardwareError
from fibsem_runtime.hal.attempts import attempt_all
from fibsem_runtime.hal.coverage import Coverage
from fibsem_runtime.hal.microscope import Microscope
from fibsem_runtime.hal.truth import Truth

_MODEL_SINCE: Final = (3, 2, 20)
"""Protocol from which a server can name its model (vendor-tescan.md B4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharkSemDriver:
    """The instrument as a whole; SharkSEM moves neither manipulator nor gas needle."""

    connection: SharkConnection
    milling: EssencePatterning
    electron_beam: EssenceElectronBeam
    ion_beam: EssenceIonBeam

    def safe_state(self) -> None:
        """Stop milling and blank the beams; everything is tried."""
        failures = attempt_all(
            [
                ("stop milling", self.milling.stop),
                ("blank the ion beam", lambda: self.ion_beam.set_blanked(blanked=True)),
                ("blank the electron beam", lambda: self.electron_beam.set_blanked(blanked=True)),
            ]
        )
        if failures:
            raise HardwareError("; ".join(failures))

    def close(self) -> None:
        """Close the connection; the instrument stays as it is."""
        self.connection.close()


@dataclass(frozen=True, slots=True)
class SharkSemPlugin:
    """What the entry point ``sharksem`` names; ``make_clock`` is real time except in tests."""

    make_clock: Callable[[], Clock] = WallClock

    @property
    def settings_model(self) -> type[SharkSemSettings]:
        """Return the model of the driver's section of ``config.yaml``."""
        return SharkSemSettings

    @property
    def coverage(self) -> Coverage:
        """Say of every HAL function with what function of the protocol it is carried out, or why it is absent."""
        return COVERAGE

    def open(self, settings: SharkSemSettings, *, seed: int, state_directory: Path | None) -> Microscope:
        """Connect; ``seed`` and ``state_directory`` are for simulators and ignored.

        Raises `ConfigError` when a configured preset does not exist, `NotSupportedError` without DrawBeam,
        `ConnectionLostError` when nobody answers. Nothing moves and no beam is switched on.
        """
        connection = SharkConnection(host=settings.host, port=settings.port, call_timeout_s=settings.time_limits.call_s)
        try:
            return _bundle(settings, connection, self.make_clock())
        except BaseException:
            connection.close()
            raise

    def truth(self, microscope: Microscope) -> Truth | None:
        """Return None: an instrument does not know the truth."""
        return None

    def diagnose(self) -> list[str]:
        """Return nothing: the protocol needs no package of the vendor's."""
        return []


def _bundle(settings: SharkSemSettings, connection: SharkConnection, clock: Clock) -> Microscope:
    limits, chain = settings.time_limits, settings.geometry.chain()
    drawbeam = SharkDrawBeam(connection=connection)
    drawbeam.require_licence()
    stage_port = SharkStage(connection=connection, clock=clock, move_timeout_s=limits.move_s)
    stage = EssenceStage(port=stage_port, clock=clock, limits=stage_port.limits())
    info = _info(connection)
    shared: dict[str, Any] = {
        "clock": clock,
        "stage": stage,
        "info": info,
        "session": session_name(info, clock),
        "busy_timeout_s": limits.busy_s,
    }
    electron = EssenceElectronBeam(
        port=SharkElectronColumn(connection=connection, detector_name=settings.electron_beam.detector),
        limits=settings.electron_beam,
        beam_type=BeamType.ELECTRON,
        **shared,
    )
    ion = EssenceIonBeam(
        port=SharkIonColumn(
            connection=connection, detector_name=settings.ion_beam.detector, shift_name=settings.ion_shift_name
        ),
        limits=settings.ion_beam,
        beam_type=BeamType.ION,
        working_distance_m=chain.eucentric_working_distance_ion_m,
        **shared,
    )
    ion.check_presets()
    milling = EssencePatterning(port=drawbeam, ion=ion, clock=clock, limits=settings.milling)
    vacuum = SharkVacuum(connection=connection)
    return Microscope(
        info=info,
        chain=chain,
        clock=clock,
        driver=SharkSemDriver(connection=connection, milling=milling, electron_beam=electron, ion_beam=ion),
        stage=stage,
        electron_beam=electron,
        ion_beam=ion,
        milling=milling,
        electron_equipment=electron_equipment(electron, limits),
        ion_equipment=ion_equipment(ion, limits),
        vacuum=vacuum,
        pump=SharkPump(
            vacuum=vacuum,
            get_beams=(ELECTRON.get_beam, ION.get_beam),
            clock=clock,
            timeout_s=limits.pumping_s,
        ),
        chamber_camera=SharkChamberCamera(connection=connection, clock=clock, info=info),
    )


def _info(connection: SharkConnection) -> InstrumentInfo:
    version = leading_version(connection.ask_text("TcpGetVersion"))
    model = connection.ask_text("TcpGetModel") if version >= _MODEL_SINCE else ""
    return InstrumentInfo(
        manufacturer=UNKNOWN_INSTRUMENT.manufacturer,
        model=model or UNKNOWN_INSTRUMENT.model,
        serial_number=connection.ask_text("TcpGetDevice"),
        software_version=connection.ask_text("TcpGetSWVersion"),
    )
