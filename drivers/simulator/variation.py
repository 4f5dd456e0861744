"""Samples and detectors that differ from seed to seed, for labelled data sets.

A detector network learns what never varies, so everything that differs between samples and instruments does: sizes,
ice, contamination, coating, and the yields that make the contrast. Ranges are assumed where nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from drivers.simulator.optics_settings import BeamLook, OpticsSettings
from drivers.simulator.settings import SimulatorSettings
from fibsem_runtime.core.errors import ConfigError

STREAM: Final = 29
"""Keeps these random numbers apart from those of scene and machine."""

YIELD_SPREAD: Final = 0.35
"""Spread of the logarithm of a yield: a factor of 1.4 up or down in two of three cases (assumed)."""

_VARIED: Final = (
    *("film_yield", "ice_yield", "cell_yield", "bar_yield", "coating_yield", "copper_yield", "tungsten_yield"),
    *("edge_gain", "texture_fraction"),
)

Draw = Callable[[np.random.Generator], dict[str, Any]]


def _cells(rng: np.random.Generator) -> dict[str, Any]:
    """Return a small square with few or many cells, thin or thick ice, with holes or none."""
    return {
        "map_width_um": 150,
        "pitch_um": 0.2,
        "square_um": float(rng.uniform(90, 135)),
        "square_rotation_max_deg": 20,
        "holes": {"diameter_um": 2.0, "lattice_um": 4.0} if rng.random() < 0.25 else None,
        "cell_count": [4, 9],
        "crowded_cell_count": int(rng.integers(0, 4)),
        "cell_radius_um": [5, 12],
        "cell_height_um": [2.5, 8],
        "cell_texture_fraction": float(rng.uniform(0, 0.15)),
        "ice_film_um": float(rng.choice([0, 0, 0.2, 0.8])),
        "ice_halo_um": float(rng.uniform(0, 1)),
        "coating_um": float(rng.uniform(0, 0.3)),
        "roughness_nm": float(rng.uniform(0, 60)),
        "crystal_count": int(rng.integers(0, 60)),
    }


def _surface(rng: np.random.Generator) -> dict[str, Any]:
    """Return grain, contamination and coating of a frozen surface."""
    return {
        "coating_um": float(rng.uniform(0, 0.4)),
        "coating_variation_fraction": float(rng.uniform(0, 0.3)),
        "sputter_nm": float(rng.uniform(0, 30)),
        "roughness_nm": float(rng.uniform(10, 100)),
        "crystal_count": int(rng.integers(0, 120)),
    }


def _waffle(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "kind": "waffle",
        **_surface(rng),
        "thickness_um": float(rng.uniform(20, 50)),
        "mark_spacing_um": float(rng.uniform(3, 9)),
        "mark_height_nm": float(rng.uniform(0, 400)),
        "cell_fraction": float(rng.uniform(0.2, 0.8)),
        "cell_size_um": float(rng.uniform(2, 8)),
    }


def _block(rng: np.random.Generator) -> dict[str, Any]:
    return {
        **_surface(rng),
        "relief_um": float(rng.uniform(0.2, 1.2)),
        "relief_grain_um": float(rng.uniform(4, 15)),
        "clump_count": int(rng.integers(0, 40)),
        "cell_fraction": float(rng.uniform(0.2, 0.8)),
        "cell_size_um": float(rng.uniform(4, 12)),
    }


def _copper(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "coating_um": 0.0,
        "sputter_nm": float(rng.uniform(0, 30)),
        "roughness_nm": float(rng.uniform(10, 150)),
        "crystal_count": int(rng.integers(0, 60)),
    }


def _lift_out(rng: np.random.Generator) -> dict[str, Any]:
    width_um = float(rng.uniform(45, 90))
    posts = {
        "kind": "posts",
        **_copper(rng),
        "post_width_um": width_um,
        "post_pitch_um": float(rng.uniform(2.5, 4) * width_um),
        "rib_width_um": float(rng.uniform(0, 0.6) * width_um),
        "rib_height_um": float(rng.uniform(2, 12)),
        "thickness_um": float(rng.uniform(15, 35)),
    }
    return {"kind": "lift-out", "block": _block(rng), "landing": posts}


def _serial_lift_out(rng: np.random.Generator) -> dict[str, Any]:
    mesh = {
        "kind": "receiver",
        **_copper(rng),
        "pitch_x_um": float(rng.uniform(55, 75)),
        "bar_width_um": float(rng.uniform(12, 30)),
        "thickness_um": float(rng.uniform(12, 30)),
    }
    return {"kind": "serial-lift-out", "block": _block(rng), "landing": mesh}


def _needle(scene: str, rng: np.random.Generator) -> dict[str, Any]:
    """Return a slim or blunt needle; that of serial lift-out carries an adaptor."""
    return {
        "has_adaptor": scene == "serial-lift-out",
        "half_angle_deg": float(rng.uniform(6, 14)),
        "tip_radius_um": float(rng.uniform(0.5, 4)),
        "adaptor_um": [float(rng.uniform(8, 24)), float(rng.uniform(10, 24)), float(rng.uniform(8, 15))],
    }


SCENES: Final[Mapping[str, Draw]] = {
    "on-grid": _cells,
    "waffle": _waffle,
    "lift-out": _lift_out,
    "serial-lift-out": _serial_lift_out,
}
"""How each scene is drawn: what is written under ``scene``."""


def vary(settings: SimulatorSettings, scene: str, *, seed: int) -> SimulatorSettings:
    """Return settings with a sample of ``scene`` and a detector drawn from ``seed``, without disturbances."""
    if scene not in SCENES:
        raise ConfigError(f"there is no scene {scene!r}; the scenes are {', '.join(SCENES)}")
    rng = np.random.default_rng([seed, STREAM])
    disturbances = settings.disturbances.model_dump(mode="json")
    return SimulatorSettings.model_validate(
        settings.model_dump(mode="json")
        | {
            "scene": SCENES[scene](rng),
            "needle": _needle(scene, rng),
            "optics": _optics(settings.optics, rng),
            "disturbances": {name: {**part, "enabled": False} for name, part in disturbances.items()},
            "processes": settings.processes.model_dump(mode="json") | {"bending": {"enabled": False}},
            "faults": [],
        }
    )


def _optics(usual: OpticsSettings, rng: np.random.Generator) -> dict[str, Any]:
    """Return another detector: contrast between materials, bright edges, texture, shadows and curtains."""
    return usual.model_dump(mode="json") | {
        "ion": _look(usual.ion, rng),
        "electron": _look(usual.electron, rng),
        "curtain_fraction": _other(usual.curtain_fraction, rng),
        "shadow_floor_fraction": min(1.0, _other(usual.shadow_floor_fraction, rng)),
    }


def _look(usual: BeamLook, rng: np.random.Generator) -> dict[str, Any]:
    values = usual.model_dump()
    return values | {name: _other(values[name], rng) for name in _VARIED}


def _other(value: float, rng: np.random.Generator) -> float:
    return float(value * math.exp(rng.normal(0, YIELD_SPREAD)))
