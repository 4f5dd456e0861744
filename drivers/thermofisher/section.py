"""What the parts of the driver's settings have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Part of the settings; frozen, unknown keys and infinite numbers forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
