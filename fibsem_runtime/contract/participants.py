"""Who takes part in the contract suite, and the consent that an instrument needs.

A driver that can run without hardware takes part unasked where a test suite offers its rehearsal
(`plugin.ContractHooks.pytest_fibsem_rehearsals`). Any installed driver takes part on its instrument with
``--driver NAME --config-yaml FILE`` or ``--host ADDRESS`` (one without a rehearsal also without them), after a person
at the terminal has agreed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.hal import available_drivers

Rehearsal: TypeAlias = Callable[[], AbstractContextManager[dict[str, Any]]]
"""What makes a driver ready to open without hardware for as long as the context lasts, and gives its settings."""


def add_options(parser: pytest.Parser) -> None:
    """Add the options that let an instrument take part."""
    group = parser.getgroup("fibsem-runtime")
    group.addoption("--driver", action="append", default=[], help="run the contract suite on this installed driver")
    group.addoption("--host", default=None, help="address of the instrument for --driver")
    group.addoption(
        "--config-yaml", default=None, help="config.yaml whose driver.settings the instrument is opened with"
    )


def rehearsals(config: pytest.Config) -> dict[str, Rehearsal]:
    """Return the rehearsals that the test suites of this session offer."""
    offers: list[Mapping[str, Rehearsal]] = config.hook.pytest_fibsem_rehearsals()
    return {name: rehearsal for offer in offers for name, rehearsal in offer.items()}


def instrument_settings(config: pytest.Config) -> dict[str, Any] | None:
    """Return what an instrument is opened with, ``--host`` over ``--config-yaml``; None when neither is given.

    Raises `ConfigError` for a file that cannot be read or has no ``driver.settings``.
    """
    host, path = config.getoption("--host"), config.getoption("--config-yaml")
    if host is None and path is None:
        return None
    return (_read_settings(Path(path)) if path else {}) | ({"host": host} if host else {})


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["driver"]["settings"]
        return dict(settings)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"--config-yaml {path} cannot be used: {str(error).splitlines()[0]}; name a file with driver.settings"
        ) from error


def chosen_drivers(config: pytest.Config) -> list[str]:
    """Return the drivers that take part: those asked for, or those that need no hardware.

    Raises `ConfigError` for a driver that is not installed.
    """
    installed = available_drivers()
    asked: list[str] = config.getoption("--driver")
    for name in asked:
        if name not in installed:
            raise ConfigError(f"--driver {name} is not installed; available: {', '.join(installed)}")
    offered = rehearsals(config)
    return asked or [name for name in installed if name in offered]


def ask_consent(config: pytest.Config, names: list[str]) -> None:
    """Ask the person at the terminal before anything real moves; end the session without a yes."""
    is_real, offered = instrument_settings(config) is not None, rehearsals(config)
    hardware = [name for name in names if is_real or name not in offered]
    if not hardware or config.option.collectonly:
        return
    with _terminal(config):
        if sys.stdin is None or not sys.stdin.isatty():
            names_text = ", ".join(hardware)
            pytest.exit(f"{names_text} would move: run this at a terminal where a person can agree", returncode=3)
        answer = input(
            f"\nThe contract suite moves the stage, the manipulator and the gas needle of {', '.join(hardware)}, opens "
            "gas valves, changes both beams, and mills about 10 x 5 x 1 µm at the present place.\n"
            "Is nobody else using the instrument, is the sample expendable, are needles and objective out? "
            "Type the driver's name to go on: "
        ).strip()
    if answer not in hardware:
        pytest.exit("no consent, nothing has moved", returncode=3)


@contextmanager
def _terminal(config: pytest.Config) -> Iterator[None]:
    """Give keyboard and screen back to the person while pytest captures them."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    capture.suspend_global_capture(in_=True)
    try:
        yield
    finally:
        capture.resume_global_capture()
