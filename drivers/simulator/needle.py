"""The needle of the manipulator and its copper adaptor as bodies that hang at the tip."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from drivers.simulator.bodies import ADAPTOR, NEEDLE, Body, BodyKind, Carrier, Floats, Pose
from drivers.simulator.ground import HOLE_M
from drivers.simulator.noise_field import smooth_noise
from drivers.simulator.sample import Material, Sample
from fibsem_runtime.core.units import UM

PARKED_M: Final = (-1000 * UM, 0.0, 1000 * UM)
"""Where a parked needle's tip is, out along the needle (assumed)."""

ION_COLUMN_RAD: Final = math.radians(52)
"""Where the ion beam comes from, roughly: the upper surface faces both beams (vendor-geometry.md section 1)."""

NEEDLE_STREAM: Final = 31
"""Keeps the needle's random numbers apart from the scene's."""


class NeedleSettings(BaseModel):
    """Shape of needle and adaptor, read off ``data/autoliftout`` (assumed): a blunt cone from the left and from above.

    It comes from the side of -x, its tip pointing down by ``elevation_deg``: at a scan rotation of 0 it is seen from
    the left in the electron image and from below left in the ion image, at 180 from the right and from above right.
    The adaptor is a copper block on the tip (methods.md section 9 P: blocks of 10 x 20 x 10 µm).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    has_adaptor: bool = False
    elevation_deg: float = Field(default=45.0, gt=5, lt=80)
    half_angle_deg: float = Field(default=9.0, gt=1, lt=30)
    tip_radius_um: float = Field(default=2.5, gt=0.1, le=20)
    length_um: float = Field(default=400.0, ge=50, le=1000)
    pitch_um: float = Field(default=0.4, ge=0.1, le=1)
    adaptor_um: tuple[float, float, float] = (10.0, 20.0, 10.0)


def hang_needle(settings: NeedleSettings, *, seed: int) -> list[Body]:
    """Return the needle, its tip at the origin of what the manipulator carries, and its adaptor if it has one."""
    rng = np.random.default_rng([seed, NEEDLE_STREAM])
    sample, axis_m = _cone(settings, rng)
    turn = _turn(settings)
    needle = Body(
        number=NEEDLE,
        kind=BodyKind.NEEDLE,
        sample=sample,
        pose=Pose(rotation=turn, shift_m=-turn @ np.array([0.0, 0.0, axis_m])),
        carrier=Carrier.MANIPULATOR,
    )
    return [needle, _adaptor(settings)] if settings.has_adaptor else [needle]


def _turn(settings: NeedleSettings) -> Floats:
    """Return the rotation of the needle's frame: x from the tip to the base, z to where both beams come from."""
    elevation_rad = math.radians(settings.elevation_deg)
    along = np.array([-math.cos(elevation_rad), 0.0, math.sin(elevation_rad)])
    upward = sum(_across(np.array([0.0, math.sin(a), math.cos(a)]), along) for a in (0.0, ION_COLUMN_RAD))
    upward = np.asarray(upward / np.linalg.norm(upward))
    return np.array([along, np.cross(upward, along), upward]).T


def _across(direction: Floats, along: Floats) -> Floats:
    across = direction - (direction @ along) * along
    return np.asarray(across / np.linalg.norm(across))


def _cone(settings: NeedleSettings, rng: np.random.Generator) -> tuple[Sample, float]:
    """Return a cone with a round tip lying on its side, and the height of its axis."""
    pitch_m, slope = settings.pitch_um * UM, math.tan(math.radians(settings.half_angle_deg))
    tip_m, length_m = settings.tip_radius_um * UM, settings.length_um * UM
    axis_m = tip_m + slope * length_m + 3 * UM
    columns, rows = round(length_m / pitch_m) + 3, 2 * round(axis_m / pitch_m) + 3
    x_m = (np.arange(columns) - 2) * pitch_m
    y_m = (np.arange(rows) - (rows - 1) / 2) * pitch_m
    inside_m = np.maximum(tip_m - x_m, 0.0)
    radius_m = np.where(x_m < 0, 0.0, np.sqrt(np.maximum(tip_m**2 - inside_m**2, 0)) + slope * x_m)
    # Beyond the outline the two surfaces cross over, so that it lies between the samples where the cone has it.
    squared_m2 = radius_m[np.newaxis, :] ** 2 - y_m[:, np.newaxis] ** 2
    half_m = np.maximum(np.sign(squared_m2) * np.sqrt(np.abs(squared_m2)), -2 * UM)
    rough_m = 0.1 * UM * smooth_noise(half_m.shape, 1.0 / settings.pitch_um, rng)
    stands = half_m > 0
    top_m = axis_m + half_m + np.where(stands, np.minimum(rough_m, half_m / 2), 0.0)
    bottom_m = axis_m - half_m
    return _metal(float(x_m[0]), float(y_m[0]), pitch_m, top_m, bottom_m, Material.TUNGSTEN), axis_m


def _adaptor(settings: NeedleSettings) -> Body:
    """Return a block below the tip, its upper face at the tip, its axes those of the chamber."""
    width_m, depth_m, height_m = (size_um * UM for size_um in settings.adaptor_um)
    pitch_m = min(settings.pitch_um * UM, 0.25 * UM)
    x_m, y_m = (
        (np.arange(2 * round(size_m / 2 / pitch_m) + 5) - round(size_m / 2 / pitch_m) - 2) * pitch_m
        for size_m in (width_m, depth_m)
    )
    stands = (np.abs(x_m)[np.newaxis, :] <= width_m / 2) & (np.abs(y_m)[:, np.newaxis] <= depth_m / 2)
    top_m = np.where(stands, height_m, 0.0)
    sample = _metal(float(x_m[0]), float(y_m[0]), pitch_m, top_m, np.where(stands, 0.0, HOLE_M), Material.COPPER)
    return Body(
        number=ADAPTOR,
        kind=BodyKind.ADAPTOR,
        sample=sample,
        pose=Pose(shift_m=np.array([0.0, 0.0, -height_m])),
        carrier=Carrier.MANIPULATOR,
    )


def _metal(x0_m: float, y0_m: float, pitch_m: float, top_m: Floats, bottom_m: Floats, material: Material) -> Sample:
    return Sample(
        x0_m=x0_m,
        y0_m=y0_m,
        pitch_m=pitch_m,
        top_m=top_m.astype(np.float32),
        bottom_m=bottom_m.astype(np.float32),
        coating_m=np.zeros(top_m.shape, np.float32),
        material=np.full(top_m.shape, material, np.uint8),
        has_surroundings=False,
    )
