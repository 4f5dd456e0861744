"""Nothing real moves without a person: who takes part in the contract suite, and who is asked."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import pytest

from fibsem_runtime.contract import participants
from fibsem_runtime.core.errors import ConfigError


def config(*, driver: list[str], host: str | None = None, collectonly: bool = False) -> pytest.Config:
    options = {"--driver": driver, "--host": host}
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
