"""The section ``driver.settings`` of ``config.yaml`` for the Automation SDK."""

from __future__ import annotations

from pydantic import Field

from drivers.essence.settings import (
    DrawBeamSettings,
    ElectronColumnSettings,
    GeometrySettings,
    IonColumnSettings,
    Section,
    TimeLimitSettings,
)
from fibsem_runtime.hal.stage_ranges import StageRangeSettings


class ManipulatorSettings(Section):
    """Which nanomanipulator is fitted and where its saved positions are (read them at the instrument).

    The SDK goes to its saved positions but does not tell them; one that is left out cannot be used.
    """

    index: int = Field(default=0, ge=0)
    parking_mm: tuple[float, float, float]
    standby_mm: tuple[float, float, float] | None = None
    working_mm: tuple[float, float, float] | None = None


class TescanSettings(Section):
    """Where the instrument is and its per-site constants.

    With ``safe_state_retracts_manipulator`` off an inserted manipulator holds still in an emergency, for a person to
    look at: what it holds is not torn (safety.md section 2).
    """

    host: str = Field(default="localhost", min_length=1)
    port: int = Field(default=8300, ge=1, le=65534)
    geometry: GeometrySettings
    stage: StageRangeSettings
    electron_beam: ElectronColumnSettings = ElectronColumnSettings()
    ion_beam: IonColumnSettings
    milling: DrawBeamSettings = DrawBeamSettings()
    manipulator: ManipulatorSettings | None = None
    safe_state_retracts_manipulator: bool = True
    time_limits: TimeLimitSettings = TimeLimitSettings()
