"""Nothing real moves without a person: who takes part in the contract suite, and who is asked."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fibsem_runtime.contract import participants
from fibsem_runtime.core.errors import ConfigError


def config(
    *, driver: list[str], host: str | None = None, config_yaml: str | None = None, collectonly: bool = False
) -> pytest.Config:
    options = {"--driver": driver, "--host": host, "--config-yaml": config_yaml}
    stub = SimpleNamespace(
        getoption=options.get,
        option=SimpleNamespace(collectonly=collectonly),
        pluginmanager=SimpleNamespace(getplugin=lambda name: None),
        hook=SimpleNamespace(pytest_fibsem_rehearsals=lambda: [{"simulator": nullcontext}]),
    )
    return cast(pytest.Config, stub)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(participants, "available_drivers", lambda: ["aquilos", "simulator"])


def person(monkeypatch: pytest.MonkeyPatch, *, at_terminal: bool, says: str = "") -> None:
    monkeypatch.setattr(participants.sys, "stdin", SimpleNamespace(isatty=lambda: at_terminal))
    monkeypatch.setattr("builtins.input", lambda prompt: says)


def test_only_drivers_without_hardware_take_part_unasked() -> None:
    assert participants.chosen_drivers(config(driver=[])) == ["simulator"]
    assert participants.chosen_drivers(config(driver=["aquilos"])) == ["aquilos"]


def test_a_driver_that_is_not_installed_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--driver zeiss.*aquilos, simulator"):
        participants.chosen_drivers(config(driver=["zeiss"]))


def test_an_instrument_without_a_person_at_the_terminal_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    person(monkeypatch, at_terminal=False, says="aquilos")
    with pytest.raises(pytest.exit.Exception, match="a person can agree"):
        participants.ask_consent(config(driver=["aquilos"]), ["aquilos"])


@pytest.mark.parametrize("says", ["", "y", "yes", "simulator"])
def test_anything_but_the_name_of_the_driver_is_no_consent(monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    person(monkeypatch, at_terminal=True, says=says)
    with pytest.raises(pytest.exit.Exception, match="nothing has moved"):
        participants.ask_consent(config(driver=["aquilos"]), ["aquilos"])


def test_the_name_of_the_driver_is_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    person(monkeypatch, at_terminal=True, says=" aquilos ")
    participants.ask_consent(config(driver=["aquilos"]), ["aquilos"])


def test_nobody_is_asked_for_a_simulator_or_a_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    person(monkeypatch, at_terminal=False)
    participants.ask_consent(config(driver=[]), ["simulator"])
    participants.ask_consent(config(driver=["aquilos"], collectonly=True), ["aquilos"])


def test_a_driver_with_a_rehearsal_is_asked_about_when_a_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    person(monkeypatch, at_terminal=False)
    with pytest.raises(pytest.exit.Exception, match="a person can agree"):
        participants.ask_consent(config(driver=["simulator"], host="192.168.0.1"), ["simulator"])


def test_an_instrument_is_opened_with_the_settings_of_its_site(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("driver: {name: aquilos, settings: {host: 10.0.0.1, geometry: {pretilt_deg: 27}}}\n")
    found = participants.instrument_settings(config(driver=["aquilos"], config_yaml=str(file)))
    assert found == {"host": "10.0.0.1", "geometry": {"pretilt_deg": 27}}
    found = participants.instrument_settings(config(driver=["aquilos"], config_yaml=str(file), host="10.0.0.2"))
    assert found == {"host": "10.0.0.2", "geometry": {"pretilt_deg": 27}}
    assert participants.instrument_settings(config(driver=["aquilos"])) is None


@pytest.mark.parametrize("text", ["", "driver: {}", "driver: {settings: 5}", "driver: [", "- a", "\0"])
def test_a_file_without_settings_is_one_clear_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"--config-yaml .*config.yaml cannot be used: .*driver\.settings") as caught:
        participants.instrument_settings(config(driver=["aquilos"], config_yaml=str(file)))
    assert "\n" not in str(caught.value)


def test_settings_of_a_site_mean_an_instrument(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("driver: {settings: {}}")
    person(monkeypatch, at_terminal=False)
    with pytest.raises(pytest.exit.Exception, match="a person can agree"):
        participants.ask_consent(config(driver=["simulator"], config_yaml=str(tmp_path / "config.yaml")), ["simulator"])
