"""Scenes drawn for data sets: the same from one seed, different from another, always valid."""

from __future__ import annotations

import pytest

from drivers.simulator import SimulatorSettings, plugin
from fibsem_runtime.app.dataset.synthesize import RECIPES
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.hal.truth import SceneSource


def test_there_is_something_to_do_in_every_scene() -> None:
    assert isinstance(plugin, SceneSource)
    assert set(plugin.scene_names()) == RECIPES.keys()


@pytest.mark.parametrize("scene", plugin.scene_names())
def test_a_seed_draws_one_valid_scene_and_another_seed_another(scene: str) -> None:
    drawn = [plugin.vary(SimulatorSettings(), scene, seed=seed) for seed in (*range(20), 0)]
    assert drawn[0] == drawn[-1]
    assert len({settings.model_dump_json() for settings in drawn}) == 20


def test_nothing_disturbs_the_poses_and_everything_else_stays_as_it_was_configured() -> None:
    configured = SimulatorSettings.model_validate({"electron_beam": {"currents_pa": [25, 50], "current_pa": 25}})
    varied = plugin.vary(configured, "waffle", seed=1)
    assert not any(part["enabled"] for part in varied.disturbances.model_dump().values())
    assert varied.electron_beam == configured.electron_beam


def test_a_scene_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="on-grid, waffle, lift-out, serial-lift-out"):
        plugin.vary(SimulatorSettings(), "moon", seed=1)
