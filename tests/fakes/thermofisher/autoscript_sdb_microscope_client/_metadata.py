"""The metadata tree of a frame, from what the instrument knew when it was taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .structures import Point, StagePosition, _Node


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """Facts of one frame, SI; what `tree` and the TIFF tag are made of."""

    beam_name: str
    pixel_size_m: float
    dwell_time_s: float
    acquired_at: datetime
    hfw_m: float
    width_px: int
    height_px: int
    voltage_v: float
    current_a: float
    working_distance_m: float
    eucentric_m: float
    system_eucentric_m: float
    shift_x_m: float
    shift_y_m: float
    scan_rotation_rad: float
    stage: tuple[float, float, float, float, float]
    detector: str
    system: str


def tree(facts: Acquisition) -> Any:
    """Return the branches that users of AutoScript read (vendor-thermofisher.md section 6)."""
    x, y, z, r, t = facts.stage
    field = Point(facts.hfw_m, facts.hfw_m * facts.height_px / facts.width_px)
    return _Node(
        binary_result=_Node(pixel_size=Point(facts.pixel_size_m, facts.pixel_size_m)),
        scan_settings=_Node(dwell_time=facts.dwell_time_s),
        acquisition=_Node(
            acquisition_datetime=f"{facts.acquired_at:%m/%d/%Y %H:%M:%S}",
            beam_type="Electron" if facts.beam_name == "electron_beam" else "Ion",
        ),
        stage_settings=_Node(stage_position=StagePosition(x=x, y=y, z=z, r=r, t=t, coordinate_system="Raw")),
        optics=_Node(
            scan_field_of_view=_Node(width=field.x, height=field.y), full_scan_field_of_view=_Node(width=field.x)
        ),
        facts=facts,
    )
