"""Scenes beyond cells on a film: waffle, block, posts, receiver mesh."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from drivers.simulator.bodies import Body, BodyKind
from drivers.simulator.columns import BAR_DEPTH_M
from drivers.simulator.sample import Material
from drivers.simulator.settings import SimulatorSettings
from drivers.simulator.shuttle import build_bodies, surface_height_m

SMALL = {"map_width_um": 100, "pitch_um": 0.5}

SCENES: dict[str, dict[str, Any]] = {
    "cells": {"kind": "cells", "map_width_um": 90, "square_um": 70, "pitch_um": 0.5},
    "waffle": {"kind": "waffle", **SMALL},
    "lift-out": {"kind": "lift-out", "block": SMALL, "landing": {"map_width_um": 500, "pitch_um": 1}},
    "serial-lift-out": {"kind": "serial-lift-out", "block": SMALL, "landing": {"map_width_um": 200, "pitch_um": 1}},
}


def bodies(kind: str, *, seed: int = 3) -> list[Body]:
    return build_bodies(SimulatorSettings.model_validate({"scene": SCENES[kind]}).scene, seed=seed)


@pytest.mark.parametrize("kind", SCENES)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_surface(kind: str) -> None:
    one, two, other = bodies(kind), bodies(kind), bodies(kind, seed=4)
    assert [b.sample.top_m.tobytes() for b in one] == [b.sample.top_m.tobytes() for b in two]
    assert all(not np.array_equal(a.sample.top_m, b.sample.top_m) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", ["waffle", "lift-out", "serial-lift-out"])
def test_the_surface_lies_as_high_as_is_said(kind: str) -> None:
    scene = SimulatorSettings.model_validate({"scene": SCENES[kind]}).scene
    sample = build_bodies(scene, seed=3)[0].sample
    assert float(np.median(sample.top_m)) == pytest.approx(surface_height_m(scene), abs=3e-6)


def test_a_scene_that_names_no_kind_is_cells_on_a_film() -> None:
    assert SimulatorSettings.model_validate({"scene": {}}).scene == SimulatorSettings().scene
    assert bodies("cells")[0].kind is BodyKind.GRID


def test_a_waffle_is_as_thick_as_asked_and_has_bars_beneath_its_film() -> None:
    (body,) = bodies("waffle")
    assert float(np.median(body.sample.top_m)) == pytest.approx(30.5e-6, abs=0.3e-6)
    on_bar = body.sample.bottom_m < -BAR_DEPTH_M
    assert 0.2 < on_bar.mean() < 0.7
    assert {Material.ICE, Material.CELL} == {Material(int(m)) for m in np.unique(body.sample.material)}


def test_a_lift_out_has_a_deep_block_and_copper_posts_with_room_between_them() -> None:
    block, posts = bodies("lift-out")
    assert (block.kind, posts.kind) == (BodyKind.BLOCK, BodyKind.POSTS)
    assert float((block.sample.top_m - block.sample.bottom_m).min()) > 60e-6
    assert float(posts.middle_m[0] - block.middle_m[0]) == pytest.approx(6e-3)
    sample = posts.sample
    stands = sample.top_m > sample.bottom_m
    across = np.flatnonzero(np.diff(stands[round((0 - sample.y0_m) / sample.pitch_m)].astype(int)))
    edges_um = (sample.x0_m - 6e-3 + (across + 0.5) * sample.pitch_m) * 1e6
    left_um, right_um = edges_um[edges_um < 0].max(), edges_um[edges_um > 0].min()
    assert right_um - left_um == pytest.approx(65, abs=4)
    assert (sample.material[stands] == Material.COPPER).all()


def test_a_receiver_mesh_has_windows_between_bars_at_its_pitch() -> None:
    sample = bodies("serial-lift-out")[1].sample
    row = sample.top_m[len(sample.top_m) // 2] > sample.bottom_m[len(sample.top_m) // 2]
    starts_um = (sample.x0_m + np.flatnonzero(np.diff(row.astype(int)) == 1) * sample.pitch_m) * 1e6
    assert np.diff(starts_um) == pytest.approx(62, abs=3)


def test_the_coating_is_gas_deposit_with_sputtered_metal_on_top() -> None:
    scene = SimulatorSettings.model_validate({"scene": SCENES["waffle"] | {"coating_um": 1, "sputter_nm": 30}}).scene
    coating_m = build_bodies(scene, seed=1)[0].sample.coating_m
    assert float(np.median(coating_m)) == pytest.approx(1.03e-6, abs=0.05e-6)


@pytest.mark.parametrize(
    "scene",
    [
        {"kind": "moon"},
        {"kind": "waffle", "thickness_um": 60},
        {"kind": "lift-out", "landing_at_mm": [0.2, 0]},
        {"kind": "waffle", "map_width_um": 500, "pitch_um": 0.1},
    ],
)
def test_an_impossible_scene_is_refused(scene: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SimulatorSettings.model_validate({"scene": scene})
