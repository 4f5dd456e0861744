"""The configuration is one validated tree, and the shipped file says what the defaults are."""

from __future__ import annotations

from pathlib import Path

import yaml

from fibsem_runtime.config import RuntimeConfig, data_folder, load_config, models_folder, with_method, with_model
from fibsem_runtime.workflow import ScriptedSupervisor, SupervisionMode


def test_the_shipped_file_states_the_defaults_and_nothing_else() -> None:
    assert load_config(None) == RuntimeConfig()


def test_the_shipped_file_names_every_key() -> None:
    written = yaml.safe_load((data_folder() / "config.yaml").read_text("utf-8"))
    assert written == RuntimeConfig().model_dump(mode="json")


def test_a_file_needs_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("lamellae: 5\n", "utf-8")
    assert load_config(path) == RuntimeConfig(lamellae=5)


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("# nothing\n", "utf-8")
    assert load_config(path) == RuntimeConfig()


def test_what_a_run_keeps_loads_as_what_it_ran_with(tmp_path: Path) -> None:
    operator = {"kind": "scripted", "correct_every": 3, "offset_x_um": 0.2}
    config = RuntimeConfig.model_validate({"seed": 11, "supervision": {"mode": "always", "operator": operator}})
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml(), "utf-8")
    assert load_config(path) == config


def test_nobody_answers_when_nobody_is_asked() -> None:
    assert RuntimeConfig().supervision.supervisor() is None


def test_the_scripted_operator_is_configured_in_micrometres() -> None:
    operator = {"kind": "scripted", "correct_every": 2, "offset_x_um": 0.5, "offset_y_um": -0.25}
    config = RuntimeConfig.model_validate({"supervision": {"mode": "always", "operator": operator}})
    assert config.supervision.mode is SupervisionMode.ALWAYS
    supervisor = config.supervision.supervisor()
    assert isinstance(supervisor, ScriptedSupervisor)
    assert (supervisor.offset.x_m, supervisor.offset.y_m) == (0.5e-6, -0.25e-6)


def test_the_word_default_keeps_the_configured_model() -> None:
    config = RuntimeConfig()
    assert with_model(config, "default") == with_model(config, None) == config
    assert with_model(config, "other").model.name == "other"
    assert with_method(config, "m.yaml").method == "m.yaml"


def test_models_are_looked_up_where_the_configuration_says(tmp_path: Path) -> None:
    assert models_folder(RuntimeConfig.model_validate({"model": {"folder": str(tmp_path)}})) == tmp_path
    assert models_folder(RuntimeConfig()) == data_folder() / "models"
