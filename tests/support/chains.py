"""Kinematic chains of the instruments that vendor-geometry.md describes."""

from __future__ import annotations

import math

from fibsem_runtime.hal.chain import KinematicChain


def thermo(*, pretilt_deg: float = 0.0, **changes: object) -> KinematicChain:
    """Thermo Fisher bulk stage: y and z ride on the tilt, 52° ion column."""
    facts: dict[str, object] = {
        "ion_column_tilt_rad": math.radians(52),
        "pretilt_rad": math.radians(pretilt_deg),
        "rotation_reference_rad": 0.0,
        "eucentric_z_m": 0.004,
        "eucentric_working_distance_electron_m": 0.004,
        "eucentric_working_distance_ion_m": 0.0165,
    }
    return KinematicChain(**{**facts, **changes})  # type: ignore[arg-type]


def arctis() -> KinematicChain:
    """Thermo Fisher compustage: no rotation, no pre-tilt."""
    return thermo(is_compustage=True)


def tescan(*, pretilt_deg: float = 0.0) -> KinematicChain:
    """TESCAN stage: x and y inverted, z vertical and counted downwards, 55° ion column."""
    return thermo(
        pretilt_deg=pretilt_deg,
        ion_column_tilt_rad=math.radians(55),
        axis_sign_x=-1,
        axis_sign_y=-1,
        z_sign=-1,
        z_rides_on_tilt=False,
    )
