"""Open the instrument and bundle its devices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from acme_fibsem.beam import AcmeBeam
from acme_fibsem.coverage import COVERAGE
from acme_fibsem.memory import MemoryInstrument
from acme_fibsem.milling import AcmeMilling
from acme_fibsem.settings import IN_MEMORY, AcmeSettings
from acme_fibsem.stage import AcmeStage
from acme_fibsem.vacuum import AcmeVacuum
from fibsem_runtime.core import BeamType, InstrumentInfo, SimulatedClock
from fibsem_runtime.core.errors import ConnectionLostError, HardwareError
from fibsem_runtime.hal import Microscope, Truth, attempt_all
from fibsem_runtime.hal.coverage import Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class AcmeDriver:
    """The instrument as a whole."""

    milling: AcmeMilling
    beams: tuple[AcmeBeam, AcmeBeam]

    def safe_state(self) -> None:
        """Stop milling, blank the beams, retract what is inserted (here nothing is), leave the stage.

        Everything is tried, whatever fails before it; safe to call twice and from any thread.
        """
        failures = attempt_all(
            [
                ("stop milling", self.milling.stop),
                *(
                    (f"blank the {beam.beam_type.value.lower()} beam", lambda beam=beam: beam.set_blanked(blanked=True))
                    for beam in self.beams
                ),
            ]
        )
        if failures:
            raise HardwareError("; ".join(failures))

    def close(self) -> None:
        """Release the instrument; it stays as it is."""


@dataclass(frozen=True, slots=True)
class AcmePlugin:
    """What the entry point names."""

    @property
    def settings_model(self) -> type[AcmeSettings]:
        """Return the model of the driver's section of ``config.yaml``."""
        return AcmeSettings

    @property
    def coverage(self) -> Coverage:
        """Say what is carried out and what is absent."""
        return COVERAGE

    def open(self, settings: AcmeSettings, *, seed: int, state_directory: Path | None) -> Microscope:
        """Connect; nothing moves and no beam is switched on.

        ``seed`` and ``state_directory`` are for simulators; a driver of an instrument ignores them.
        """
        if settings.host != IN_MEMORY:
            raise ConnectionLostError(
                f"asked for the instrument at {settings.host}, the template knows {IN_MEMORY!r} only; connect with "
                "your vendor's package here"
            )
        clock = SimulatedClock(datetime.now(UTC))  # WallClock() on an instrument
        return _bundle(settings, MemoryInstrument(chain=settings.chain(), clock=clock, seed=seed))

    def truth(self, microscope: Microscope) -> Truth | None:
        """Return None: an instrument does not know the truth."""
        return None

    def diagnose(self) -> list[str]:
        """Return what is missing on this computer, one line each: a vendor's package, a licence, a port."""
        return []


def _bundle(settings: AcmeSettings, instrument: MemoryInstrument) -> Microscope:
    info = InstrumentInfo(manufacturer="ACME", model="Template", serial_number="0", software_version="0.1")
    stage = AcmeStage(instrument=instrument, limits=settings.stage.limits(), move_timeout_s=settings.move_timeout_s)
    electron, ion = (
        AcmeBeam(instrument=instrument, stage=stage, info=info, beam_type=beam_type) for beam_type in BeamType
    )
    milling = AcmeMilling(instrument=instrument)
    return Microscope(
        info=info,
        chain=settings.chain(),
        clock=instrument.clock,
        driver=AcmeDriver(milling=milling, beams=(electron, ion)),
        stage=stage,
        electron_beam=electron,
        ion_beam=ion,
        milling=milling,
        vacuum=AcmeVacuum(instrument=instrument),
    )
