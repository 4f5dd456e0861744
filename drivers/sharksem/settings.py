"""The section ``driver.settings`` of ``config.yaml`` for SharkSEM."""

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


class SharkSemSettings(Section):
    """Where the instrument is and its per-site constants; ``port`` is control, data is the next one.

    ``ion_shift_name`` is what the instrument calls the geometry correction that shifts the ion beam (assumed; the
    protocol has no function of its own for it, and ``FibEnumGeom`` lists the names).
    """

    host: str = Field(default="localhost", min_length=1)
    port: int = Field(default=8300, ge=1, le=65534)
    geometry: GeometrySettings
    electron_beam: ElectronColumnSettings = ElectronColumnSettings()
    ion_beam: IonColumnSettings
    ion_shift_name: str = Field(default="Image Shift", min_length=1)
    milling: DrawBeamSettings = DrawBeamSettings()
    time_limits: TimeLimitSettings = TimeLimitSettings()
