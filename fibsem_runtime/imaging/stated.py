"""Values made of what a file states: all of it, or nothing at all, because a pose with a made-up axis is no pose."""

from __future__ import annotations

from fibsem_runtime.core import BeamSettings, DetectorSettings, ImagePoint, StagePosition


def stated_stage(
    x_m: float | None, y_m: float | None, z_m: float | None, r_rad: float | None, t_rad: float | None
) -> StagePosition | None:
    """Return the pose when every axis is stated."""
    if x_m is None or y_m is None or z_m is None or r_rad is None or t_rad is None:
        return None
    return StagePosition(x_m=x_m, y_m=y_m, z_m=z_m, r_rad=r_rad, t_rad=t_rad)


def stated_beam(
    *,
    voltage_v: float | None,
    beam_current_a: float | None,
    working_distance_m: float | None,
    hfw_m: float | None,
    shift_x_m: float | None,
    shift_y_m: float | None,
    stigmation_x: float | None,
    stigmation_y: float | None,
    scan_rotation_rad: float | None,
) -> BeamSettings | None:
    """Return the beam when voltage, current, working distance and field width are stated.

    Shift, stigmation and rotation that are not stated are none at all (interop.md section 2: null reads as 0).
    """
    if voltage_v is None or beam_current_a is None or working_distance_m is None or hfw_m is None:
        return None
    return BeamSettings(
        voltage_v=voltage_v,
        beam_current_a=beam_current_a,
        working_distance_m=working_distance_m,
        hfw_m=hfw_m,
        shift=ImagePoint(shift_x_m or 0.0, shift_y_m or 0.0),
        stigmation_x=stigmation_x or 0.0,
        stigmation_y=stigmation_y or 0.0,
        scan_rotation_rad=scan_rotation_rad or 0.0,
    )


def stated_detector(
    name: str, mode: str, *, brightness_percent: float | None, contrast_percent: float | None
) -> DetectorSettings | None:
    """Return the detector when its name and both levels are stated, which the vendors write in per cent."""
    if not name or brightness_percent is None or contrast_percent is None:
        return None
    return DetectorSettings(
        name=name, mode=mode, brightness_fraction=brightness_percent / 100, contrast_fraction=contrast_percent / 100
    )
